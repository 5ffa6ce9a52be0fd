#include "health_events.h"
#include "limits_world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOODS 5
#define YOUNGEST 24 /* number of requests that most results are for */

/* --- making --- */

static uint32_t some_of(uint64_t *rng, const uint8_t *shares, uint32_t count)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < count; i++)
		sum += shares[i];
	uint32_t at = limits_below(rng, sum);
	for (uint32_t i = 0;; i++) {
		if (at < shares[i])
			return i;
		at -= shares[i];
	}
}

static enum result_class some_class(uint64_t *rng, uint32_t mood)
{
	static const uint8_t shares[MOODS][RESULT_CLASS_COUNT] = {
		{[RESULT_SUCCESS] = 90, [RESULT_PAYLOAD] = 5, [RESULT_CLIENT] = 5},
		{[RESULT_NETWORK] = 30,
			[RESULT_SERVER] = 30,
			[RESULT_OVERLOAD] = 30,
			[RESULT_SUCCESS] = 10},
		{[RESULT_DENIED] = 50, [RESULT_AUTH] = 45, [RESULT_PAYLOAD] = 5},
		{[RESULT_BURST] = 80, [RESULT_WINDOW] = 10, [RESULT_SUCCESS] = 10},
		{[RESULT_SUCCESS] = 2,
			[RESULT_BURST] = 1,
			[RESULT_WINDOW] = 1,
			[RESULT_AUTH] = 1,
			[RESULT_DENIED] = 1,
			[RESULT_PAYLOAD] = 1,
			[RESULT_OVERLOAD] = 1,
			[RESULT_SERVER] = 1,
			[RESULT_NETWORK] = 1,
			[RESULT_CLIENT] = 1},
	};

	return (enum result_class)some_of(rng, shares[mood], RESULT_CLASS_COUNT);
}

static int64_t some_end(uint64_t *rng, enum result_class class)
{
	if (limits_below(rng, 3) == 0)
		return -(int64_t)limits_below(rng, 1000);
	if (class == RESULT_BURST)
		return limits_below(rng, HEALTHS_RETRY_MS);
	return limits_below(rng, limits_below(rng, 2) ? 60000 : (uint32_t)HEALTHS_WINDOW_MS);
}

/* Mostly moments, often to the end of something, seldom days, and sometimes a little backwards. */
static int64_t some_time(const struct healths_model *m, uint64_t *rng)
{
	static const uint32_t spans[] = {20, 300, 1500, 30000, 70000, 2000000, 100000000};
	uint32_t what = limits_below(rng, 100);

	if (what < 12)
		return -(int64_t)limits_below(rng, HEALTHS_BACK_MS);
	struct health_look look = healths_model_look(m, limits_below(rng, HEALTHS_SUBJECTS));
	if (what < 60 && look.until_ms)
		return look.until_ms - m->now_ms - 1 + limits_below(rng, 3);
	return limits_below(rng, spans[limits_below(rng, limits_below(rng, 7) + 1)]);
}

static uint32_t some_request(uint64_t *rng, uint32_t next)
{
	uint32_t back = 1 + limits_below(rng, limits_below(rng, 8) ? YOUNGEST : HEALTHS_REQUESTS);

	return back < next ? next - back : 0;
}

static enum healths_event_type some_type(uint64_t *rng)
{
	static const uint8_t shares[HEALTHS_EVENT_TYPES] = {
		[HEALTHS_ASK] = 70,
		[HEALTHS_ASK_TOO] = 6,
		[HEALTHS_RESULT] = 80,
		[HEALTHS_LEAVE] = 6,
		[HEALTHS_AVOID] = 6,
		[HEALTHS_REST] = 4,
		[HEALTHS_WAKE] = 2,
		[HEALTHS_CONVICT] = 4,
		[HEALTHS_TIME] = 45,
		[HEALTHS_EPOCH] = 2,
		[HEALTHS_CREDENTIAL] = 4,
		[HEALTHS_CRASH] = 2,
	};

	return (enum healths_event_type)some_of(rng, shares, HEALTHS_EVENT_TYPES);
}

