#include "tests/unit/admin/room.h"

#include "admin/api/usage.h"
#include "common/clock.h"
#include "common/staterow.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define TENANTS                                                                                    \
	"INSERT INTO tenants (name, rps, rpm, daily, monthly, created_ms) VALUES"                  \
	" ('acme', 0, 60, 100, 1000, 0), ('free', 0, 0, 0, 0, 0), ('zeta', 5, 0, 10, 0, 0)"
#define ACCOUNTS                                                                                   \
	"INSERT INTO upstreams (name, url, provider, created_ms) VALUES"                           \
	" ('chat', 'https://h', 'openai', 0);"                                                     \
	"INSERT INTO accounts (name, upstream_id, source, rpm, rph, created_ms) VALUES"            \
	" ('a', 1, 'token', 30, 500, 0)"

/* --- a room with a state file; the test writes rows as the agent does --- */

static int setup(void **state)
{
	struct room *r = room_new();
	static struct child_start start;
	char path[ROOM_PATH_MAX];
	enum statefile_event aside;

	snprintf(path, sizeof(path), "%s/state", r->dir);
	start.statefile_fd = statefile_open(path, (unsigned)-1, (unsigned)-1, &aside, &r->e);
	assert_true(start.statefile_fd >= 0);
	r->control.start = &start;
	assert_int_equal(usage_open(&r->control, &r->e), 0);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct room *r = *state;

	usage_close(&r->control);
	close(r->control.start->statefile_fd);
	room_free(r);
	return 0;
}

/* In the next window, too: a test may cross the end of a minute. */
static void set_count(struct statefile_usage *row, enum usage_window w, uint32_t count)
{
	uint32_t number = window_number(w, clock_wall_ms());

	window_enter(row, w, number + 1)->count = count;
	window_enter(row, w, number)->count = count;
}

static struct statefile_usage *put_usage(
	struct room *r, uint32_t at, enum usage_kind kind, uint32_t id, uint32_t count)
{
	uint32_t rows;
	struct statefile_usage *all =
		statefile_table(&r->control.statefile, STATEFILE_USAGE, &rows);
	struct statefile_usage *row = &all[at];

	assert_true(at < rows);
	row->id = id;
	for (int i = 0; i < USAGE_WINDOW_COUNT; i++)
		set_count(row, (enum usage_window)i, count);
	atomic_store(&row->state, kind);
	staterow_seal(STATEROW(row));
	return row;
}

static struct statefile_lease *put_lease(
	struct room *r, uint32_t at, uint32_t tenant, uint32_t key, uint32_t account)
{
	uint32_t rows;
	struct statefile_lease *all =
		statefile_table(&r->control.statefile, STATEFILE_LEASE, &rows);
	struct statefile_lease *row = &all[at];

	assert_true(at < rows);
	row->tenant = tenant;
	row->key = key;
	row->account = account;
	atomic_store(&row->state, at % 2 ? LEASE_CONFIRMED : LEASE_DECIDED);
	return row;
}

/* --- answers --- */

static json_object *answer_of(struct room *r, enum command_id id, const char *name)
{
	json_object *answer;

	if (room_call(r, id, name, "{}", &answer) != 200)
		fail_msg("%s", json_object_to_json_string(answer));
	return answer;
}

static int64_t number_in(json_object *o, const char *field)
{
	json_object *value = json_object_object_get(o, field);

	if (!json_object_is_type(value, json_type_int))
		fail_msg("no number %s in %s", field, json_object_to_json_string(o));
	return json_object_get_int64(value);
}

/* The object of a window; NULL = not shown. */
static json_object *window_in(json_object *answer, const char *name)
{
	json_object *items = json_object_object_get(answer, "usage");

	assert_true(json_object_is_type(items, json_type_array));
	for (size_t i = 0; i < json_object_array_length(items); i++) {
		json_object *o = json_object_array_get_idx(items, i);
		if (strcmp(json_object_get_string(json_object_object_get(o, "window")), name) == 0)
			return o;
	}
	return NULL;
}

static void check_window(
	json_object *answer, const char *name, int64_t limit, int64_t used, int64_t remaining)
{
	json_object *o = window_in(answer, name);

	assert_non_null(o);
	assert_int_equal(number_in(o, "limit"), limit);
	assert_int_equal(number_in(o, "used"), used);
	assert_int_equal(number_in(o, "remaining"), remaining);
}

static void check_unlimited(json_object *answer, const char *name, int64_t used)
{
	json_object *o = window_in(answer, name);
	json_object *value;

	assert_non_null(o);
	assert_int_equal(number_in(o, "used"), used);
	assert_true(json_object_object_get_ex(o, "limit", &value) && !value);
	assert_true(json_object_object_get_ex(o, "remaining", &value) && !value);
}

