#include "agent/keeper/watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define LIMIT_MS 1000
#define LOOKS (LIMIT_MS / WATCH_LOOK_MS)

static const struct watch_sample asleep = {.is_runnable = false, .cpu_ms = 7};

/* A child that serves, looked at up to `now`. */
static struct watch serving(int64_t now)
{
	struct watch w;

	watch_start(&w, 60000, now);
	watch_serve(&w, LIMIT_MS);
	return w;
}

static void a_child_that_answers_is_asked_again(void **state)
{
	struct watch w = serving(0);

	(void)state;
	assert_int_equal(watch_look(&w, WATCH_LOOK_MS - 1, &asleep), WATCH_NOTHING);
	for (int64_t i = 1; i < 1000; i++) {
		assert_int_equal(watch_look(&w, i * WATCH_LOOK_MS, &asleep), WATCH_ASK);
		assert_int_equal(w.number, i);
		assert_int_equal(watch_due(&w), (i + 1) * WATCH_LOOK_MS);
		watch_answer(&w, w.number);
	}
}

static void a_child_that_sleeps_through_its_limit_is_hung(void **state)
{
	struct watch w = serving(0);
	int64_t now = 0;

	(void)state;
	assert_int_equal(watch_look(&w, now += WATCH_LOOK_MS, &asleep), WATCH_ASK);
	for (int i = 1; i < LOOKS; i++)
		assert_int_equal(watch_look(&w, now += WATCH_LOOK_MS, &asleep), WATCH_NOTHING);
	assert_int_equal(watch_look(&w, now += WATCH_LOOK_MS, &asleep), WATCH_HUNG);
	assert_int_equal(w.silent_ms, LIMIT_MS);
}

static void an_answer_at_the_last_moment_counts(void **state)
{
	struct watch w = serving(0);
	int64_t now = 0;

	(void)state;
	for (int round = 0; round < 10; round++) {
		assert_int_equal(watch_look(&w, now += WATCH_LOOK_MS, &asleep), WATCH_ASK);
		for (int i = 1; i < LOOKS; i++)
			assert_int_equal(
				watch_look(&w, now += WATCH_LOOK_MS, &asleep), WATCH_NOTHING);
		watch_answer(&w, w.number);
	}
}

static void answers_to_other_questions_do_not_count(void **state)
{
	struct watch w = serving(0);

	(void)state;
	watch_look(&w, WATCH_LOOK_MS, &asleep);
	watch_answer(&w, 1);
	watch_look(&w, 2 * WATCH_LOOK_MS, &asleep);
	watch_answer(&w, 1);
	watch_answer(&w, 3);
	watch_answer(&w, UINT64_MAX);
	assert_true(w.is_asked);
	watch_answer(&w, 2);
	assert_false(w.is_asked);
}

/* A suspended machine, a stopped keeper: the child was held up as well. */
static void a_late_look_counts_as_one_interval(void **state)
{
	struct watch w = serving(0);
	int64_t now = 0;

	(void)state;
	assert_int_equal(watch_look(&w, now += WATCH_LOOK_MS, &asleep), WATCH_ASK);
	for (int i = 1; i < LOOKS; i++)
		assert_int_equal(watch_look(&w, now += 3600000, &asleep), WATCH_NOTHING);
	assert_int_equal(watch_look(&w, now += 3600000, &asleep), WATCH_HUNG);
}

static void a_start_has_a_longer_limit_and_a_wrong_answer_does_not_end_it(void **state)
{
	struct watch w;
	int64_t now = 0;
	int looks = 0;

	(void)state;
	watch_start(&w, 60000, now);
	watch_answer(&w, 0);
	while (watch_look(&w, now += WATCH_LOOK_MS, &asleep) == WATCH_NOTHING)
		looks++;
	assert_int_equal(looks + 1, 60000 / WATCH_LOOK_MS);
}

static void a_child_without_a_cpu_is_starved_and_one_in_a_loop_is_hung(void **state)
{
	struct watch w = serving(0);
	struct watch_sample s = {.is_runnable = true, .cpu_ms = 100};
	int64_t now = 0;

	(void)state;
	assert_int_equal(watch_look(&w, now += WATCH_LOOK_MS, &s), WATCH_ASK);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(watch_look(&w, now += WATCH_LOOK_MS, &s), WATCH_NOTHING);
	for (int i = 1; i < LIMIT_MS / 10; i++) {
		s.cpu_ms += 10;
		assert_int_equal(watch_look(&w, now += WATCH_LOOK_MS, &s), WATCH_NOTHING);
	}
	s.cpu_ms += 10;
	assert_int_equal(watch_look(&w, now += WATCH_LOOK_MS, &s), WATCH_HUNG);
}

