/* The screen of `relayadm status`: pools, accounts and egresses. */
#include "tests/unit/admin/room.h"

#include "admin/cli/command_table.h"
#include "admin/store/notices.h"
#include "admin/upkeep/minute.h"
#include "admin/upkeep/unbound.h"
#include "common/board.h"
#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define FURNITURE                                                                                  \
	"INSERT INTO upstreams (name, url, provider, created_ms) VALUES"                           \
	" ('u', 'https://u', 'openai', 0);"                                                        \
	"INSERT INTO egresses (name, kind, address, created_ms) VALUES"                            \
	" ('e', 'source', '192.0.2.1', 0), ('f', 'source', '192.0.2.2', 0);"                       \
	"INSERT INTO accounts (name, upstream_id, source, created_ms) VALUES"                      \
	" ('a', 1, 'token', 0), ('b', 1, 'token', 0), ('c', 1, 'token', 0);"                       \
	"INSERT INTO account_egresses VALUES (1, 2, 0), (2, 3, 0), (3, 1, 0);"                     \
	"INSERT INTO pools (name, upstream_id, created_ms) VALUES ('p', 1, 0);"                    \
	"INSERT INTO pool_members VALUES (1, 1, 0), (1, 2, 1), (1, 3, 2);"                         \
	"INSERT INTO backends (id, upstream_id, egress_id, fingerprint, name, prefix, strip,"      \
	" first_gen) VALUES (11, 1, 2, '', 'b11-u-e', '', '', 1)"

static int setup(void **state)
{
	struct room *r = room_new();

	room_run(r, FURNITURE);
	for (int64_t id = 1; id <= 3; id++)
		room_put_token(r, id, "sk-x");
	for (int role = 0; role < CHILD_ROLE_COUNT; role++)
		r->control.processes[role].state = CHILD_SERVING;
	*state = r;
	return 0;
}

static json_object *status(struct room *r)
{
	json_object *answer;

	assert_int_equal(room_call(r, COMMAND_STATUS, NULL, "{}", &answer), 200);
	return answer;
}

static json_object *item(json_object *status, const char *section, size_t at)
{
	return json_object_array_get_idx(json_object_object_get(status, section), at);
}

static const char *text(json_object *o, const char *field)
{
	return json_object_get_string(json_object_object_get(o, field));
}

/* Pages that SQLite has in memory would hide it. */
static void damage_the_store(struct room *r)
{
	static const char rubbish[4096] = {1};
	struct stat st;

	room_run(r, "PRAGMA wal_checkpoint(TRUNCATE)");
	int fd = open(r->db, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	for (off_t at = sizeof(rubbish); at < st.st_size; at += (off_t)sizeof(rubbish))
		assert_int_equal(pwrite(fd, rubbish, sizeof(rubbish), at), sizeof(rubbish));
	close(fd);
	room_run(r, "PRAGMA shrink_memory");
}

/* The codes of the warnings; notes in brackets. Valid until the next call. */
static const char *codes(json_object *status)
{
	static char out[512];
	json_object *warnings = json_object_object_get(status, "warnings");
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < json_object_array_length(warnings); i++) {
		json_object *one = json_object_array_get_idx(warnings, i);
		bool note = strcmp(text(one, "level"), "note") == 0;
		n += (size_t)snprintf(out + n, sizeof(out) - n, "%s%s%s%s", n ? " " : "",
			note ? "(" : "", text(one, "code"), note ? ")" : "");
	}
	return out;
}

static void a_pool_counts_the_accounts_that_can_be_used(void **state)
{
	struct room *r = *state;
	json_object *o = status(r);

	assert_string_equal(text(item(o, "pools", 0), "usable"), "3");
	json_object_put(o);
	board_set(&board_account(r->board, 1)->standing, BOARD_STANDING_OPEN);
	room_run(r, "UPDATE accounts SET needs_login = 'revoked' WHERE id = 2");
	o = status(r);
	assert_string_equal(text(item(o, "pools", 0), "usable"), "1");
	assert_string_equal(text(item(o, "accounts", 0), "state"), "open");
	assert_string_equal(text(item(o, "accounts", 1), "state"), "needs_login");
	assert_string_equal(text(item(o, "accounts", 2), "state"), "ok");
	json_object_put(o);
}

