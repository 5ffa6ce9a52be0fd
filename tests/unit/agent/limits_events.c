#include "limits_events.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- making --- */

static enum limits_event_type some_type(uint64_t *rng)
{
	static const uint8_t shares[LIMITS_EVENT_TYPES] = {
		[LIMITS_DECIDE] = 100,
		[LIMITS_AGAIN] = 8,
		[LIMITS_FAILED] = 16,
		[LIMITS_FAILED_2] = 6,
		[LIMITS_ANSWERED] = 60,
		[LIMITS_FOREIGN] = 3,
		[LIMITS_END] = 45,
		[LIMITS_UNSENT] = 10,
		[LIMITS_LOST] = 6,
		[LIMITS_LATE] = 10,
		[LIMITS_TIME] = 36,
		[LIMITS_STEP] = 2,
		[LIMITS_HEAL] = 10,
		[LIMITS_EXPIRE] = 1,
		[LIMITS_CRASH] = 2,
	};
	uint32_t sum = 0;

	for (int i = 0; i < LIMITS_EVENT_TYPES; i++)
		sum += shares[i];
	uint32_t at = limits_below(rng, sum);
	for (int i = 0;; i++) {
		if (at < shares[i])
			return (enum limits_event_type)i;
		at -= shares[i];
	}
}

/*
 * Mostly moments, sometimes to the edge of a window, seldom days, and sometimes a little backwards.
 */
static int64_t some_time(const struct limits_model *m, uint64_t *rng)
{
	static const uint32_t spans[] = {20, 20, 300, 1500, 1500, 90000, 5000000, 100000000};
	uint32_t what = limits_below(rng, 100);

	if (what < 12)
		return -(int64_t)limits_below(rng, LIMITS_BACK_MS);
	if (what < 25) {
		uint32_t w = limits_below(rng, limits_below(rng, USAGE_WINDOW_COUNT) + 1);
		return window_reset_ms((enum usage_window)w, m->now_ms) - m->now_ms - 1 +
			limits_below(rng, 3);
	}
	return limits_below(rng, spans[limits_below(rng, limits_below(rng, 8) + 1)]);
}

/* Often back to where it was, more or less. */
static int64_t some_step(const struct limits_model *m, uint64_t *rng)
{
	static const int64_t spans[] = {
		1500, 3600000, 86400000, 2 * 86400000, 60 * INT64_C(86400000)};
	int64_t step = spans[limits_below(rng, 5)];

	if (limits_below(rng, 3) == 0)
		return -m->wrong_ms;
	return limits_below(rng, 2) ? step : -step;
}

static uint32_t live_request(const struct limits_model *m, uint64_t *rng, uint32_t next)
{
	if (m->live_count && limits_below(rng, 8))
		return m->requests[m->live[limits_below(rng, m->live_count)]].n;
	return next > 100 ? next - 1 - limits_below(rng, 100) : 0;
}

static uint32_t new_request(const struct limits_model *m, uint32_t *next)
{
	while (m->requests[*next % LIMITS_REQUESTS].live)
		++*next;
	return (*next)++;
}

struct limits_event limits_events_next(const struct limits_model *m, uint64_t *rng, uint32_t *next)
{
	struct limits_event e = {.type = some_type(rng)};

	if (e.type == LIMITS_TIME) {
		e.ms = some_time(m, rng);
	} else if (e.type == LIMITS_STEP) {
		e.ms = some_step(m, rng);
	} else if (e.type == LIMITS_DECIDE) {
		e.n = new_request(m, next);
		e.key = limits_below(rng, LIMITS_KEYS);
		e.conversation = limits_below(rng, LIMITS_CONVERSATIONS);
		e.hard = limits_below(rng, 2);
		e.gen = 1 + limits_below(rng, 2);
	} else if (e.type != LIMITS_EXPIRE && e.type != LIMITS_CRASH) {
		e.n = live_request(m, rng, *next);
		e.gen = e.type <= LIMITS_FAILED_2 ? 1 + limits_below(rng, 2) : 0;
	}
	return e;
}

/* --- replaying and shrinking --- */

bool limits_events_replay(uint64_t seed, const struct limits_events *list, char ret_failure[200])
{
	struct limits_model *m = malloc(sizeof(*m));
	bool ok = true;

	if (!m)
		abort();
	limits_model_init(m, seed);
	for (uint32_t i = 0; i < list->count && ok; i++)
		ok = limits_model_apply(m, &list->events[i]);
	ok = ok && limits_model_check(m) && limits_model_finish(m);
	memcpy(ret_failure, m->failure, sizeof(m->failure));
	limits_model_fini(m);
	free(m);
	return ok;
}

/* True when the list still fails without these events: they are then removed. */
static bool drop(uint64_t seed, struct limits_events *list, uint32_t first, uint32_t count)
{
	struct limits_events less = {malloc(sizeof(*list->events) * (list->count + 1)),
		list->count - count, ++list->replays};
	char failure[200];

	if (!less.events)
		abort();
	memcpy(less.events, list->events, sizeof(*list->events) * first);
	memcpy(less.events + first, list->events + first + count,
		sizeof(*list->events) * (list->count - first - count));
	if (list->replays > LIMITS_REPLAYS || limits_events_replay(seed, &less, failure)) {
		free(less.events);
		return false;
	}
	free(list->events);
	*list = less;
	return true;
}

static bool drop_pieces(uint64_t seed, struct limits_events *list, uint32_t size)
{
	bool dropped = false;

	for (uint32_t end = list->count; end >= size; end -= size)
		dropped |= drop(seed, list, end - size, size);
	return dropped;
}

/* Joins two steps of the clock. */
static bool join_steps(uint64_t seed, struct limits_events *list)
{
	bool joined = false;

	for (uint32_t i = list->count; i-- > 1;) {
		struct limits_event *a = &list->events[i - 1];
		struct limits_event second = list->events[i];
		if (a->type != LIMITS_TIME || second.type != LIMITS_TIME)
			continue;
		a->ms += second.ms;
		if (drop(seed, list, i, 1))
			joined = true;
		else
			a->ms -= second.ms;
	}
	return joined;
}

void limits_events_shrink(uint64_t seed, struct limits_events *list)
{
	for (uint32_t size = list->count / 2; size > 1; size /= 2)
		drop_pieces(seed, list, size);
	bool smaller = true;
	while (smaller && list->count) {
		smaller = drop_pieces(seed, list, 1);
		smaller |= join_steps(seed, list);
	}
}

void limits_events_print(uint64_t seed, const struct limits_events *list)
{
	static const char *const names[LIMITS_EVENT_TYPES] = {"LIMITS_DECIDE", "LIMITS_AGAIN",
		"LIMITS_FAILED", "LIMITS_FAILED_2", "LIMITS_ANSWERED", "LIMITS_FOREIGN",
		"LIMITS_END", "LIMITS_UNSENT", "LIMITS_LOST", "LIMITS_LATE", "LIMITS_TIME",
		"LIMITS_STEP", "LIMITS_HEAL", "LIMITS_EXPIRE", "LIMITS_CRASH"};

	printf("\t/* seed %" PRIu64 " */\n", seed);
	for (uint32_t i = 0; i < list->count; i++) {
		const struct limits_event *e = &list->events[i];
		printf("\t{%s, %u, %u, %u, %u, %u, %" PRId64 "},\n", names[e->type], e->n, e->key,
			e->conversation, e->hard, e->gen, e->ms);
	}
}