static void a_cpu_time_that_goes_back_counts_nothing(void **state)
{
	struct watch w = serving(0);
	struct watch_sample s = {.is_runnable = true, .cpu_ms = 5000};

	(void)state;
	watch_look(&w, WATCH_LOOK_MS, &s);
	s.cpu_ms = 0; /* unknown this time */
	assert_int_equal(watch_look(&w, 2 * WATCH_LOOK_MS, &s), WATCH_NOTHING);
	assert_int_equal(w.silent_ms, 0);
}

/* --- generated schedules --- */

/* A machine, one millisecond after the other: who gets the CPU, and when the keeper looks. */
struct machine {
	uint64_t random;
	int64_t now;
	int64_t cpu_ms;
	int64_t work_ms;     /* CPU time that the child needs before it answers */
	int64_t keeper_late; /* ms until the keeper runs */
	int share;	     /* of the CPU that the child gets, in percent */
	bool stopped;
	bool held; /* everything stands still: a suspended machine whose clock runs */
};

static uint64_t draw(struct machine *m, uint64_t below)
{
	m->random ^= m->random << 13;
	m->random ^= m->random >> 7;
	m->random ^= m->random << 17;
	return m->random % below;
}

static void run_child(struct machine *m, struct watch *w, uint64_t received)
{
	if (m->held || m->stopped || m->work_ms <= 0 || draw(m, 100) >= (uint64_t)m->share)
		return;
	m->cpu_ms++;
	if (--m->work_ms == 0)
		watch_answer(w, received);
}

static enum watch_step run_keeper(struct machine *m, struct watch *w, uint64_t *received)
{
	const struct watch_sample s = {!m->stopped && m->work_ms > 0, m->cpu_ms};

	if (m->held || m->now < watch_due(w) + m->keeper_late)
		return WATCH_NOTHING;
	enum watch_step step = watch_look(w, m->now, &s);
	m->keeper_late = draw(m, 3) ? 0 : (int64_t)draw(m, 2000);
	if (step == WATCH_ASK) {
		*received = w->number;
		m->work_ms = 1 + (int64_t)draw(m, 200);
	}
	return step;
}

static enum watch_step run(struct machine *m, struct watch *w, uint64_t *received)
{
	m->now++;
	if (draw(m, 5000) == 0)
		m->held = !m->held;
	if (draw(m, 1000) == 0)
		m->share = (int)draw(m, 101);
	run_child(m, w, *received);
	return run_keeper(m, w, received);
}

/* It needs up to 200 ms of CPU time for an answer, and seconds pass until it gets them. */
static void no_schedule_kills_a_child_that_works(void **state)
{
	int64_t longest = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct machine m = {.random = seed * 2654435761u, .share = 50};
		struct watch w = serving(0);
		uint64_t received = 0;
		int64_t asked = 0;
		for (int i = 0; i < 60000; i++) {
			enum watch_step step = run(&m, &w, &received);
			assert_int_not_equal(step, WATCH_HUNG);
			if (step == WATCH_ASK)
				asked = m.now;
			else if (w.is_asked && m.now - asked > longest)
				longest = m.now - asked;
		}
	}
	/* the schedules are hard enough to prove something */
	assert_true(longest > 10 * LIMIT_MS);
}

static void every_schedule_ends_a_child_that_is_stopped(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct machine m = {.random = seed * 2654435761u, .share = 50};
		struct watch w = serving(0);
		uint64_t received = 0;
		for (uint64_t i = 0; i < 1000 + seed * 37; i++)
			assert_int_not_equal(run(&m, &w, &received), WATCH_HUNG);
		m.stopped = true;
		int looks = 0;
		int64_t looked = w.looked_ms;
		enum watch_step step;
		do {
			step = run(&m, &w, &received);
			looks += w.looked_ms != looked;
			looked = w.looked_ms;
			assert_true(looks <= LOOKS + 1);
		} while (step != WATCH_HUNG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_that_answers_is_asked_again),
		cmocka_unit_test(a_child_that_sleeps_through_its_limit_is_hung),
		cmocka_unit_test(an_answer_at_the_last_moment_counts),
		cmocka_unit_test(answers_to_other_questions_do_not_count),
		cmocka_unit_test(a_late_look_counts_as_one_interval),
		cmocka_unit_test(a_start_has_a_longer_limit_and_a_wrong_answer_does_not_end_it),
		cmocka_unit_test(a_child_without_a_cpu_is_starved_and_one_in_a_loop_is_hung),
		cmocka_unit_test(a_cpu_time_that_goes_back_counts_nothing),
		cmocka_unit_test(no_schedule_kills_a_child_that_works),
		cmocka_unit_test(every_schedule_ends_a_child_that_is_stopped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
