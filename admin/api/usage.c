#include "admin/api/usage.h"

#include "admin/api/query.h"
#include "admin/control.h"
#include "admin/store/store.h"
#include "common/board.h"
#include "common/clock.h"
#include "common/errtext.h"
#include "common/staterow.h"

#include <errno.h>
#include <string.h>

#define NOTICE_PERCENT 80
#define READS 1000

int usage_open(struct control *c, struct errtext *e)
{
	if (c->start->statefile_fd < 0)
		return 0;
	return statefile_map(c->start->statefile_fd, &c->statefile, e);
}

void usage_close(struct control *c)
{
	statefile_unmap(&c->statefile);
}

int usage_make_room(struct control *c)
{
	uint32_t rows;

	if (!c->statefile.block)
		return 0;
	statefile_table(&c->statefile, STATEFILE_USAGE, &rows);
	if (board_get(&c->board->counters[BOARD_USAGE_ROWS]) + STATEFILE_USAGES_AHEAD <= rows)
		return 0;
	int error = statefile_grow(c->start->statefile_fd);
	return error ? error : statefile_follow(&c->statefile, c->start->statefile_fd);
}

/* --- reading --- */

/*
 * A copy with a valid check was not taken in the middle of a change; changes take less than a
 * microsecond, so READS bounds the tries. Also -ENOENT when the row changed its subject during the copy.
 */
static int take_row(
	const struct statefile_usage *row, enum usage_kind kind, struct statefile_usage *ret)
{
	for (int i = 0; i < READS; i++) {
		if (atomic_load_explicit(&row->state, memory_order_acquire) != kind)
			return -ENOENT;
		memcpy(ret, row, sizeof(*ret));
		atomic_thread_fence(memory_order_acquire);
		if (ret->check == staterow_sum(STATEROW(ret)))
			return ret->state == kind ? 0 : -ENOENT;
	}
	return -EBADMSG;
}

int usage_read(
	const struct control *c, enum usage_kind kind, uint32_t id, struct statefile_usage *ret)
{
	uint32_t count = 0;
	struct statefile_usage row;
	const struct statefile_usage *rows =
		c->statefile.block ? statefile_table(&c->statefile, STATEFILE_USAGE, &count) : NULL;

	for (uint32_t i = 0; i < count; i++) {
		int error = rows[i].id == id ? take_row(&rows[i], kind, &row) : -ENOENT;
		if (error == -ENOENT || (!error && row.id != id))
			continue;
		if (!error)
			memcpy(ret, &row, sizeof(*ret));
		return error;
	}
	return -ENOENT;
}

static uint32_t subject_of(const struct statefile_lease *lease, enum usage_kind kind)
{
	switch (kind) {
	case USAGE_TENANT:
		return lease->tenant;
	case USAGE_KEY:
		return lease_family(lease);
	case USAGE_ACCOUNT:
		return lease->account;
	case USAGE_FREE:
	case USAGE_POOL:
	case USAGE_KIND_COUNT:
		break;
	}
	return 0;
}

uint32_t usage_slots(const struct control *c, enum usage_kind kind, uint32_t id)
{
	uint32_t count = 0;
	uint32_t slots = 0;
	const struct statefile_lease *rows =
		c->statefile.block ? statefile_table(&c->statefile, STATEFILE_LEASE, &count) : NULL;

	for (uint32_t i = 0; i < count; i++) {
		if (atomic_load_explicit(&rows[i].state, memory_order_acquire) != LEASE_FREE &&
			subject_of(&rows[i], kind) == id)
			slots++;
	}
	return slots;
}

/* --- describing --- */

static const char *limit_field(enum usage_window w)
{
	static const char *const fields[USAGE_WINDOW_COUNT] = {
		[USAGE_SECOND] = "rps",
		[USAGE_MINUTE] = "rpm",
		[USAGE_HOUR] = "rph",
		[USAGE_DAY] = "daily",
		[USAGE_MONTH] = "monthly",
	};

	return fields[w];
}