static enum healths_ask some_ask(uint64_t *rng)
{
	static const uint8_t shares[HEALTHS_ASKS] = {80, 20};

	return (enum healths_ask)some_of(rng, shares, HEALTHS_ASKS);
}

struct healths_event healths_events_next(
	const struct healths_model *m, struct healths_source *source)
{
	uint64_t *rng = &source->rng;
	struct healths_event e = {
		.type = some_type(rng), .subject = limits_below(rng, HEALTHS_SUBJECTS)};

	if (limits_below(rng, 60) == 0)
		source->mood = limits_below(rng, MOODS);
	if (e.type == HEALTHS_TIME) {
		e.ms = some_time(m, rng);
	} else if (e.type == HEALTHS_ASK) {
		e.n = source->next++;
		e.ask = some_ask(rng);
	} else if (e.type <= HEALTHS_AVOID) {
		e.n = some_request(rng, source->next);
		e.class = e.type == HEALTHS_RESULT ? some_class(rng, source->mood) : RESULT_SUCCESS;
		e.ms = e.type == HEALTHS_RESULT ? some_end(rng, e.class) : 0;
	} else if (e.type == HEALTHS_REST) {
		e.ms = limits_below(rng, HEALTHS_RETRY_MS);
	}
	e.random = limits_below(rng, UINT32_MAX);
	return e;
}

/* --- replaying and shrinking --- */

bool healths_events_replay(uint64_t seed, const struct healths_events *list, char ret_failure[200])
{
	struct healths_model *m = malloc(sizeof(*m));
	bool ok = true;

	if (!m)
		abort();
	healths_model_init(m, seed);
	for (uint32_t i = 0; i < list->count && ok; i++)
		ok = healths_model_apply(m, &list->events[i]);
	ok = ok && healths_model_finish(m);
	memcpy(ret_failure, m->failure, sizeof(m->failure));
	healths_model_fini(m);
	free(m);
	return ok;
}

/* True when the list still fails without these events: they are then removed. */
static bool drop(uint64_t seed, struct healths_events *list, uint32_t first, uint32_t count)
{
	struct healths_events less = {malloc(sizeof(*list->events) * (list->count + 1)),
		list->count - count, ++list->replays};
	char failure[200];

	if (!less.events)
		abort();
	memcpy(less.events, list->events, sizeof(*list->events) * first);
	memcpy(less.events + first, list->events + first + count,
		sizeof(*list->events) * (list->count - first - count));
	if (list->replays > HEALTHS_REPLAYS || healths_events_replay(seed, &less, failure)) {
		free(less.events);
		return false;
	}
	free(list->events);
	*list = less;
	return true;
}

static bool drop_pieces(uint64_t seed, struct healths_events *list, uint32_t size)
{
	bool dropped = false;

	for (uint32_t end = list->count; end >= size; end -= size)
		dropped |= drop(seed, list, end - size, size);
	return dropped;
}

void healths_events_shrink(uint64_t seed, struct healths_events *list)
{
	for (uint32_t size = list->count / 2; size > 1; size /= 2)
		drop_pieces(seed, list, size);
	while (list->count && drop_pieces(seed, list, 1))
		continue;
}

void healths_events_print(uint64_t seed, const struct healths_events *list)
{
	static const char *const names[HEALTHS_EVENT_TYPES] = {"HEALTHS_ASK", "HEALTHS_ASK_TOO",
		"HEALTHS_RESULT", "HEALTHS_LEAVE", "HEALTHS_AVOID", "HEALTHS_REST", "HEALTHS_WAKE",
		"HEALTHS_CONVICT", "HEALTHS_TIME", "HEALTHS_EPOCH", "HEALTHS_CREDENTIAL",
		"HEALTHS_CRASH"};

	printf("\t/* seed %" PRIu64 " */\n", seed);
	for (uint32_t i = 0; i < list->count; i++) {
		const struct healths_event *e = &list->events[i];
		printf("\t{%s, %u, %u, %d, %d, %" PRId64 ", %u},\n", names[e->type], e->n,
			e->subject, (int)e->ask, (int)e->class, e->ms, e->random);
	}
}
