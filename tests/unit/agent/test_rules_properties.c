/*
 * Any sequence of requests of several keys, answers, failovers, probes, resets and crashes: what keys
 * meet at accounts matches a naive model of the rules. RELAY_FULL=1: ten million events.
 */
#include "rules_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LIST_EVENTS 10000
#define LISTS 100
#define LISTS_FULL 1000
#define MOODS 4

struct source {
	uint64_t rng;
	uint32_t next, mood;
};

static uint32_t below(struct source *s, uint32_t n)
{
	s->rng += 0x9e3779b97f4a7c15u;
	return (uint32_t)(decide_mix(s->rng) % n);
}

static enum result_class some_class(struct source *s)
{
	static const enum result_class failures[] = {RESULT_BURST, RESULT_AUTH, RESULT_DENIED,
		RESULT_OVERLOAD, RESULT_SERVER, RESULT_NETWORK, RESULT_CLASS_COUNT};
	static const uint32_t failing[MOODS] = {5, 50, 85, 98}; /* percent */

	if (below(s, 100) < failing[s->mood])
		return failures[s->mood == 3 ? below(s, 2) + 3 : below(s, 7)];
	return below(s, 10) ? RESULT_SUCCESS : RESULT_PAYLOAD;
}

static enum rules_event_type some_type(struct source *s)
{
	static const uint8_t shares[RULES_EVENT_TYPES] = {
		[RULES_DECIDE] = 80,
		[RULES_AGAIN] = 40,
		[RULES_ANSWER] = 80,
		[RULES_END] = 50,
		[RULES_LEAVE] = 6,
		[RULES_BREAK] = 6,
		[RULES_PROBE] = 6,
		[RULES_TIME] = 40,
	};
	uint32_t at = below(s, 308);

	if (below(s, 1000) == 0)
		return below(s, 2) ? RULES_RESET : RULES_CRASH;
	for (uint32_t i = 0;; i++) {
		if (at < shares[i])
			return (enum rules_event_type)i;
		at -= shares[i];
	}
}

static int64_t some_time(struct source *s)
{
	static const uint32_t spans_ms[] = {20, 200, 2000, 9000, 31000, 90000, 400000, 4000000};

	return below(s, spans_ms[below(s, 1 + below(s, 8))]);
}

static struct rules_event some_event(struct source *s)
{
	struct rules_event e = {.type = some_type(s), .path = below(s, RULES_PATHS)};

	if (below(s, 100) == 0)
		s->mood = below(s, MOODS);
	if (e.type == RULES_TIME)
		e.ms = some_time(s);
	else if (e.type == RULES_DECIDE)
		e.n = ++s->next;
	else
		e.n = s->next > 30 ? s->next - below(s, 30) : s->next;
	e.key = below(
		s, e.type == RULES_PROBE || e.type == RULES_RESET ? TOWN_ACCOUNTS : TOWN_KEYS);
	e.class = e.type == RULES_PROBE && below(s, 4) ? RESULT_SUCCESS : some_class(s);
	e.retry = below(s, 2);
	return e;
}

struct sum {
	uint64_t events, allowed, refused, moved, braked, shunned, acquitted, convicted, rested;
};

static void add_up(struct sum *sum, const struct rules_model *m)
{
	sum->events += LIST_EVENTS;
	sum->allowed += m->allowed;
	sum->refused += m->refused;
	sum->moved += m->moved;
	sum->braked += m->braked;
	sum->shunned += m->shunned;
	sum->acquitted += m->acquitted;
	sum->convicted += m->convicted;
	sum->rested += m->rested;
}

static void run(struct rules_model *m, uint64_t seed, struct sum *sum)
{
	struct source source = {.rng = decide_mix(seed)};

	rules_model_init(m, seed);
	for (uint32_t i = 0; i < LIST_EVENTS; i++) {
		struct rules_event e = some_event(&source);
		if (!rules_model_apply(m, &e))
			fail_msg("seed %" PRIu64 ", event %u (type %d, class %d): %s", seed, i,
				(int)e.type, (int)e.class, m->failure);
	}
	add_up(sum, m);
	rules_model_fini(m);
}

static void any_sequence_matches_the_model(void **state)
{
	const char *full = getenv("RELAY_FULL");
	uint64_t lists = full && strcmp(full, "0") != 0 ? LISTS_FULL : LISTS;
	struct rules_model *m = malloc(sizeof(*m));
	struct sum sum = {0};

	(void)state;
	assert_non_null(m);
	for (uint64_t seed = 1; seed <= lists; seed++)
		run(m, seed, &sum);
	free(m);
	print_message("%" PRIu64 " events: %" PRIu64 " let in, %" PRIu64 " refused, %" PRIu64
		      " moved; %" PRIu64 " brakes, %" PRIu64 " shuns, %" PRIu64
		      " acquittals, %" PRIu64 " convictions, %" PRIu64 " rests\n",
		sum.events, sum.allowed, sum.refused, sum.moved, sum.braked, sum.shunned,
		sum.acquitted, sum.convicted, sum.rested);
	assert_true(sum.events >= 1000000);
	assert_true(sum.allowed > sum.events / 20 && sum.refused > 1000 && sum.moved > 1000);
	assert_true(sum.braked > 1000 && sum.shunned > 1000 && sum.acquitted > 1000);
	assert_true(sum.convicted > 100 && sum.rested > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_sequence_matches_the_model),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
