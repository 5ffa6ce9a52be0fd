#include "common/window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

#define DAY_MS INT64_C(86400000)
#define FIRST_YEAR 1970
#define LAST_YEAR 2100

static const int64_t lengths_ms[USAGE_MONTH] = {1000, 60000, 3600000, DAY_MS};

static bool is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_in(int year, int month)
{
	static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return days[month] + (month == 1 && is_leap(year));
}

static void assert_month(int64_t now_ms, uint32_t number, int64_t end_ms)
{
	assert_int_equal(window_number(USAGE_MONTH, now_ms), number);
	assert_true(window_reset_ms(USAGE_MONTH, now_ms) == end_ms);
}

/* Every day of 131 years, at its first and its last millisecond, against a calendar that counts days. */
static void months_are_those_of_the_calendar(void **state)
{
	int64_t day = 0;
	uint32_t number = 0;

	(void)state;
	for (int year = FIRST_YEAR; year <= LAST_YEAR; year++) {
		for (int month = 0; month < 12; month++, number++) {
			int64_t end = day + days_in(year, month);
			for (; day < end; day++) {
				assert_month(day * DAY_MS, number, end * DAY_MS);
				assert_month((day + 1) * DAY_MS - 1, number, end * DAY_MS);
			}
		}
	}
	/* 2101-01-01, computed independently of the loop above */
	assert_int_equal(day, 47847);
	assert_int_equal(number, 131 * 12);
}

static void known_months_end_when_they_do(void **state)
{
	(void)state;
	/* 2000-02-29T23:59:59.999Z, 2024-02-28T12:00:00Z, 2026-12-31T23:59:59Z, 2100-02-28T00:00:00Z */
	assert_month(INT64_C(951868799999), 361, INT64_C(951868800000));
	assert_month(INT64_C(1709121600000), 649, INT64_C(1709251200000));
	assert_month(INT64_C(1798761599000), 683, INT64_C(1798761600000));
	assert_month(INT64_C(4107456000000), 1561, INT64_C(4107542400000));
}

static void windows_change_at_their_boundary_and_not_before(void **state)
{
	(void)state;
	for (int i = 0; i < USAGE_MONTH; i++) {
		enum usage_window w = (enum usage_window)i;
		int64_t start = INT64_C(20778) * DAY_MS; /* a boundary of all four */
		for (int64_t k = 0; k < 2000; k++, start += lengths_ms[i]) {
			int64_t end = start + lengths_ms[i];
			uint32_t number = window_number(w, start);
			assert_int_equal(window_number(w, end - 1), number);
			assert_int_equal(window_number(w, end), number + 1);
			assert_true(window_reset_ms(w, start) == end);
			assert_true(window_reset_ms(w, end - 1) == end);
			assert_true(window_reset_ms(w, end) == end + lengths_ms[i]);
		}
	}
}

static void all_begin_at_the_epoch(void **state)
{
	(void)state;
	for (int w = 0; w < USAGE_WINDOW_COUNT; w++)
		assert_int_equal(window_number((enum usage_window)w, 0), 0);
	assert_month(0, 0, 31 * DAY_MS);
}

/* In the middle of a window, so that only whole windows pass. */
static int64_t middle_of(enum usage_window w)
{
	return w == USAGE_MONTH ? 20775 * DAY_MS : 20775 * DAY_MS + lengths_ms[w] / 2;
}

/* From the middle of November 2026 one step back is in October, two are in September. */
static int64_t length_of(enum usage_window w)
{
	return w == USAGE_MONTH ? 31 * DAY_MS : lengths_ms[w];
}

static void counts_only_in_their_own_window(void **state)
{
	(void)state;
	for (int i = 0; i < USAGE_WINDOW_COUNT; i++) {
		enum usage_window w = (enum usage_window)i;
		int64_t now = middle_of(w);
		struct statefile_usage row = {0};
		row.windows[i] = (struct statefile_window){window_number(w, now), 7};
		assert_int_equal(window_count(&row, w, now), 7);
		assert_int_equal(window_count(&row, w, window_reset_ms(w, now) - 1), 7);
		assert_int_equal(window_count(&row, w, window_reset_ms(w, now)), 0);
	}
}

static uint32_t day_count(const struct statefile_usage *row, uint32_t day)
{
	return window_count(row, USAGE_DAY, day * DAY_MS);
}

static void use(struct statefile_usage *row, uint32_t day, uint32_t times)
{
	window_enter(row, USAGE_DAY, day)->count += times;
}

static void a_clock_set_ahead_and_back_forgets_nothing(void **state)
{
	struct statefile_usage row = {0};

	(void)state;
	use(&row, 20775, 7);
	use(&row, 20776, 5);
	assert_int_equal(day_count(&row, 20775), 7);
	use(&row, 20775, 3);
	assert_int_equal(day_count(&row, 20776), 5);
	use(&row, 20773, 1);
	assert_int_equal(day_count(&row, 20775), 10);
	assert_int_equal(day_count(&row, 20776), 5);
	assert_int_equal(day_count(&row, 20773), 1);
	assert_int_equal(day_count(&row, 20774), 0);
	assert_int_equal(window_newest(&row, USAGE_DAY), 20776);
	/* a fourth day: the one that was not counted in for longest is forgotten */
	use(&row, 20777, 1);
	assert_int_equal(day_count(&row, 20776), 0);
	assert_int_equal(day_count(&row, 20775), 10);
}

