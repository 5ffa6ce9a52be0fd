#include "agent/usage.h"

#include <errno.h>
#include <stdlib.h>

#define SWEEP_LOOKS 64

static enum usage_kind kind_of(const struct statefile_usage *row)
{
	return (enum usage_kind)atomic_load_explicit(&row->state, memory_order_relaxed);
}

static uint32_t bucket_of(const struct usages *u, enum usage_kind kind, uint32_t id)
{
	uint64_t x = ((uint64_t)kind << 32 | id) * 0x9e3779b97f4a7c15u;

	return (uint32_t)(x >> 32) & u->index_mask;
}

static bool is_row(const struct statefile_usage *row, enum usage_kind kind, uint32_t id)
{
	return row->id == id && kind_of(row) == kind;
}

static void index_insert(struct usages *u, uint32_t row, enum usage_kind kind, uint32_t id)
{
	uint32_t at = bucket_of(u, kind, id);

	while (u->index[at])
		at = (at + 1) & u->index_mask;
	u->index[at] = row + 1;
}

static uint32_t index_at(const struct usages *u, enum usage_kind kind, uint32_t id)
{
	uint32_t at = bucket_of(u, kind, id);

	while (u->index[at] && !is_row(&u->rows[u->index[at] - 1], kind, id))
		at = (at + 1) & u->index_mask;
	return at;
}

/* Moves back what would not be found any more past the new hole: no tombstones. */
static void index_remove(struct usages *u, uint32_t hole)
{
	for (uint32_t at = (hole + 1) & u->index_mask; u->index[at];
		at = (at + 1) & u->index_mask) {
		const struct statefile_usage *row = &u->rows[u->index[at] - 1];
		uint32_t home = bucket_of(u, kind_of(row), row->id);
		if (((at - home) & u->index_mask) < ((at - hole) & u->index_mask))
			continue;
		u->index[hole] = u->index[at];
		hole = at;
	}
	u->index[hole] = 0;
}

static void free_row(struct usages *u, uint32_t i)
{
	atomic_store_explicit(&u->rows[i].state, USAGE_FREE, memory_order_release);
	u->free_rows[u->count - u->used] = i;
}

static void take_over_rows(struct usages *u)
{
	u->used = u->count;
	for (uint32_t i = u->count; i-- > 0;) {
		const struct statefile_usage *row = &u->rows[i];
		enum usage_kind kind = kind_of(row);
		bool twice = kind != USAGE_FREE && usage_find(u, kind, row->id);
		u->dropped += twice;
		if (kind != USAGE_FREE && !twice) {
			index_insert(u, i, kind, row->id);
			continue;
		}
		free_row(u, i);
		u->used--;
	}
}

int usages_init(struct usages *u, struct statefile_usage *rows, uint32_t count)
{
	uint32_t buckets = 8;

	while (buckets < count * 2)
		buckets *= 2;
	*u = (struct usages){.rows = rows, .count = count, .index_mask = buckets - 1};
	u->index = calloc(buckets, sizeof(*u->index));
	u->in_use = calloc(count, sizeof(*u->in_use));
	u->free_rows = calloc(count, sizeof(*u->free_rows));
	if (!u->index || !u->in_use || !u->free_rows) {
		usages_fini(u);
		return -ENOMEM;
	}
	take_over_rows(u);
	return 0;
}

void usages_fini(struct usages *u)
{
	free(u->index);
	free(u->in_use);
	free(u->free_rows);
	*u = (struct usages){0};
}

struct statefile_usage *usage_find(const struct usages *u, enum usage_kind kind, uint32_t id)
{
	uint32_t found = u->index[index_at(u, kind, id)];

	return found ? &u->rows[found - 1] : NULL;
}

static bool is_forgettable(const struct usages *u, uint32_t i, uint32_t month)
{
	return u->in_use[i] == 0 && u->rows[i].windows[USAGE_MONTH].number < month;
}

/* A few looks: good enough, and bounded. */
static bool forget_one(struct usages *u, int64_t now_ms)
{
	uint32_t month = window_number(USAGE_MONTH, now_ms);

	for (uint32_t n = 0; n < SWEEP_LOOKS; n++) {
		uint32_t i = u->sweep;
		u->sweep = (u->sweep + 1) % u->count;
		if (!is_forgettable(u, i, month))
			continue;
		index_remove(u, index_at(u, kind_of(&u->rows[i]), u->rows[i].id));
		free_row(u, i);
		u->used--;
		return true;
	}
	return false;
}

static struct statefile_usage *make_row(
	struct usages *u, enum usage_kind kind, uint32_t id, int64_t now_ms)
{
	if (u->used == u->count && !forget_one(u, now_ms))
		return NULL;
	uint32_t i = u->free_rows[u->count - u->used - 1];
	struct statefile_usage *row = &u->rows[i];
	*row = (struct statefile_usage){.id = id};
	row->windows[USAGE_MONTH].number = window_number(USAGE_MONTH, now_ms);
	atomic_store_explicit(&row->state, kind, memory_order_release);
	u->used++;
	index_insert(u, i, kind, id);
	return row;
}

/* Who holds a row of this month may make others: they are never made of it. */
static void keep_for_month(struct statefile_usage *row, int64_t now_ms)
{
	uint32_t month = window_number(USAGE_MONTH, now_ms);

	if (row->windows[USAGE_MONTH].number < month)
		row->windows[USAGE_MONTH] = (struct statefile_window){month, 0};
}

struct statefile_usage *usage_of(
	struct usages *u, enum usage_kind kind, uint32_t id, int64_t now_ms)
{
	uint32_t found = u->index[index_at(u, kind, id)];

	if (!found)
		return make_row(u, kind, id, now_ms);
	keep_for_month(&u->rows[found - 1], now_ms);
	return &u->rows[found - 1];
}

uint32_t usage_in_use(const struct usages *u, const struct statefile_usage *row)
{
	return row ? u->in_use[row - u->rows] : 0;
}

void usage_enter(struct usages *u, const struct statefile_usage *row)
{
	if (row)
		u->in_use[row - u->rows]++;
}

void usage_leave(struct usages *u, const struct statefile_usage *row)
{
	if (row && u->in_use[row - u->rows])
		u->in_use[row - u->rows]--;
}

void usage_add(struct statefile_usage *row, const struct window_clock *clock)
{
	for (int w = 0; w < USAGE_WINDOW_COUNT; w++) {
		struct statefile_window *window = &row->windows[w];
		uint32_t number = clock->numbers[w];
		/* as window_count(): a clock set back a little goes on in the window it had reached */
		if (window->number != number && window->number != number + 1)
			*window = (struct statefile_window){number, 0};
		if (window->count < UINT32_MAX)
			window->count++;
	}
}

void usage_give_back(struct statefile_usage *row, int64_t then_ms)
{
	for (int w = 0; w < USAGE_WINDOW_COUNT; w++) {
		struct statefile_window *window = &row->windows[w];
		uint32_t number = window_number((enum usage_window)w, then_ms);
		if (window->number == number && window->count)
			window->count--;
	}
}
