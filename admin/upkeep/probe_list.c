#include "admin/upkeep/probe_list.h"

#include "admin/store/sql.h"
#include "common/errtext.h"

#include <errno.h>
#include <stdlib.h>

#define GROWTH 64

/* --- one item --- */

static void find_target(struct probe_item *item, struct row *row)
{
	item->provider = provider_find(row_text(row, "provider"));
	if (!item->provider) {
		errtext_set(&item->obstacle, -ENOENT, "the provider of its upstream is unknown");
		return;
	}
	probe_target(item->provider, row_text(row, "url"), row_text(row, "strip"),
		row_text(row, "probe_path"), item->target, &item->account.has_page,
		&item->obstacle);
}

static void take_row(struct probe_item *item, struct row *row)
{
	row_copy(row, "name", item->name, sizeof(item->name));
	item->obstacle.text[0] = '\0';
	item->account.has_page = false;
	item->credential = (uint64_t)row_number(row, "generation");
	if (row_flag(row, "suspended"))
		errtext_set(&item->obstacle, -EBUSY, "it is suspended");
	else if (row_flag(row, "must_log_in"))
		errtext_set(&item->obstacle, -EBUSY, "it needs a login");
	else if (!row_flag(row, "has_credential"))
		errtext_set(&item->obstacle, -EBUSY, "it has no credential");
	else
		find_target(item, row);
	item->account.wanted = !item->obstacle.text[0] && row_flag(row, "has_pool");
}

/* --- the list --- */

static int append(struct probe_list *l, struct probe_item *item)
{
	if (l->count % GROWTH == 0) {
		struct probe_account **more =
			realloc(l->accounts, (l->count + GROWTH) * sizeof(struct probe_account *));
		if (!more)
			return -ENOMEM;
		l->accounts = more;
	}
	l->accounts[l->count++] = &item->account;
	return 0;
}

static struct probe_item *new_item(struct probe *owner, int64_t account)
{
	struct probe_item *item = calloc(1, sizeof(*item));

	if (item) {
		item->owner = owner;
		item->account.id = (uint32_t)account;
	}
	return item;
}

struct scan {
	struct probe_list *fresh;
	const struct probe_list *old;
	struct probe *owner;
	struct errtext *e;
};

/* Items in both lists are shared until the scan has succeeded. */
static int scan_row(struct row *row, void *context)
{
	const struct scan *s = context;
	int64_t account = row_number(row, "id");
	struct probe_item *known = probe_list_find(s->old, account);
	struct probe_item *item = known ? known : new_item(s->owner, account);
	int error = item ? append(s->fresh, item) : -ENOMEM;

	if (!error)
		take_row(item, row);
	else if (!known)
		free(item);
	return error ? errtext_set(s->e, error, "out of memory") : 0;
}

static int scan(struct scan *s, struct store *store)
{
	return sql_each(store, s->e, scan_row, s,
		"SELECT a.id, a.name, a.suspended, a.needs_login <> '' AS must_log_in,"
		" c.generation IS NOT NULL AS has_credential, c.generation,"
		" u.provider, u.url, u.strip, u.probe_path,"
		" EXISTS (SELECT 1 FROM pool_members m WHERE m.account_id = a.id) AS has_pool"
		" FROM accounts a JOIN upstreams u ON u.id = a.upstream_id"
		" LEFT JOIN credentials c ON c.account_id = a.id AND c.field = 'access_token'"
		" ORDER BY a.id",
		"");
}

/* Frees the items of `from` that `kept` lacks. */
static void drop_others(struct probe_list *from, const struct probe_list *kept, probe_gone_fn *gone)
{
	for (size_t i = 0; i < from->count; i++) {
		struct probe_item *item = probe_item_of(from->accounts[i]);
		if (probe_list_find(kept, item->account.id) == item)
			continue;
		gone(item);
		free(item);
	}
	free(from->accounts);
}

static void nothing(struct probe_item *item)
{
	(void)item; /* a new item: no callback has data for it */
}

int probe_list_scan(struct probe_list *l, struct probe *owner, struct store *s, probe_gone_fn *gone,
	struct errtext *e)
{
	struct probe_list fresh = {0};
	struct scan reading = {&fresh, l, owner, e};
	int error = scan(&reading, s);

	if (error) {
		drop_others(&fresh, l, nothing);
		return error;
	}
	drop_others(l, &fresh, gone);
	*l = fresh;
	return 0;
}

static int by_id(const void *a, const void *b)
{
	uint32_t x = (*(struct probe_account *const *)a)->id;
	uint32_t y = (*(struct probe_account *const *)b)->id;

	return x < y ? -1 : x > y;
}

struct probe_item *probe_list_find(const struct probe_list *l, int64_t account)
{
	const struct probe_account key = {.id = (uint32_t)account};
	const struct probe_account *p = &key;
	struct probe_account **found = l->count
		? bsearch(&p, l->accounts, l->count, sizeof(struct probe_account *), by_id)
		: NULL;

	return found ? probe_item_of(*found) : NULL;
}

void probe_list_fini(struct probe_list *l, probe_gone_fn *gone)
{
	const struct probe_list none = {0};

	drop_others(l, &none, gone);
	*l = none;
}