/* Ends of the window in RFC 3339, before and after the call. */
static void check_reset(json_object *o, enum usage_window w, int64_t before_ms)
{
	const char *text = json_object_get_string(json_object_object_get(o, "resets_at"));
	char first[CLOCK_RFC3339_SIZE];
	char second[CLOCK_RFC3339_SIZE];

	assert_non_null(text);
	clock_format_rfc3339(window_reset_ms(w, before_ms), first);
	clock_format_rfc3339(window_reset_ms(w, clock_wall_ms()), second);
	if (strcmp(text, first) != 0 && strcmp(text, second) != 0)
		fail_msg("%s is neither %s nor %s", text, first, second);
}

/* --- tenants, keys, accounts --- */

static void a_tenant_shows_its_windows_and_slots(void **state)
{
	struct room *r = *state;
	int64_t before = clock_wall_ms();

	room_run(r, TENANTS);
	put_usage(r, 2, USAGE_TENANT, 2, 98); /* another id */
	put_usage(r, 3, USAGE_KEY, 1, 99);    /* the same id, of another kind */
	put_usage(r, 4, USAGE_TENANT, 1, 70);
	for (uint32_t i = 0; i < 3; i++)
		put_lease(r, i * 1000, 1, 5, 6);
	put_lease(r, 10, 2, 1, 1);
	json_object *answer = answer_of(r, COMMAND_TENANTS_SHOW, "acme");
	assert_int_equal(number_in(answer, "in_use"), 3);
	check_window(answer, "minute", 60, 70, 0);
	check_window(answer, "day", 100, 70, 30);
	check_window(answer, "month", 1000, 70, 930);
	assert_null(window_in(answer, "second"));
	assert_null(window_in(answer, "hour"));
	check_reset(window_in(answer, "day"), USAGE_DAY, before);
	check_reset(window_in(answer, "month"), USAGE_MONTH, before);
	json_object_put(answer);
}

static void check_uncounted(json_object *answer, const char *name)
{
	json_object *o = window_in(answer, name);
	json_object *value;

	assert_non_null(o);
	assert_true(json_object_object_get_ex(o, "limit", &value) && !value);
	assert_true(json_object_object_get_ex(o, "used", &value) && !value);
	assert_true(json_object_object_get_ex(o, "remaining", &value) && !value);
}

/* The row is from a time with limits: it is no longer counted. */
static void without_limits_the_use_is_unknown(void **state)
{
	struct room *r = *state;

	room_run(r, TENANTS);
	put_usage(r, 0, USAGE_TENANT, 2, 12);
	put_lease(r, 0, 2, 7, 8);
	json_object *answer = answer_of(r, COMMAND_TENANTS_SHOW, "free");
	check_uncounted(answer, "day");
	check_uncounted(answer, "month");
	assert_int_equal(json_object_array_length(json_object_object_get(answer, "usage")), 2);
	assert_int_equal(number_in(answer, "in_use"), 1);
	json_object_put(answer);
	room_run(r, "UPDATE tenants SET concurrency = 3 WHERE id = 2");
	answer = answer_of(r, COMMAND_TENANTS_SHOW, "free");
	check_unlimited(answer, "day", 12);
	check_unlimited(answer, "month", 12);
	json_object_put(answer);
}

static void make_old(struct statefile_usage *row, enum usage_window w)
{
	uint32_t number = window_number(w, clock_wall_ms());

	for (uint32_t ago = 3; ago < 6; ago++)
		window_enter(row, w, number - ago)->count = 70;
}

static void counts_of_an_earlier_window_are_not_shown(void **state)
{
	struct room *r = *state;

	room_run(r, TENANTS);
	struct statefile_usage *row = put_usage(r, 0, USAGE_TENANT, 1, 70);
	make_old(row, USAGE_MINUTE);
	make_old(row, USAGE_DAY);
	staterow_seal(STATEROW(row));
	json_object *answer = answer_of(r, COMMAND_TENANTS_SHOW, "acme");
	check_window(answer, "minute", 60, 0, 60);
	check_window(answer, "day", 100, 0, 100);
	check_window(answer, "month", 1000, 70, 930);
	json_object_put(answer);
}

