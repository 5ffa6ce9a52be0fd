#include "admin/upkeep/refresh_list.h"

#include "admin/upkeep/refresh_plan.h"
#include "common/errtext.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define GROWTH 64

enum column {
	COLUMN_ID,
	COLUMN_NAME,
	COLUMN_CLIENT,
	COLUMN_GENERATION,
	COLUMN_ACCESS_GENERATION,
	COLUMN_UPDATED,
	COLUMN_EXPIRES,
	COLUMN_PARENT,
	COLUMN_SENDS,
	COLUMN_INTENT,
	COLUMN_HAS_REPLY,
};

/* A reply that waits is acted on whatever has become of the account. */
#define SCAN_SQL                                                                                   \
	"SELECT a.id, a.name, u.client_id, r.generation, c.generation, c.updated_ms,"              \
	" c.expires_ms, f.parent, f.attempt, f.intent_ms, f.reply IS NOT NULL"                     \
	" FROM accounts a JOIN upstreams u ON u.id = a.upstream_id"                                \
	" LEFT JOIN credentials r ON r.account_id = a.id AND r.field = 'refresh_token'"            \
	" LEFT JOIN credentials c ON c.account_id = a.id AND c.field = 'access_token'"             \
	" LEFT JOIN refreshes f ON f.account_id = a.id"                                            \
	" WHERE (a.source <> 'watch' AND a.needs_login = '' AND u.token_url <> ''"                 \
	" AND u.client_id <> '' AND r.generation IS NOT NULL) OR f.reply IS NOT NULL"              \
	" ORDER BY a.id"

/* --- one item --- */

static void free_item(struct refresh_item *item)
{
	if (item)
		buffer_fini(&item->unsaved);
	free(item);
}

static bool is_under_way(const struct refresh_item *item)
{
	return item->call || item->unsaved_status;
}

static uint64_t hash_of(struct slice s)
{
	uint64_t h = 14695981039346656037u;

	for (size_t i = 0; i < s.n; i++)
		h = (h ^ (uint8_t)s.p[i]) * 1099511628211u;
	return h;
}

static bool is_refused(const struct board *b, sqlite3_stmt *st)
{
	uint64_t generation = (uint64_t)sqlite3_column_int64(st, COLUMN_ACCESS_GENERATION);
	const struct board_account *row =
		board_find_account(b, (uint32_t)sqlite3_column_int64(st, COLUMN_ID));

	return row && generation && board_get(&row->refused_credential) == generation;
}

/* A wall clock that was set back must not make an intent wait for ever. */
static int64_t repeat_ms(sqlite3_stmt *st, int64_t wall_ms)
{
	int64_t intent_ms = sqlite3_column_int64(st, COLUMN_INTENT);
	uint32_t sends = (uint32_t)sqlite3_column_int64(st, COLUMN_SENDS);

	return (intent_ms < wall_ms ? intent_ms : wall_ms) + refresh_repeat_pause_ms(sends);
}

static int64_t plan_ms(const struct refresh_item *item, sqlite3_stmt *st)
{
	return refresh_due_ms(sqlite3_column_int64(st, COLUMN_UPDATED),
		sqlite3_column_int64(st, COLUMN_EXPIRES), item->account,
		sqlite3_column_int64(st, COLUMN_ACCESS_GENERATION));
}

static int64_t refused_ms(const struct refresh_item *item, int64_t now_ms)
{
	int64_t rested = item->renewed_ms + REFRESH_REFUSED_PAUSE_MS;

	return item->renewed_ms && rested > now_ms ? rested : now_ms;
}

static int64_t wanted_ms(const struct refresh_item *item, const struct board *b, sqlite3_stmt *st,
	struct refresh_clock at)
{
	int64_t wall_ms = item->repeats ? repeat_ms(st, at.wall_ms) : plan_ms(item, st);

	if (item->has_reply)
		return at.now_ms;
	if (wall_ms > at.wall_ms && !item->repeats && is_refused(b, st))
		return refused_ms(item, at.now_ms);
	return wall_ms == REFRESH_NEVER ? INT64_MAX : at.now_ms + (wall_ms - at.wall_ms);
}

/* Another token than the one that failed starts anew. */
static void take_generation(struct refresh_item *item, int64_t generation)
{
	if (item->generation >= 0 && item->generation != generation) {
		item->failures = item->retries = 0;
		item->not_before_ms = 0;
	}
	item->generation = generation;
}

static void take_row(
	struct refresh_item *item, const struct board *b, sqlite3_stmt *st, struct refresh_clock at)
{
	struct slice name = slice_cut(store_column(st, COLUMN_NAME), sizeof(item->name) - 1);

	snprintf(item->name, sizeof(item->name), "%.*s", (int)name.n, name.p);
	item->client = hash_of(store_column(st, COLUMN_CLIENT));
	take_generation(item, sqlite3_column_int64(st, COLUMN_GENERATION));
	item->has_reply = sqlite3_column_int(st, COLUMN_HAS_REPLY) != 0;
	item->repeats = sqlite3_column_type(st, COLUMN_PARENT) != SQLITE_NULL &&
		sqlite3_column_int64(st, COLUMN_PARENT) == item->generation;
	item->wanted_ms = wanted_ms(item, b, st, at);
}

