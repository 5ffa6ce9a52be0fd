/* What a usage page changes: the window and the used share of its account, and nothing else. */
#include "agent/page.h"
#include "crowd.h"
#include "health_bench.h"

#include "common/clock.h"
#include "common/limittext.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#define HOUR_MS ((int64_t)3600 * 1000)
#define DAY_MS (24 * HOUR_MS)
#define CREDENTIAL 7

/* --- the row --- */

static int set_up_row(void **state)
{
	static struct bench bench;

	bench_init(&bench);
	*state = &bench;
	return 0;
}

static int tear_down_row(void **state)
{
	bench_fini(*state);
	return 0;
}

static bool learn(struct bench *b, int64_t until_ms, int64_t window_ms)
{
	const struct health_usage u = {.used = until_ms ? UINT16_MAX : UINT16_MAX / 2,
		.used_until_ms = b->now_ms + HOUR_MS,
		.until_ms = until_ms,
		.window_ms = window_ms};

	return health_learn(bench_row(b), &u, b->now_ms);
}

static void ends_the_window_that_it_was_asked_about(void **state)
{
	struct bench *b = *state;
	int64_t until = b->now_ms + 5 * DAY_MS;

	bench_say_until(b, RESULT_WINDOW, until);
	assert_int_equal(health_window_ms(bench_row(b), b->now_ms), until);
	uint32_t generation = bench_row(b)->generation;
	assert_true(learn(b, 0, until));
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
	assert_int_equal(health_window_ms(bench_row(b), b->now_ms), 0);
	assert_int_not_equal(bench_row(b)->generation, generation);
	assert_false(learn(b, 0, until));
	/* the upstream refuses again */
	bench_say_until(b, RESULT_WINDOW, until);
	assert_int_equal(bench_standing(b), BOARD_STANDING_WINDOW);
}

static void does_not_end_another_window(void **state)
{
	struct bench *b = *state;
	int64_t until = b->now_ms + 5 * DAY_MS;

	bench_say_until(b, RESULT_WINDOW, until);
	assert_false(learn(b, 0, until - DAY_MS));
	assert_false(learn(b, 0, 0));
	assert_int_equal(bench_look(b).until_ms, until);
}

static void sets_and_moves_a_window(void **state)
{
	struct bench *b = *state;

	assert_true(learn(b, b->now_ms + 2 * DAY_MS, 0));
	assert_int_equal(bench_look(b).until_ms, b->now_ms + 2 * DAY_MS);
	assert_false(learn(b, b->now_ms + 2 * DAY_MS, 0));
	assert_true(learn(b, b->now_ms + 5 * HOUR_MS, 0));
	assert_int_equal(bench_standing(b), BOARD_STANDING_WINDOW);
	assert_int_equal(bench_look(b).until_ms, b->now_ms + 5 * HOUR_MS);
	assert_false(learn(b, b->now_ms, 0)); /* its end is past */
	assert_int_equal(bench_look(b).until_ms, b->now_ms + 5 * HOUR_MS);
}

static void tells_the_used_share(void **state)
{
	struct bench *b = *state;

	assert_false(learn(b, 0, 0));
	assert_true(health_used(bench_row(b), b->now_ms) > 0.49);
	assert_true(health_used(bench_row(b), b->now_ms + HOUR_MS) == 0);
	assert_int_equal(bench_standing(b), BOARD_STANDING_USABLE);
}

static void ends_no_other_rest(void **state)
{
	struct bench *b = *state;
	int64_t until = b->now_ms + 5 * DAY_MS;

	bench_open(b);
	bench_say_until(b, RESULT_WINDOW, until);
	learn(b, 0, until);
	assert_int_equal(bench_standing(b), BOARD_STANDING_OPEN);
}

/* --- the message --- */

struct scene {
	struct agent agent;
	struct crowd crowd; /* the agent borrows its tables */
	int board_fd;
};