static void gives_back_in_each_window_it_remembers(void **state)
{
	struct statefile_usage row = {0};

	(void)state;
	use(&row, 20775, 1);
	use(&row, 20776, 5);
	window_give_back(&row, USAGE_DAY, 20775);
	window_give_back(&row, USAGE_DAY, 20775);
	window_give_back(&row, USAGE_DAY, 20776);
	window_give_back(&row, USAGE_DAY, 20777);
	assert_int_equal(day_count(&row, 20775), 0);
	assert_int_equal(day_count(&row, 20776), 4);
}

/* --- any schedule of steps: no window of the calendar admits more than its limit --- */

#define LIMIT 10
#define SCHEDULES 3000
#define EPISODES 10
#define EPISODE_LOOKS 40
#define NAIVE_MAX 512 /* different windows in one schedule */

/* Remembers each window for ever. */
struct naive {
	uint32_t numbers[NAIVE_MAX];
	uint32_t counts[NAIVE_MAX];
	uint32_t used;
};

static uint32_t *naive_count(struct naive *n, uint32_t number)
{
	for (uint32_t i = n->used; i-- > 0;) {
		if (n->numbers[i] == number)
			return &n->counts[i];
	}
	assert_true(n->used < NAIVE_MAX);
	n->numbers[n->used] = number;
	n->counts[n->used] = 0;
	return &n->counts[n->used++];
}

static uint64_t next_random(uint64_t *rng)
{
	*rng = *rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *rng >> 33;
}

static void look(struct statefile_usage *row, struct naive *naive, enum usage_window w,
	int64_t now_ms, uint64_t *rng)
{
	uint32_t number = window_number(w, now_ms);
	uint32_t *count = naive_count(naive, number);

	assert_int_equal(window_count(row, w, now_ms), *count);
	for (uint64_t ask = next_random(rng) % 6; ask > 0 && *count < LIMIT; ask--) {
		struct statefile_window *window = window_enter(row, w, number);
		assert_true(window->count < LIMIT);
		window->count++;
		++*count;
	}
}

/*
 * Real time goes on for less than a window, and over the end of one day or month; the clock is right,
 * or wrong by `wrong_ms`, again and again. Requests come all the time.
 */
static void run_episode(struct statefile_usage *row, struct naive *naive, enum usage_window w,
	int64_t real_ms, int64_t wrong_ms, uint64_t *rng)
{
	bool right = true;

	for (int i = 0; i < EPISODE_LOOKS; i++) {
		int64_t share = w >= USAGE_DAY ? length_of(w) : length_of(w) / 2;
		look(row, naive, w, real_ms + i * share / EPISODE_LOOKS + (right ? 0 : wrong_ms),
			rng);
		right = next_random(rng) % 3 ? right : !right;
	}
}

static void run_schedule(enum usage_window w, int64_t wrong_ms, uint64_t *rng)
{
	struct statefile_usage row = {0};
	struct naive naive = {.used = 0};

	for (int64_t i = 0; i < EPISODES; i++)
		run_episode(&row, &naive, w, middle_of(w) + i * 1000 * length_of(w), wrong_ms, rng);
}

static void no_schedule_of_steps_exceeds_a_limit(void **state)
{
	static const int64_t wrong_ms[] = {1000, -1000, 3600000, -3600000, DAY_MS, -2 * DAY_MS,
		60 * DAY_MS, -60 * DAY_MS, 365 * DAY_MS};
	uint64_t rng = 1;

	(void)state;
	for (int i = 0; i < SCHEDULES; i++) {
		enum usage_window w = (enum usage_window)(i % USAGE_WINDOW_COUNT);
		size_t wrong = next_random(&rng) % (sizeof(wrong_ms) / sizeof(wrong_ms[0]));
		run_schedule(w, wrong_ms[wrong], &rng);
	}
}

static void a_clock_of_one_moment_says_the_same(void **state)
{
	struct window_clock clock;
	struct statefile_usage row = {0};

	(void)state;
	for (int64_t now = 0; now < INT64_C(4133980800000); now += INT64_C(7919000123)) {
		window_clock_set(&clock, now);
		assert_true(clock.now_ms == now);
		for (int i = 0; i < USAGE_WINDOW_COUNT; i++) {
			enum usage_window w = (enum usage_window)i;
			assert_int_equal(clock.numbers[i], window_number(w, now));
			for (uint32_t ahead = 0; ahead < 3; ahead++) {
				row.windows[i].number = window_number(w, now) + ahead;
				row.windows[i].count = 3;
				assert_int_equal(
					window_clock_count(&clock, &row, w), ahead ? 0 : 3);
				assert_int_equal(window_count(&row, w, now), ahead ? 0 : 3);
			}
		}
	}
}

static void limits_and_names_belong_to_their_window(void **state)
{
	static const char *const names[] = {"second", "minute", "hour", "day", "month"};
	const struct snapshot_limits limits = {
		.rps = 1, .rpm = 2, .rph = 3, .daily = 4, .monthly = 5};

	(void)state;
	for (int i = 0; i < USAGE_WINDOW_COUNT; i++) {
		assert_int_equal(window_limit(&limits, (enum usage_window)i), i + 1);
		assert_string_equal(window_name((enum usage_window)i), names[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(months_are_those_of_the_calendar),
		cmocka_unit_test(known_months_end_when_they_do),
		cmocka_unit_test(windows_change_at_their_boundary_and_not_before),
		cmocka_unit_test(all_begin_at_the_epoch),
		cmocka_unit_test(counts_only_in_their_own_window),
		cmocka_unit_test(a_clock_set_ahead_and_back_forgets_nothing),
		cmocka_unit_test(gives_back_in_each_window_it_remembers),
		cmocka_unit_test(no_schedule_of_steps_exceeds_a_limit),
		cmocka_unit_test(a_clock_of_one_moment_says_the_same),
		cmocka_unit_test(limits_and_names_belong_to_their_window),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
