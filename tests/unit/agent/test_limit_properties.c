/*
 * Any sequence of questions, ends, losses, repetitions, late records, readings, steps of the clock
 * and crashes: admitted requests stay within every limit, and the counters match them.
 */
#include "limits_events.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define LIST_EVENTS 25000
#define CHECK_EVERY 4096
#define FIRST_SEED 1
/* instrumented builds are a few times slower, and check memory rather than numbers */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define INSTRUMENTED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) ||                         \
	__has_feature(thread_sanitizer)
#define INSTRUMENTED 1
#endif
#endif
#ifdef INSTRUMENTED
#define LISTS 200
#else
#define LISTS 404
#endif

struct sum {
	uint64_t events, admitted, repeated, refused, full, healed, given_back, moved, kept;
	uint64_t failed_over, failed_unsent, failed_again, given_up, spent;
	uint64_t rebound, pinned, stuck;
};

static void add_up(struct sum *sum, const struct limits_model *m, uint32_t events)
{
	sum->events += events;
	sum->admitted += m->admitted;
	sum->repeated += m->repeated;
	sum->refused += m->refused;
	sum->full += m->full;
	sum->healed += m->healed;
	sum->given_back += m->given_back;
	sum->moved += m->moved;
	sum->kept += m->kept;
	sum->failed_over += m->failed_over;
	sum->failed_unsent += m->failed_unsent;
	sum->failed_again += m->failed_again;
	sum->given_up += m->given_up;
	sum->spent += m->spent;
	sum->rebound += m->rebound;
	sum->pinned += m->pinned;
	sum->stuck += m->stuck;
}

/* Generates a list while applying it; false with the list up to the failure. */
static bool run(uint64_t seed, struct limits_events *list, struct sum *sum)
{
	struct limits_model *m = malloc(sizeof(*m));
	uint64_t rng = decide_mix(seed);
	uint32_t next = 1;
	bool ok = true;

	assert_non_null(m);
	limits_model_init(m, seed);
	for (list->count = 0; list->count < LIST_EVENTS && ok;) {
		struct limits_event *e = &list->events[list->count++];
		*e = limits_events_next(m, &rng, &next);
		ok = limits_model_apply(m, e);
		if (ok && list->count % CHECK_EVERY == 0)
			ok = limits_model_check(m);
	}
	ok = ok && limits_model_finish(m);
	add_up(sum, m, list->count);
	limits_model_fini(m);
	free(m);
	return ok;
}

static void tell_failure(uint64_t seed, struct limits_events *list)
{
	char failure[200];

	limits_events_replay(seed, list, failure);
	print_message("seed %" PRIu64 ": %s; shrinking %u events\n", seed, failure, list->count);
	limits_events_shrink(seed, list);
	bool ok = limits_events_replay(seed, list, failure);
	limits_events_print(seed, list);
	fail_msg("seed %" PRIu64 ": %s", seed, ok ? "not seen again" : failure);
}

static void any_sequence_keeps_every_limit(void **state)
{
	struct limits_events list = {malloc(sizeof(struct limits_event) * LIST_EVENTS), 0, 0};
	struct sum sum = {0};

	(void)state;
	assert_non_null(list.events);
	for (uint64_t seed = FIRST_SEED; seed < FIRST_SEED + LISTS; seed++) {
		if (!run(seed, &list, &sum))
			tell_failure(seed, &list);
	}
	free(list.events);
	print_message("seeds %d..%d, %" PRIu64 " events: %" PRIu64 " admitted, %" PRIu64
		      " asked again, %" PRIu64 " refused (%" PRIu64 " for want of rows), %" PRIu64
		      " healed, %" PRIu64 " given back, %" PRIu64 " kept and %" PRIu64
		      " moved conversations\n",
		FIRST_SEED, FIRST_SEED + LISTS - 1, sum.events, sum.admitted, sum.repeated,
		sum.refused, sum.full, sum.healed, sum.given_back, sum.kept, sum.moved);
	print_message("%" PRIu64 " failed over, %" PRIu64 " of them unsent, %" PRIu64
		      " asked again, %" PRIu64 " given up; the budget was spent %" PRIu64
		      " times\n",
		sum.failed_over, sum.failed_unsent, sum.failed_again, sum.given_up, sum.spent);
	print_message("%" PRIu64 " conversations rebound, %" PRIu64 " pinned, %" PRIu64
		      " refused rather than moved\n",
		sum.rebound, sum.pinned, sum.stuck);
	assert_true(sum.rebound && sum.pinned && sum.stuck);
	assert_true(sum.failed_over && sum.failed_unsent && sum.failed_again && sum.given_up);
	assert_true(sum.spent);
	assert_true(sum.admitted > sum.events / 50 && sum.refused > sum.events / 50);
	assert_true(sum.repeated && sum.full && sum.healed && sum.given_back);
	assert_true(sum.kept && sum.moved);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_sequence_keeps_every_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
