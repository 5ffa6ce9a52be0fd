#include "admin/upkeep/probe_list.h"

#include "common/errtext.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define GROWTH 64

enum column {
	COLUMN_ID,
	COLUMN_NAME,
	COLUMN_PROVIDER,
	COLUMN_URL,
	COLUMN_STRIP,
	COLUMN_PATH,
	COLUMN_SUSPENDED,
	COLUMN_LOGIN,
	COLUMN_CREDENTIAL,
	COLUMN_POOL,
};

#define SCAN_SQL                                                                                   \
	"SELECT a.id, a.name, u.provider, u.url, u.strip, u.probe_path, a.suspended,"              \
	" a.needs_login <> '',"                                                                    \
	" EXISTS (SELECT 1 FROM credentials c WHERE c.account_id = a.id"                           \
	" AND c.field = 'access_token'),"                                                          \
	" EXISTS (SELECT 1 FROM pool_members m WHERE m.account_id = a.id)"                         \
	" FROM accounts a JOIN upstreams u ON u.id = a.upstream_id ORDER BY a.id"

/* --- one item --- */

static void find_target(struct probe_item *item, sqlite3_stmt *st)
{
	if (provider_parse(store_column(st, COLUMN_PROVIDER), &item->provider)) {
		errtext_set(&item->obstacle, -ENOENT, "its upstream's provider is not known");
		return;
	}
	probe_target(item->provider, store_column(st, COLUMN_URL), store_column(st, COLUMN_STRIP),
		store_column(st, COLUMN_PATH), item->target, &item->obstacle);
}

static void take_row(struct probe_item *item, sqlite3_stmt *st)
{
	struct slice name = slice_cut(store_column(st, COLUMN_NAME), sizeof(item->name) - 1);

	snprintf(item->name, sizeof(item->name), "%.*s", (int)name.n, name.p);
	item->obstacle.text[0] = '\0';
	if (sqlite3_column_int(st, COLUMN_SUSPENDED))
		errtext_set(&item->obstacle, -EBUSY, "it is suspended");
	else if (sqlite3_column_int(st, COLUMN_LOGIN))
		errtext_set(&item->obstacle, -EBUSY, "it needs a login");
	else if (!sqlite3_column_int(st, COLUMN_CREDENTIAL))
		errtext_set(&item->obstacle, -EBUSY, "it has no credential");
	else
		find_target(item, st);
	item->account.wanted = !item->obstacle.text[0] && sqlite3_column_int(st, COLUMN_POOL);
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

/* Items that both lists have are shared until the scan has succeeded. */
static int scan_row(struct probe_list *fresh, const struct probe_list *old, struct probe *owner,
	sqlite3_stmt *st)
{
	int64_t account = sqlite3_column_int64(st, COLUMN_ID);
	struct probe_item *known = probe_list_find(old, account);
	struct probe_item *item = known ? known : new_item(owner, account);
	int error = item ? append(fresh, item) : -ENOMEM;

	if (!error)
		take_row(item, st);
	else if (!known)
		free(item);
	return error;
}

static int scan(struct probe_list *fresh, const struct probe_list *old, struct probe *owner,
	struct store *s, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(s, SCAN_SQL, e);
	int rc;

	if (!st)
		return -EIO;
	while ((rc = store_step(s, st, e)) == 1) {
		rc = scan_row(fresh, old, owner, st);
		if (rc) {
			sqlite3_reset(st);
			return errtext_set(e, rc, "out of memory");
		}
	}
	return rc;
}

/* Frees what `from` has and `kept` lacks. */
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
	(void)item; /* new: nothing has happened to it */
}

int probe_list_scan(struct probe_list *l, struct probe *owner, struct store *s, probe_gone_fn *gone,
	struct errtext *e)
{
	struct probe_list fresh = {0};
	int error = scan(&fresh, l, owner, s, e);

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