/* `used` below 0: not counted. */
static json_object *describe_window(
	enum usage_window w, int64_t limit, int64_t used, int64_t now_ms)
{
	json_object *o = json_object_new_object();

	answer_text(o, "window", window_name(w));
	answer_known(o, "limit", limit > 0, limit);
	answer_known(o, "used", used >= 0, used);
	answer_known(o, "remaining", limit > 0 && used >= 0, used < limit ? limit - used : 0);
	answer_time(o, "resets_at", window_reset_ms(w, now_ms));
	return o;
}

static int64_t limit_of(json_object *o, const char *field)
{
	return json_object_get_int64(json_object_object_get(o, field));
}

/* The agent counts accounts, and tenants and keys with any limit. */
static bool is_counted(enum usage_kind kind, json_object *o)
{
	bool counted = kind == USAGE_ACCOUNT || limit_of(o, "concurrency");

	for (int i = 0; i < USAGE_WINDOW_COUNT; i++)
		counted = counted || limit_of(o, limit_field((enum usage_window)i));
	return counted;
}

void usage_describe(const struct control *c, enum usage_kind kind, uint32_t id, json_object *o)
{
	struct statefile_usage row = {.id = id};
	json_object *items = json_object_new_array();
	int64_t now = clock_wall_ms();
	bool known = c->statefile.block != NULL;
	int error = known && is_counted(kind, o) ? usage_read(c, kind, id, &row) : -EBADMSG;

	answer_known(o, "in_use", known, usage_slots(c, kind, id));
	for (int i = 0; i < USAGE_WINDOW_COUNT; i++) {
		enum usage_window w = (enum usage_window)i;
		int64_t limit = limit_of(o, limit_field(w));
		int64_t used = error ? 0 : window_count(&row, w, now);
		if (limit == 0 && (w < USAGE_DAY || kind == USAGE_ACCOUNT))
			continue;
		json_object_array_add(
			items, describe_window(w, limit, error == -EBADMSG ? -1 : used, now));
	}
	json_object_object_add(o, "usage", items);
}

/* --- quotas that are nearly used up --- */

static void put_quota(json_object *items, struct row *row, const struct statefile_usage *usage,
	enum usage_window w, int64_t limit)
{
	int64_t now = clock_wall_ms();
	int64_t used = window_count(usage, w, now);

	if (limit == 0 || used * 100 < limit * NOTICE_PERCENT)
		return;
	json_object *o = json_object_new_object();
	answer_slice(o, "tenant", row_text(row, "name"));
	answer_text(o, "window", window_name(w));
	answer_number(o, "used", used);
	answer_number(o, "limit", limit);
	answer_time(o, "resets_at", window_reset_ms(w, now));
	json_object_array_add(items, o);
}

struct quota_search {
	json_object *items;
	struct statefile_usage usage;
};

static int put_tenant(struct request *r, struct row *row, void *context)
{
	const struct quota_search *search = context;

	(void)r;
	put_quota(search->items, row, &search->usage, USAGE_DAY, row_number(row, "daily"));
	put_quota(search->items, row, &search->usage, USAGE_MONTH, row_number(row, "monthly"));
	return 0;
}

int usage_describe_quotas(struct request *r, json_object *o)
{
	struct quota_search search = {.items = json_object_new_array()};
	const struct statefile *f = &r->control->statefile;
	uint32_t count = 0;
	const struct statefile_usage *rows =
		f->block ? statefile_table(f, STATEFILE_USAGE, &count) : NULL;
	int error = 0;

	json_object_object_add(o, "quota", search.items);
	for (uint32_t i = 0; i < count && !error; i++) {
		if (take_row(&rows[i], USAGE_TENANT, &search.usage))
			continue;
		error = query_each(r, put_tenant, &search,
			"SELECT name, daily, monthly FROM tenants WHERE id = ?1", "i",
			(int64_t)search.usage.id);
	}
	return error;
}