static void only_failing_egresses_are_shown(void **state)
{
	struct room *r = *state;
	json_object *o = status(r);

	assert_int_equal(json_object_array_length(json_object_object_get(o, "egress")), 0);
	json_object_put(o);
	board_set(&board_backend(r->board, 11)->standing, BOARD_STANDING_OPEN);
	room_run(r, "UPDATE egresses SET suspended = 1, suspend_reason = 'x' WHERE name = 'f'");
	o = status(r);
	assert_int_equal(json_object_array_length(json_object_object_get(o, "egress")), 2);
	assert_string_equal(text(item(o, "egress", 0), "name"), "e");
	assert_string_equal(text(item(o, "egress", 0), "state"), "down");
	assert_string_equal(text(item(o, "egress", 1), "state"), "suspended");
	struct buffer screen = {0};
	command_table_status(o, false, &screen);
	assert_non_null(strstr(buffer_str(&screen),
		"\nEGRESS  STATE      REASON\n"
		"e       down       u: circuit open\n"
		"f       suspended  x\n"));
	buffer_fini(&screen);
	json_object_put(o);
}

/* Without HAProxy there is no gauge, and no warning about it. */
static void without_haproxy_there_is_one_warning(void **state)
{
	json_object *o = status(*state);

	assert_string_equal(codes(o), "haproxy_not_rendered");
	json_object_put(o);
}

/* What the board, the store and the keeper tell, and the warning for it. */
static void each_fault_has_its_code(void **state)
{
	struct room *r = *state;
	struct minute minute;
	uint32_t missing = 11;
	struct unbound unbound = {.control = NULL};
	json_object *o;

	minute_init(&minute, r->board);
	r->control.minute = &minute;
	r->control.unbound = &unbound;
	r->control.started_ms = clock_monotonic_ms() - 60000;
	o = status(r);
	assert_string_equal(codes(o), "haproxy_not_rendered");
	json_object_put(o);

	r->control.processes[CHILD_AGENT].state = CHILD_DOWN;
	r->control.processes[CHILD_CONTROL].restarts = 3;
	r->control.processes[CHILD_CONTROL].pid = 1;
	r->control.processes[CHILD_CONTROL].last_end = CHILD_END_CRASH;
	r->control.processes[CHILD_CONTROL].last_end_mono = clock_monotonic_ms() - 5000;
	room_run(r, "UPDATE accounts SET needs_login = 'revoked' WHERE id > 1");
	o = status(r);
	assert_string_equal(codes(o), "haproxy_not_rendered child_restarted child_down");
	assert_non_null(strstr(text(o, "summary"),
		"the control process was restarted 5 s ago (crash), 3 times in all"));
	json_object_put(o);

	/* the only account left has an egress whose address is nowhere */
	buffer_append(&unbound.backends, &missing, sizeof(missing));
	board_add(&r->board->refused[REFUSAL_RATE_LIMITED], 2);
	board_add(&r->board->refused[REFUSAL_AGENT_UNAVAILABLE], 1);
	o = status(r);
	assert_string_equal(codes(o),
		"haproxy_not_rendered child_restarted child_down pool_unusable egress_address"
		" (refusals) refusals");
	assert_non_null(strstr(text(o, "summary"),
		"egress e: HAProxy's machine does not have the address 192.0.2.1"));
	assert_non_null(strstr(text(o, "summary"),
		"1 request refused in the last minute: "
		"agent_unavailable"));
	assert_null(strstr(text(o, "summary"), "rate_limited"));
	assert_string_equal(text(item(o, "egress", 0), "state"), "down");
	json_object_put(o);
	buffer_fini(&unbound.backends);
	r->control.minute = NULL;
	r->control.unbound = NULL;
}