static void a_damaged_count_is_unknown(void **state)
{
	struct room *r = *state;

	room_run(r, TENANTS);
	struct statefile_usage *row = put_usage(r, 0, USAGE_TENANT, 1, 70);
	row->windows[USAGE_DAY].count ^= 1;
	json_object *answer = answer_of(r, COMMAND_TENANTS_SHOW, "acme");
	json_object *day = window_in(answer, "day");
	json_object *used;
	assert_non_null(day);
	assert_true(json_object_object_get_ex(day, "used", &used));
	assert_null(used);
	json_object_put(answer);
	answer = answer_of(r, COMMAND_STATUS, NULL);
	assert_int_equal(json_object_array_length(json_object_object_get(answer, "quota")), 0);
	json_object_put(answer);
}

static void shadow_counts_are_shown_when_shadow_is_on(void **state)
{
	struct room *r = *state;

	room_run(r, TENANTS);
	board_add(&board_tenant(r->board, 1)->shadow[1], 4);
	json_object *answer = answer_of(r, COMMAND_TENANTS_SHOW, "acme");
	assert_null(json_object_object_get(answer, "shadow_passed"));
	json_object_put(answer);
	room_run(r, "UPDATE tenants SET shadow = 1 WHERE id = 1");
	answer = answer_of(r, COMMAND_TENANTS_SHOW, "acme");
	json_object *counts = json_object_object_get(answer, "shadow_passed");
	assert_int_equal(number_in(counts, "rate"), 0);
	assert_int_equal(number_in(counts, "concurrency"), 4);
	assert_int_equal(number_in(counts, "quota"), 0);
	json_object_put(answer);
}

static void a_key_shows_its_own_use_not_its_tenants(void **state)
{
	struct room *r = *state;

	room_run(r, TENANTS);
	room_add_key(r, "one");
	room_run(r, "UPDATE keys SET rph = 40");
	put_usage(r, 0, USAGE_TENANT, 1, 70);
	put_usage(r, 1, USAGE_KEY, 1, 15);
	put_lease(r, 0, 1, 1, 9);
	put_lease(r, 1, 1, 2, 9);
	json_object *answer = answer_of(r, COMMAND_TOKENS_SHOW, "1");
	assert_int_equal(number_in(answer, "in_use"), 1);
	check_window(answer, "hour", 40, 15, 25);
	check_unlimited(answer, "day", 15);
	check_unlimited(answer, "month", 15);
	json_object_put(answer);
}

static void a_rotated_key_shows_the_use_of_its_family(void **state)
{
	struct room *r = *state;

	room_run(r, TENANTS);
	room_add_key(r, "one");
	room_add_key(r, "two");
	room_run(r,
		"UPDATE keys SET rph = 40, daily = 100; UPDATE keys SET family = 1 WHERE id = 2");
	put_usage(r, 1, USAGE_KEY, 1, 15);
	put_lease(r, 0, 1, 1, 9); /* of an older version */
	put_lease(r, 1, 1, 1, 9)->family = 1;
	put_lease(r, 2, 1, 2, 9)->family = 1;
	put_lease(r, 3, 1, 3, 9)->family = 3;
	for (int id = 1; id <= 2; id++) {
		json_object *answer = answer_of(r, COMMAND_TOKENS_SHOW, id == 1 ? "1" : "2");
		assert_int_equal(number_in(answer, "family"), 1);
		assert_int_equal(number_in(answer, "in_use"), 3);
		check_window(answer, "hour", 40, 15, 25);
		check_window(answer, "day", 100, 15, 85);
		json_object_put(answer);
	}
}

static void an_account_shows_slots_use_and_risk(void **state)
{
	struct room *r = *state;

	room_run(r, ACCOUNTS);
	put_usage(r, 7, USAGE_ACCOUNT, 1, 29);
	put_lease(r, 5, 8, 9, 1);
	board_set(&board_account(r->board, 1)->risk, 250000);
	json_object *answer = answer_of(r, COMMAND_ACCOUNTS_SHOW, "a");
	assert_int_equal(number_in(answer, "in_use"), 1);
	check_window(answer, "minute", 30, 29, 1);
	check_window(answer, "hour", 500, 29, 471);
	assert_null(window_in(answer, "day"));
	assert_true(json_object_get_double(json_object_object_get(answer, "risk")) == 0.25);
	json_object_put(answer);
}

static void a_slot_given_back_is_not_shown(void **state)
{
	struct room *r = *state;
	struct statefile_lease *lease = put_lease(r, STATEFILE_LEASES - 1, 1, 2, 3);

	assert_int_equal(usage_slots(&r->control, USAGE_TENANT, 1), 1);
	assert_int_equal(usage_slots(&r->control, USAGE_KEY, 2), 1);
	assert_int_equal(usage_slots(&r->control, USAGE_ACCOUNT, 3), 1);
	atomic_store(&lease->state, LEASE_FREE);
	assert_int_equal(usage_slots(&r->control, USAGE_TENANT, 1), 0);
}

