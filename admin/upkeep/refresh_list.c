#include "admin/upkeep/refresh_list.h"

#include "admin/store/sql.h"
#include "admin/upkeep/account_login.h"
#include "admin/upkeep/refresh_plan.h"
#include "admin/upkeep/refresh_refusals.h"
#include "common/errtext.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define GROWTH 64

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

static bool is_refused(const struct board *b, struct row *row)
{
	uint64_t generation = (uint64_t)row_number(row, "access_generation");
	const struct board_account *account = board_find_account(b, row_u32(row, "id"));

	return account && generation && board_get(&account->refused_credential) == generation;
}

/* The earlier of the two times: a wall clock that was set back must not delay the repetition for ever. */
static int64_t repeat_ms(struct row *row, int64_t wall_ms)
{
	int64_t intent_ms = row_number(row, "intent_ms");

	return (intent_ms < wall_ms ? intent_ms : wall_ms) +
		refresh_repeat_pause_ms(row_u32(row, "attempt"));
}

/* An age that the clock cannot tell, because it was set back, is a high one. */
static int64_t plan_ms(const struct refresh_item *item, struct row *row, int64_t wall_ms)
{
	int64_t updated_ms = row_number(row, "updated_ms");
	int64_t expires_ms = row_number(row, "expires_ms");

	if (!expires_ms && updated_ms > wall_ms + REFRESH_ASSUMED_LIFETIME_MS)
		return wall_ms;
	return refresh_due_ms(
		updated_ms, expires_ms, item->account, row_number(row, "access_generation"));
}

static int64_t refused_ms(const struct refresh_item *item, int64_t now_ms)
{
	int64_t rested = item->renewed_ms + REFRESH_REFUSED_PAUSE_MS;

	return item->renewed_ms && rested > now_ms ? rested : now_ms;
}

static int64_t wanted_ms(const struct refresh_item *item, const struct board *b, struct row *row,
	struct refresh_clock at)
{
	int64_t wall_ms =
		item->repeats ? repeat_ms(row, at.wall_ms) : plan_ms(item, row, at.wall_ms);

	if (item->has_reply)
		return at.now_ms;
	if (row_flag(row, "given_up"))
		return INT64_MAX;
	if (item->owed && !item->repeats)
		return at.now_ms;
	if (wall_ms > at.wall_ms && !item->repeats && is_refused(b, row))
		return refused_ms(item, at.now_ms);
	return at.now_ms + (wall_ms - at.wall_ms);
}

/* A new token starts without failures. */
static void take_generation(struct refresh_item *item, int64_t generation)
{
	if (item->generation >= 0 && item->generation != generation) {
		item->failures = item->retries = item->useless = 0;
		item->not_before_ms = 0;
		item->owed = false;
	}
	item->generation = generation;
}

static void take_row(
	struct refresh_item *item, const struct board *b, struct row *row, struct refresh_clock at)
{
	row_copy(row, "name", item->name, sizeof(item->name));
	item->client = hash_of(row_text(row, "client_id"));
	take_generation(item, row_number(row, "generation"));
	item->has_reply = row_flag(row, "has_reply");
	item->repeats =
		!row_is_null(row, "parent") && row_number(row, "parent") == item->generation;
	item->wanted_ms = wanted_ms(item, b, row, at);
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

struct scan {
	struct refresh_list *fresh;
	const struct refresh_list *old;
	struct refresh *owner;
	const struct board *board;
	struct refresh_clock at;
	struct errtext *e;
};

/* Adds an item that the old list lacks. Items that both have are shared until the scan has succeeded. */
static int scan_row(struct row *row, void *context)
{
	const struct scan *s = context;
	int64_t account = row_number(row, "id");
	struct refresh_item *known = refresh_list_find(s->old, account);
	struct refresh_item *item = known ? known : new_item(s->owner, account);
	int error = item ? append(s->fresh, item) : -ENOMEM;

	if (!error)
		take_row(item, s->board, row, s->at);
	else if (!known)
		free_item(item);
	return error ? errtext_set(s->e, error, "out of memory") : 0;
}

static int by_account(const void *a, const void *b)
{
	const struct refresh_item *x = *(struct refresh_item *const *)a;
	const struct refresh_item *y = *(struct refresh_item *const *)b;

	return x->account < y->account ? -1 : x->account > y->account;
}

/* Frees the items of `from` that `kept` lacks. Items in progress move to `kept`. */
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

/* A stored reply is settled even if the account is no longer refreshed. */
static int scan(struct scan *s, struct store *store)
{
	return sql_each(store, s->e, scan_row, s,
		"SELECT a.id, a.name, " ACCOUNT_LOGIN_CLIENT_ID
		" AS client_id, r.generation, f.reply IS NOT NULL AS has_reply,"
		" f.parent, f.intent_ms, f.attempt, c.updated_ms, c.expires_ms,"
		" c.generation AS access_generation, a.needs_login <> '' AS given_up"
		" FROM accounts a JOIN upstreams u ON u.id = a.upstream_id"
		" LEFT JOIN credentials r ON r.account_id = a.id AND r.field = 'refresh_token'"
		" LEFT JOIN credentials c ON c.account_id = a.id AND c.field = 'access_token'"
		" LEFT JOIN refreshes f ON f.account_id = a.id"
		" WHERE (a.source <> 'watch' AND " REFRESH_REFUSALS_ALLOW " AND u.token_url <> ''"
		" AND " ACCOUNT_LOGIN_CLIENT_ID
		" <> '' AND r.generation IS NOT NULL) OR f.reply IS NOT NULL"
		" ORDER BY a.id",
		"");
}

int refresh_list_scan(struct refresh_list *l, struct refresh *owner, struct store *s,
	const struct board *b, struct refresh_clock at, struct errtext *e)
{
	struct refresh_list fresh = {0};
	struct scan reading = {&fresh, l, owner, b, at, e};
	int error = scan(&reading, s);

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

/* --- due items --- */

static int64_t due_ms(const struct refresh_item *item)
{
	if (item->asked_ms)
		return item->asked_ms;
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