static int set_up(void **state)
{
	static struct scene s;
	struct errtext e;

	memset(&s, 0, sizeof(s));
	crowd_init(&s.crowd);
	s.crowd.now_ms = clock_wall_ms();
	s.crowd.accounts[0].row.credential_generation = CREDENTIAL;
	crowd_build(&s.crowd);
	s.board_fd = board_create();
	assert_true(s.board_fd >= 0);
	s.agent.board = board_map(s.board_fd, true, &e);
	assert_non_null(s.agent.board);
	s.agent.snapshot = &s.crowd.snapshot;
	s.agent.healths = s.crowd.tables.healths;
	s.agent.usages = s.crowd.tables.usages;
	s.agent.slots = s.crowd.tables.slots;
	s.agent.evidence = s.crowd.tables.evidence;
	s.agent.state = s.crowd.tables.state;
	s.agent.state.healths = &s.agent.healths;
	s.agent.state.evidence = &s.agent.evidence;
	*state = &s;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *s = *state;

	s->crowd.tables.healths = s->agent.healths;
	s->crowd.tables.usages = s->agent.usages;
	s->crowd.tables.slots = s->agent.slots;
	s->crowd.tables.evidence = s->agent.evidence;
	board_unmap(s->agent.board);
	close(s->board_fd);
	crowd_fini(&s->crowd);
	return 0;
}

static struct channel_usage full_until(int64_t until_ms)
{
	return (struct channel_usage){.account = CROWD_ACCOUNT,
		.used = UINT16_MAX,
		.is_full = 1,
		.credential_generation = CREDENTIAL,
		.used_until_ms = until_ms,
		.until_ms = until_ms};
}

static uint64_t standing(const struct scene *s)
{
	const struct board_account *row = board_find_account(s->agent.board, CROWD_ACCOUNT);

	return row ? board_get(&row->standing) : BOARD_STANDING_USABLE;
}

static uint64_t shown_window(const struct scene *s)
{
	return board_get(&board_find_account(s->agent.board, CROWD_ACCOUNT)->window_ms);
}

static uint64_t changes(const struct scene *s)
{
	return board_get(&s->agent.board->counters[BOARD_HEALTH_CHANGES]);
}

static void the_board_shows_the_window_and_waiting_requests_wake(void **state)
{
	struct scene *s = *state;
	int64_t now = s->crowd.now_ms;
	struct channel_usage u = full_until(now + DAY_MS);

	page_take(&s->agent, &u, now);
	assert_int_equal(standing(s), BOARD_STANDING_WINDOW);
	assert_int_equal(shown_window(s), now + DAY_MS);
	assert_int_equal(changes(s), 1);
	s->agent.room_is_stale = false;
	u = (struct channel_usage){.account = CROWD_ACCOUNT,
		.credential_generation = CREDENTIAL,
		.window_ms = now + DAY_MS};
	page_take(&s->agent, &u, now);
	assert_int_equal(standing(s), BOARD_STANDING_USABLE);
	assert_int_equal(shown_window(s), 0);
	assert_int_equal(changes(s), 2);
	assert_true(s->agent.room_is_stale);
	page_take(&s->agent, &u, now);
	assert_int_equal(changes(s), 2);
}

static void an_older_credential_and_a_deleted_account_count_nothing(void **state)
{
	struct scene *s = *state;
	int64_t now = s->crowd.now_ms;
	struct channel_usage u = full_until(now + DAY_MS);

	u.credential_generation--;
	page_take(&s->agent, &u, now);
	assert_int_equal(standing(s), BOARD_STANDING_USABLE);
	u = full_until(now + DAY_MS);
	u.account = 4711;
	page_take(&s->agent, &u, now);
	s->agent.snapshot = NULL;
	u.account = CROWD_ACCOUNT;
	page_take(&s->agent, &u, now);
	assert_int_equal(standing(s), BOARD_STANDING_USABLE);
	assert_int_equal(changes(s), 0);
}

static void no_window_is_longer_than_the_bound(void **state)
{
	struct scene *s = *state;
	int64_t now = s->crowd.now_ms;
	struct channel_usage u = full_until(INT64_MAX);

	page_take(&s->agent, &u, now);
	assert_int_equal(shown_window(s), now + LIMITTEXT_AHEAD_MAX_MS);
}

int main(void)
{
#define ROW_TEST(test) cmocka_unit_test_setup_teardown(test, set_up_row, tear_down_row)
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ROW_TEST(ends_the_window_that_it_was_asked_about),
		ROW_TEST(does_not_end_another_window),
		ROW_TEST(sets_and_moves_a_window),
		ROW_TEST(tells_the_used_share),
		ROW_TEST(ends_no_other_rest),
		TEST(the_board_shows_the_window_and_waiting_requests_wake),
		TEST(an_older_credential_and_a_deleted_account_count_nothing),
		TEST(no_window_is_longer_than_the_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