static void without_a_state_file_usage_is_unknown(void **state)
{
	struct room *r = *state;
	struct statefile_usage row;

	room_run(r, TENANTS);
	json_object *answer = answer_of(r, COMMAND_TENANTS_SHOW, "acme");
	json_object *day = window_in(answer, "day");
	assert_null(json_object_object_get(answer, "in_use"));
	assert_int_equal(number_in(day, "limit"), 100);
	assert_null(json_object_object_get(day, "used"));
	assert_null(json_object_object_get(day, "remaining"));
	json_object_put(answer);
	assert_int_equal(usage_read(&r->control, USAGE_TENANT, 1, &row), -ENOENT);
	json_object_put(answer_of(r, COMMAND_STATUS, NULL));
}

/* --- status --- */

static void check_quota(json_object *items, size_t at, const char *tenant, const char *window,
	int64_t used, int64_t limit)
{
	json_object *o = json_object_array_get_idx(items, at);

	assert_non_null(o);
	assert_string_equal(json_object_get_string(json_object_object_get(o, "tenant")), tenant);
	assert_string_equal(json_object_get_string(json_object_object_get(o, "window")), window);
	assert_int_equal(number_in(o, "used"), used);
	assert_int_equal(number_in(o, "limit"), limit);
	assert_non_null(json_object_object_get(o, "resets_at"));
}

static void status_lists_quotas_from_80_percent_on(void **state)
{
	struct room *r = *state;

	room_run(r, TENANTS);
	struct statefile_usage *row = put_usage(r, 0, USAGE_TENANT, 1, 79);
	put_usage(r, 1, USAGE_TENANT, 2, 1000000); /* has no quota */
	put_usage(r, 2, USAGE_TENANT, 3, 11);	   /* daily 10, no quota of the month */
	put_usage(r, 3, USAGE_TENANT, 77, 500);	   /* deleted */
	put_usage(r, 4, USAGE_KEY, 1, 500);
	json_object *answer = answer_of(r, COMMAND_STATUS, NULL);
	json_object *items = json_object_object_get(answer, "quota");
	assert_int_equal(json_object_array_length(items), 1);
	check_quota(items, 0, "zeta", "day", 11, 10);
	json_object_put(answer);

	set_count(row, USAGE_DAY, 80);
	set_count(row, USAGE_MONTH, 800);
	staterow_seal(STATEROW(row));
	answer = answer_of(r, COMMAND_STATUS, NULL);
	items = json_object_object_get(answer, "quota");
	assert_int_equal(json_object_array_length(items), 3);
	check_quota(items, 0, "acme", "day", 80, 100);
	check_quota(items, 1, "acme", "month", 800, 1000);
	json_object_put(answer);
}

static void status_shows_waiting_healing_and_the_gauge(void **state)
{
	struct room *r = *state;
	board_counter *counters = r->board->counters;
	json_object *answer = answer_of(r, COMMAND_STATUS, NULL);
	json_object *haproxy = json_object_object_get(answer, "haproxy");
	json_object *value;

	assert_true(json_object_object_get_ex(haproxy, "gauge_age_s", &value) && !value);
	json_object_put(answer);
	board_set(&counters[BOARD_WAITING], 6);
	board_set(&counters[BOARD_HEALED], 2);
	board_set(&counters[BOARD_GAUGE_READ_MS], (uint64_t)clock_wall_ms() - 90000);
	answer = answer_of(r, COMMAND_STATUS, NULL);
	json_object *requests = json_object_object_get(answer, "requests");
	int64_t age = number_in(json_object_object_get(answer, "haproxy"), "gauge_age_s");
	assert_int_equal(number_in(requests, "waiting"), 6);
	assert_int_equal(number_in(requests, "slots_healed"), 2);
	assert_in_range(age, 90, 150);
	json_object_put(answer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_tenant_shows_its_windows_and_slots),
		TEST(without_limits_the_use_is_unknown),
		TEST(counts_of_an_earlier_window_are_not_shown),
		TEST(a_damaged_count_is_unknown),
		TEST(shadow_counts_are_shown_when_shadow_is_on),
		TEST(a_key_shows_its_own_use_not_its_tenants),
		TEST(a_rotated_key_shows_the_use_of_its_family),
		TEST(an_account_shows_slots_use_and_risk),
		TEST(a_slot_given_back_is_not_shown),
		cmocka_unit_test_setup_teardown(
			without_a_state_file_usage_is_unknown, room_setup, room_teardown),
		TEST(status_lists_quotas_from_80_percent_on),
		TEST(status_shows_waiting_healing_and_the_gauge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