/* The process may be young for another reason: a replacement of the program. */
static void a_restart_is_told_for_ten_minutes(void **state)
{
	struct room *r = *state;
	struct channel_process *p = &r->control.processes[CHILD_CONTROL];

	p->restarts = 1;
	p->last_end = CHILD_END_CRASH;
	p->started_ms = clock_monotonic_ms() - 1000;
	p->last_end_mono = clock_monotonic_ms() - 599000;
	json_object *o = status(r);
	assert_non_null(strstr(text(o, "summary"),
		"the control process was restarted 599 s ago (crash), 1 time in all"));
	json_object_put(o);
	p->last_end_mono = clock_monotonic_ms() - 601000;
	o = status(r);
	assert_string_equal(codes(o), "haproxy_not_rendered");
	json_object_put(o);
}

/* A replacement by SIGUSR2 is no fault, and neither is the first second of any other start. */
static void a_start_is_a_note_unless_it_takes_long(void **state)
{
	struct room *r = *state;
	struct channel_process *p = &r->control.processes[CHILD_AGENT];

	p->state = CHILD_STARTING;
	p->started_ms = clock_monotonic_ms() - 1000;
	json_object *o = status(r);
	assert_string_equal(codes(o), "haproxy_not_rendered (child_down)");
	json_object_put(o);
	p->started_ms = clock_monotonic_ms() - 6000;
	o = status(r);
	assert_string_equal(codes(o), "haproxy_not_rendered child_down");
	json_object_put(o);

	/* after a crash the start does not hide it */
	p->started_ms = clock_monotonic_ms() - 1000;
	p->restarts = 1;
	p->last_end_mono = p->started_ms;
	o = status(r);
	assert_string_equal(codes(o), "haproxy_not_rendered child_restarted (child_down)");
	json_object_put(o);
}

static void a_keeper_that_does_not_ask_is_told(void **state)
{
	struct room *r = *state;
	struct channel_process *p = &r->control.processes[CHILD_KEEPER];

	p->pid = 4711;
	r->control.pinged_ms = clock_monotonic_ms() - 2000;
	json_object *o = status(r);
	assert_string_equal(codes(o), "haproxy_not_rendered");
	json_object_put(o);
	r->control.pinged_ms = clock_monotonic_ms() - 4000;
	o = status(r);
	assert_string_equal(codes(o), "haproxy_not_rendered keeper_silent");
	assert_non_null(strstr(text(o, "summary"),
		"the keeper, process 4711, has not answered for 4 s: no process that dies is restarted"));
	json_object *keeper =
		json_object_object_get(json_object_object_get(o, "processes"), "keeper");
	assert_string_equal(text(keeper, "state"), "hung");
	json_object_put(o);
	r->control.pinged_ms = clock_monotonic_ms();
	o = status(r);
	assert_string_equal(codes(o), "haproxy_not_rendered");
	json_object_put(o);
}

static void a_planned_stop_is_no_problem(void **state)
{
	struct room *r = *state;
	struct minute minute;

	minute_init(&minute, r->board);
	r->control.minute = &minute;
	board_add(&r->board->refused[REFUSAL_DRAINING], 50);
	json_object *o = status(r);
	assert_string_equal(codes(o), "haproxy_not_rendered (refusals)");
	json_object_put(o);
	r->control.minute = NULL;
}

/* Only the last minute counts: eleven steps of 5 s later the refusal still does. */
static void a_minute_forgets(void **state)
{
	struct room *r = *state;
	struct minute minute;
	struct minute_sample m;

	board_add(&r->board->refused[REFUSAL_DRAINING], 5);
	minute_init(&minute, r->board);
	board_add(&r->board->refused[REFUSAL_DRAINING], 2);
	for (int i = 0; i < MINUTE_SAMPLES; i++) {
		minute_read(&minute, &m);
		assert_int_equal(m.refused[REFUSAL_DRAINING], 2);
		minute_step(&minute);
	}
	minute_read(&minute, &m);
	assert_int_equal(m.refused[REFUSAL_DRAINING], 0);
}