/* --- the list --- */

static int append(struct refresh_list *l, struct refresh_item *item)
{
	if (l->count % GROWTH == 0) {
		struct refresh_item **more =
			realloc(l->items, (l->count + GROWTH) * sizeof(struct refresh_item *));
		if (!more)
			return -ENOMEM;
		l->items = more;
	}
	l->items[l->count++] = item;
	return 0;
}

static struct refresh_item *new_item(struct refresh *owner, int64_t account)
{
	struct refresh_item *item = calloc(1, sizeof(*item));

	if (item) {
		item->owner = owner;
		item->account = account;
		item->generation = -1;
	}
	return item;
}

/* Adds what the old list lacks; the items that both have are shared until the scan has succeeded. */
static int scan_row(struct refresh_list *fresh, const struct refresh_list *old,
	struct refresh *owner, int64_t account, struct refresh_item **ret)
{
	struct refresh_item *known = refresh_list_find(old, account);
	struct refresh_item *item = known ? known : new_item(owner, account);
	int error = item ? append(fresh, item) : -ENOMEM;

	if (error && !known)
		free_item(item);
	else
		*ret = item;
	return error;
}

static int by_account(const void *a, const void *b)
{
	const struct refresh_item *x = *(struct refresh_item *const *)a;
	const struct refresh_item *y = *(struct refresh_item *const *)b;

	return x->account < y->account ? -1 : x->account > y->account;
}

/* What `from` has and `kept` lacks goes, except what is under way: that joins `kept`. */
static int drop_others(struct refresh_list *from, struct refresh_list *kept)
{
	struct refresh_list sorted = *kept;
	int error = 0;

	for (size_t i = 0; i < from->count && !error; i++) {
		struct refresh_item *item = from->items[i];
		if (refresh_list_find(&sorted, item->account) == item)
			continue;
		if (is_under_way(item))
			error = append(kept, item);
		else
			free_item(item);
		sorted.items = kept->items;
	}
	if (kept->count > sorted.count)
		qsort(kept->items, kept->count, sizeof(struct refresh_item *), by_account);
	return error;
}

static int scan(struct refresh_list *fresh, const struct refresh_list *old, struct refresh *owner,
	struct store *s, const struct board *b, struct refresh_clock at, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(s, SCAN_SQL, e);
	struct refresh_item *item;
	int rc;

	if (!st)
		return -EIO;
	while ((rc = store_step(s, st, e)) == 1) {
		rc = scan_row(fresh, old, owner, sqlite3_column_int64(st, COLUMN_ID), &item);
		if (rc) {
			sqlite3_reset(st);
			return errtext_set(e, rc, "out of memory");
		}
		take_row(item, b, st, at);
	}
	return rc;
}

int refresh_list_scan(struct refresh_list *l, struct refresh *owner, struct store *s,
	const struct board *b, struct refresh_clock at, struct errtext *e)
{
	struct refresh_list fresh = {0};
	int error = scan(&fresh, l, owner, s, b, at, e);

	if (error) {
		for (size_t i = 0; i < fresh.count; i++)
			if (!refresh_list_find(l, fresh.items[i]->account))
				free_item(fresh.items[i]);
		free(fresh.items);
		return error;
	}
	error = drop_others(l, &fresh);
	free(l->items);
	*l = fresh;
	return error ? errtext_set(e, error, "out of memory") : 0;
}

struct refresh_item *refresh_list_find(const struct refresh_list *l, int64_t account)
{
	const struct refresh_item key = {.account = account};
	const struct refresh_item *p = &key;
	struct refresh_item **found = l->count
		? bsearch(&p, l->items, l->count, sizeof(struct refresh_item *), by_account)
		: NULL;

	return found ? *found : NULL;
}

/* --- what is due --- */

static int64_t due_ms(const struct refresh_item *item)
{
	if (item->asked)
		return 0;
	return item->wanted_ms > item->not_before_ms ? item->wanted_ms : item->not_before_ms;
}

static int by_due(const void *a, const void *b)
{
	int64_t x = due_ms(*(struct refresh_item *const *)a);
	int64_t y = due_ms(*(struct refresh_item *const *)b);

	return x < y ? -1 : x > y;
}

struct refresh_item **refresh_list_due(
	const struct refresh_list *l, int64_t now_ms, size_t *ret_count)
{
	struct refresh_item **due = calloc(l->count + 1, sizeof(struct refresh_item *));
	size_t n = 0;

	for (size_t i = 0; due && i < l->count; i++)
		if (!is_under_way(l->items[i]) && due_ms(l->items[i]) <= now_ms)
			due[n++] = l->items[i];
	if (n)
		qsort(due, n, sizeof(struct refresh_item *), by_due);
	*ret_count = n;
	return due;
}

int64_t refresh_list_next_ms(const struct refresh_list *l)
{
	int64_t next = INT64_MAX;

	for (size_t i = 0; i < l->count; i++)
		if (!is_under_way(l->items[i]) && due_ms(l->items[i]) < next)
			next = due_ms(l->items[i]);
	return next;
}

void refresh_list_fini(struct refresh_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		free_item(l->items[i]);
	free(l->items);
	*l = (struct refresh_list){0};
}
