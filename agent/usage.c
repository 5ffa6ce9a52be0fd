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
	*u = (struct usages){.rows = rows};
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
	return kind_of(&u->rows[i]) != USAGE_FREE && u->rows[i].windows[USAGE_MONTH].number < month;
}

/* A bounded number of looks. */
static void forget_one(struct usages *u, int64_t now_ms)
{
	uint32_t month = window_number(USAGE_MONTH, now_ms);

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
	uint32_t month = window_number(USAGE_MONTH, now_ms);

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

	if (row->windows[USAGE_MONTH].number >= month)
		return;
	staterow_open(STATEROW(row));
	row->windows[USAGE_MONTH] = (struct statefile_window){month, 0};
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
		struct statefile_window *window = &row->windows[w];
		uint32_t number = clock->numbers[w];
		/*
		 * as window_count(): a clock set back a little continues the window it had reached
		 */
		if (window->number != number && window->number != number + 1)
			*window = (struct statefile_window){number, 0};
		if (window->count < UINT32_MAX)
			window->count++;
	}
}

void usage_give_back(struct statefile_usage *row, int64_t then_ms)
{
	for (int w = 0; row && w < USAGE_WINDOW_COUNT; w++) {
		struct statefile_window *window = &row->windows[w];
		uint32_t number = window_number((enum usage_window)w, then_ms);
		if (window->number == number && window->count)
			window->count--;
	}
}