static void a_clock_that_was_set_is_told_for_a_while(void **state)
{
	struct room *r = *state;

	r->control.clock.step_ms = -3600000;
	r->control.clock.step_at_ms = clock_wall_ms() - 40000;
	json_object *o = status(r);
	assert_string_equal(codes(o), "clock_step haproxy_not_rendered");
	assert_non_null(strstr(text(o, "summary"), "was set back by 3600 s, 4"));
	json_object_put(o);
	r->control.clock.step_at_ms = clock_wall_ms() - 700000;
	o = status(r);
	assert_string_equal(codes(o), "haproxy_not_rendered");
	json_object_put(o);
}

static void check_fails_if_something_is_wrong(void **state)
{
	struct room *r = *state;
	json_object *answer;

	assert_int_equal(room_call(r, COMMAND_STATUS, NULL, "{\"check\":true}", &answer), 200);
	assert_non_null(text(answer, "failed"));
	json_object_put(answer);
	answer = status(r);
	assert_null(text(answer, "failed"));
	json_object_put(answer);
}

static void the_screen_begins_with_the_summary(void **state)
{
	static const char good[] = "{\"ok\":true,\"summary\":\"ok\",\"warnings\":[{\"level\":"
				   "\"note\",\"message\":\"n\"}],\"pools\":[{\"name\":\"p\","
				   "\"usable\":1}]}";
	static const char bad[] = "{\"ok\":false,\"summary\":\"x; y\",\"warnings\":[{\"level\":"
				  "\"problem\",\"message\":\"x\"},{\"level\":\"problem\","
				  "\"message\":\"y\"}],\"pools\":[{\"name\":\"p\",\"usable\":0}]}";
	struct buffer out = {0};
	json_object *o = json_tokener_parse(good);

	(void)state;
	command_table_status(o, false, &out);
	assert_memory_equal(buffer_str(&out), "ok\nnote: n\n", 11);
	buffer_clear(&out);
	command_table_status(o, true, &out);
	assert_memory_equal(buffer_str(&out), "ok\n", 3);
	assert_null(strstr(buffer_str(&out), "\x1b[31m"));
	json_object_put(o);
	o = json_tokener_parse(bad);
	buffer_clear(&out);
	command_table_status(o, true, &out);
	assert_non_null(
		strstr(buffer_str(&out), "\x1b[31mx; y\x1b[0m\n\x1b[31mproblem\x1b[0m: x\n"));
	assert_non_null(strstr(buffer_str(&out), "\x1b[31m0\x1b[0m"));
	buffer_clear(&out);
	command_table_status(o, false, &out);
	assert_null(strchr(buffer_str(&out), '\x1b'));
	json_object_put(o);
	buffer_fini(&out);
}

static void a_damaged_store_is_shown(void **state)
{
	struct room *r = *state;

	damage_the_store(r);
	json_object *o = status(r);
	json_object *store = json_object_object_get(o, "store");
	assert_false(json_object_get_boolean(json_object_object_get(store, "up")));
	assert_non_null(strstr(text(store, "error"), "malformed"));
	assert_non_null(strstr(codes(o), "store_down"));
	json_object_put(o);
	/* it is down until control starts again, and nothing is lost meanwhile */
	store_watch(r->control.store);
	assert_false(store_is_up(r->control.store));
	assert_int_equal(notices_raise(r->control.store, NOTICE_STORE_DOWN, "store/store",
				 store_fault(r->control.store), &r->e),
		-EIO);
	o = status(r);
	assert_string_equal(text(item(o, "notices", 0), "kind"), NOTICE_STORE_DOWN);
	json_object_put(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, room_teardown)
		TEST(a_pool_counts_the_accounts_that_can_be_used),
		TEST(only_failing_egresses_are_shown),
		TEST(without_haproxy_there_is_one_warning),
		TEST(each_fault_has_its_code),
		TEST(a_restart_is_told_for_ten_minutes),
		TEST(a_start_is_a_note_unless_it_takes_long),
		TEST(a_keeper_that_does_not_ask_is_told),
		TEST(a_planned_stop_is_no_problem),
		TEST(a_minute_forgets),
		TEST(a_clock_that_was_set_is_told_for_a_while),
		TEST(check_fails_if_something_is_wrong),
		TEST(the_screen_begins_with_the_summary),
		TEST(a_damaged_store_is_shown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
