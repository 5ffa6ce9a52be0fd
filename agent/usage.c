#include "agent/usage.h"

#include "common/staterow.h"

#include <stddef.h>
#include <string.h>

#define SWEEP_LOOKS 64

static enum usage_kind kind_of(const struct statefile_usage *row)
{
	return (enum usage_kind)atomic_load_explicit(&row->state, memory_order_relaxed);
}

int usages_init(struct usages *u, struct statefile_usage *rows, uint32_t count, uint32_t max)
{
	*u = (struct usages){.rows = rows, .retention_ms = INT64_MAX};
	return idindex_init(&u->index, rows, sizeof(*rows), count, max);
}

void usages_grow(struct usages *u, uint32_t count)
{
	idindex_grow(&u->index, count);
}

void usages_fini(struct usages *u)
{
	idindex_fini(&u->index);
	*u = (struct usages){0};
}

struct statefile_usage *usage_find(const struct usages *u, enum usage_kind kind, uint32_t id)
{
	uint32_t found = idindex_find(&u->index, kind, id);

	return found == IDINDEX_NONE ? NULL : &u->rows[found];
}

static bool is_forgettable(const struct usages *u, uint32_t i, uint32_t month)
{
	return kind_of(&u->rows[i]) != USAGE_FREE &&
		window_newest(&u->rows[i], USAGE_MONTH) < month;
}

/* Rows of earlier months may be forgotten. */
static uint32_t month_of(const struct usages *u, int64_t now_ms)
{
	return window_number(USAGE_MONTH, now_ms < u->retention_ms ? now_ms : u->retention_ms);
}

/* A bounded number of looks. */
static void forget_one(struct usages *u, int64_t now_ms)
{
	uint32_t month = month_of(u, now_ms);

	for (uint32_t n = 0; n < SWEEP_LOOKS; n++) {
		uint32_t i = u->sweep;
		u->sweep = (u->sweep + 1) % u->index.count;
		if (!is_forgettable(u, i, month))
			continue;
		idindex_remove(&u->index, i);
		return;
	}
}

/* False: the row was dropped. A row whose subject was wrong too is in the index under that one. */
static bool check_row(struct usages *u, uint32_t i)
{
	struct statefile_usage *row = &u->rows[i];
	struct statefile_usage mended;

	if (staterow_is_sound(STATEROW(row)))
		return true;
	memcpy(&mended, row, sizeof(mended));
	if (staterow_mend(STATEROW(&mended)) && mended.id == row->id &&
		mended.state == row->state) {
		memcpy(row, &mended, sizeof(*row));
		u->damage.mended[STATEFILE_USAGE]++;
		return true;
	}
	idindex_remove(&u->index, i);
	u->damage.dropped[STATEFILE_USAGE]++;
	return false;
}

static bool yields(enum usage_kind kind)
{
	return kind == USAGE_TENANT || kind == USAGE_KEY;
}

void usages_look(struct usages *u, int64_t now_ms, uint32_t looks)
{
	uint32_t month = month_of(u, now_ms);

	for (; looks > 0 && u->index.used > 0; looks--) {
		uint32_t i = u->sweep;
		u->sweep = i + 1 < u->index.fresh ? i + 1 : 0;
		if (kind_of(&u->rows[i]) == USAGE_FREE || !check_row(u, i))
			continue;
		if (yields(kind_of(&u->rows[i])) && is_forgettable(u, i, month))
			idindex_remove(&u->index, i);
	}
}

uint32_t usages_for_keys(uint32_t count)
{
	uint32_t spare = count / USAGE_SPARE;

	return count - (spare < USAGE_SPARE_MAX ? spare : USAGE_SPARE_MAX);
}

static bool has_room(const struct usages *u, enum usage_kind kind)
{
	uint32_t count = u->index.count;

	return u->index.used < (yields(kind) ? usages_for_keys(count) : count);
}

static struct statefile_usage *make_row(
	struct usages *u, enum usage_kind kind, uint32_t id, int64_t now_ms)
{
	if (!has_room(u, kind))
		forget_one(u, now_ms);
	if (!has_room(u, kind))
		return NULL;
	uint32_t i = idindex_next(&u->index);
	struct statefile_usage *row = &u->rows[i];
	*row = (struct statefile_usage){.id = id, .check = STATEROW_OPEN};
	row->windows[USAGE_MONTH].number = window_number(USAGE_MONTH, now_ms);
	idindex_add(&u->index, i, kind);
	staterow_seal(STATEROW(row));
	return row;
}

/* A caller with a row of this month may create others: its row is never reused for them. */
static void keep_for_month(struct statefile_usage *row, int64_t now_ms)
{
	uint32_t month = window_number(USAGE_MONTH, now_ms);

	if (window_newest(row, USAGE_MONTH) >= month)
		return;
	staterow_open(STATEROW(row));
	window_enter(row, USAGE_MONTH, month);
	staterow_seal(STATEROW(row));
}

struct statefile_usage *usage_of(
	struct usages *u, enum usage_kind kind, uint32_t id, int64_t now_ms)
{
	uint32_t found = idindex_find(&u->index, kind, id);

	if (found == IDINDEX_NONE || !check_row(u, found))
		return make_row(u, kind, id, now_ms);
	keep_for_month(&u->rows[found], now_ms);
	return &u->rows[found];
}

void usage_set_ratio(struct statefile_usage *row, uint16_t ratio)
{
	staterow_open(STATEROW(row));
	row->failure_ratio = ratio;
	staterow_seal(STATEROW(row));
}

void usage_add(struct statefile_usage *row, const struct window_clock *clock)
{
	for (int w = 0; row && w < USAGE_WINDOW_COUNT; w++) {
		struct statefile_window *window =
			window_enter(row, (enum usage_window)w, clock->numbers[w]);
		if (window->count < UINT32_MAX)
			window->count++;
	}
}

void usage_give_back(struct statefile_usage *row, int64_t then_ms)
{
	for (int i = 0; row && i < USAGE_WINDOW_COUNT; i++) {
		enum usage_window w = (enum usage_window)i;
		window_give_back(row, w, window_number(w, then_ms));
	}
}
