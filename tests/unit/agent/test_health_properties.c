/*
 * Any sequence of requests, results in any order, losses, repetitions, commands of the operator,
 * steps of the clock and crashes: health matches a naive model, and no subject stays out for ever.
 */
#include "health_events.h"

#include "agent/decide/decide.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdlib.h>

#define LIST_EVENTS 10000
#define LISTS 120
#define FIRST_SEED 1

struct sum {
	uint64_t events, let_out, refused, late, opened, closed, trials, suspended, wanted;
};

static void add_up(struct sum *sum, const struct healths_model *m, uint32_t events)
{
	sum->events += events;
	sum->let_out += m->let_out;
	sum->refused += m->refused;
	sum->late += m->late;
	sum->opened += m->opened;
	sum->closed += m->closed;
	sum->trials += m->trials;
	sum->suspended += m->suspended;
	sum->wanted += m->wanted;
}

/* Generates a list while applying it; false with the list up to the failure. */
static bool run(uint64_t seed, struct healths_events *list, struct sum *sum)
{
	struct healths_source source = {.rng = decide_mix(seed), .next = 1};
	struct healths_model *m = malloc(sizeof(*m));
	bool ok = true;

	assert_non_null(m);
	healths_model_init(m, seed);
	for (list->count = 0; list->count < LIST_EVENTS && ok;) {
		struct healths_event *e = &list->events[list->count++];
		*e = healths_events_next(m, &source);
		ok = healths_model_apply(m, e);
	}
	ok = ok && healths_model_finish(m);
	add_up(sum, m, list->count);
	healths_model_fini(m);
	free(m);
	return ok;
}

static void tell_failure(uint64_t seed, struct healths_events *list)
{
	char failure[200];

	healths_events_replay(seed, list, failure);
	print_message("seed %" PRIu64 ": %s; shrinking %u events\n", seed, failure, list->count);
	healths_events_shrink(seed, list);
	bool ok = healths_events_replay(seed, list, failure);
	healths_events_print(seed, list);
	fail_msg("seed %" PRIu64 ": %s", seed, ok ? "not seen again" : failure);
}

static void any_sequence_matches_the_model(void **state)
{
	struct healths_events list = {malloc(sizeof(struct healths_event) * LIST_EVENTS), 0, 0};
	struct sum sum = {0};

	(void)state;
	assert_non_null(list.events);
	for (uint64_t seed = FIRST_SEED; seed < FIRST_SEED + LISTS; seed++) {
		if (!run(seed, &list, &sum))
			tell_failure(seed, &list);
	}
	free(list.events);
	print_message("seeds %d..%d, %" PRIu64 " events: %" PRIu64 " let out (%" PRIu64
		      " as trials), %" PRIu64 " refused, %" PRIu64 " late results; %" PRIu64
		      " times opened, %" PRIu64 " closed, %" PRIu64
		      " suspended, control wanted %" PRIu64 " times\n",
		FIRST_SEED, FIRST_SEED + LISTS - 1, sum.events, sum.let_out, sum.trials,
		sum.refused, sum.late, sum.opened, sum.closed, sum.suspended, sum.wanted);
	assert_true(sum.events >= 1000000);
	assert_true(sum.let_out > sum.events / 20 && sum.refused > sum.events / 50);
	assert_true(sum.late > 10000 && sum.trials > 1000 && sum.opened > 1000);
	assert_true(sum.closed > 1000 && sum.suspended > 30 && sum.wanted > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_sequence_matches_the_model),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
