/* `requests list` and `requests why`, as the server runs them. */
#include "tests/unit/admin/room.h"

#include "admin/api/request.h"
#include "admin/cli/command_table.h"
#include "common/clock.h"
#include "common/window.h"

#include <stdio.h>
#include <stdlib.h>

#define NAMES                                                                                      \
	"INSERT INTO upstreams (name, url, provider, created_ms) VALUES"                           \
	" ('chat', 'https://h', 'openai', 0);"                                                     \
	"INSERT INTO accounts (name, upstream_id, source, created_ms) VALUES"                      \
	" ('a', 1, 'token', 0), ('b', 1, 'token', 0);"                                             \
	"INSERT INTO pools (name, upstream_id, created_ms) VALUES ('main', 1, 0);"                 \
	"INSERT INTO tenants (name, created_ms) VALUES ('acme', 0)"
#define ID "00112233-4455-6677-8899-aabbccddeeff"
#define ID_BYTES                                                                                   \
	{                                                                                          \
		0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc,      \
			0xdd, 0xee, 0xff                                                           \
	}
#define DECIDED_MS INT64_C(1767323045678) /* 2026-01-02T03:04:05.678Z */

static json_object *ask(struct room *room, enum command_id id, const char *name, const char *body,
	unsigned *ret_status)
{
	struct request r = {
		.control = &room->control,
		.command = command_row(id),
		.name = name,
		.body = json_tokener_parse(body),
		.answer = json_object_new_object(),
	};

	assert_non_null(r.body);
	assert_int_equal(command_body_check(r.command, r.body, &r.error), 0);
	*ret_status = request_run(&r);
	json_object_put(r.body);
	return r.answer;
}

static json_object *ask_why(struct room *room, const char *id)
{
	unsigned status;
	json_object *o = ask(room, COMMAND_REQUESTS_WHY, id, "{}", &status);

	assert_int_equal(status, 200);
	return o;
}

static void refuse(struct room *room, const char *id, unsigned status, const char *word)
{
	unsigned got;
	json_object *o = ask(room, COMMAND_REQUESTS_WHY, id, "{}", &got);
	const char *text = json_object_to_json_string(o);

	assert_int_equal(got, status);
	if (!strstr(text, word))
		fail_msg("%s lacks %s", text, word);
	json_object_put(o);
}

static void is(json_object *o, const char *field, const char *want)
{
	json_object *value = json_object_object_get(o, field);
	const char *got = value ? json_object_get_string(value) : "null";

	if (strcmp(got, want) != 0)
		fail_msg("%s is %s, not %s", field, got, want);
}

static struct board_why decision(enum board_action action, int64_t after_ms)
{
	return (struct board_why){
		.id = ID_BYTES,
		.decided_ms = DECIDED_MS + after_ms,
		.tenant = 1,
		.key = 7,
		.pool = 1,
		.account = action == BOARD_ACTION_ALLOWED ? 2 : 0,
		.action = (uint8_t)action,
		.refusal = action == BOARD_ACTION_ALLOWED ? REFUSAL_NONE : REFUSAL_RATE_LIMITED,
		.limit_count = 2,
		.candidate_count = 2,
		.member_count = 40,
		.conversation = 987654321,
		.limits = {{.kind = USAGE_TENANT, .window = USAGE_MINUTE, .limit = 10, .used = 9},
			{.kind = USAGE_KEY,
				.window = USAGE_WINDOW_COUNT,
				.limit = 2,
				.used = 2,
				.hit = 1}},
		.candidates = {{.account = 1, .reason = BOARD_REASON_SUSPENDED},
			{.account = 2, .score = UINT16_MAX, .reason = BOARD_REASON_TAKEN}},
	};
}

static void put_decision(struct room *r, enum board_action action, int64_t after_ms)
{
	struct board_why w = decision(action, after_ms);

	board_put_why(r->board, &w);
}

/* A request that nobody had let through. */
static void put_finished_as(struct room *r, struct board_request q)
{
	const uint8_t id[16] = ID_BYTES;

	memcpy(q.id, id, sizeof(q.id));
	q.started_ms = DECIDED_MS - 3;
	q.duration_ms = 900;
	q.ttfb_ms = -1;
	board_put_request(r->board, &q);
}

static void put_finished(struct room *r, uint16_t status, const char *code)
{
	struct board_request q = {
		.id = ID_BYTES,
		.started_ms = DECIDED_MS - 3,
		.tenant = 1,
		.key = 7,
		.account = 2,
		.egress = 1,
		.upstream = 1,
		.ttfb_ms = 12,
		.duration_ms = 900,
		.status = status,
		.termination = "--",
	};

	snprintf(q.code, sizeof(q.code), "%s", code);
	board_put_request(r->board, &q);
}

static void the_reasons_join_the_finished_request(void **state)
{
	struct room *r = *state;

	room_run(r, NAMES);
	put_decision(r, BOARD_ACTION_ALLOWED, 0);
	put_finished(r, 504, "upstream_timeout");
	json_object *o = ask_why(r, ID);
	is(o, "id", ID);
	is(o, "time", "2026-01-02T03:04:05.675Z");
	is(o, "tenant", "acme");
	is(o, "key", "7");
	is(o, "pool", "main");
	is(o, "account", "b");
	is(o, "egress", "direct");
	is(o, "upstream", "chat");
	is(o, "action", "allowed");
	is(o, "status", "504");
	is(o, "code", "upstream_timeout");
	is(o, "shadow", "false");
	is(o, "sticky", "true");
	is(o, "waited_ms", "null");
	is(o, "not_listed", "38");
	is(o, "note", "null");
	json_object *limits = json_object_object_get(o, "limits");
	assert_int_equal(json_object_array_length(limits), 2);
	assert_string_equal(json_object_to_json_string_ext(
				    json_object_array_get_idx(limits, 1), JSON_C_TO_STRING_PLAIN),
		"{\"scope\":\"key\",\"window\":\"concurrency\",\"limit\":2,\"used\":2,\"hit\":true}");
	json_object *accounts = json_object_object_get(o, "candidates");
	assert_string_equal(json_object_to_json_string_ext(accounts, JSON_C_TO_STRING_PLAIN),
		"[{\"account\":\"a\",\"score\":0.000,\"reason\":\"suspended\"},"
		"{\"account\":\"b\",\"score\":1.000,\"reason\":\"taken\"}]");
	assert_null(strstr(json_object_to_json_string(o), "987654321"));
	json_object_put(o);
}

static void a_wait_is_shown_with_its_length(void **state)
{
	struct room *r = *state;

	room_run(r, NAMES);
	put_decision(r, BOARD_ACTION_WAITED, 0);
	put_decision(r, BOARD_ACTION_WAITED, 400);
	json_object *o = ask_why(r, ID);
	is(o, "action", "waiting");
	/* nothing has refused it */
	is(o, "code", "null");
	is(o, "waited_for", "rate_limited");
	assert_true(json_object_get_int64(json_object_object_get(o, "waited_ms")) >
		clock_wall_ms() - DECIDED_MS - 60000);
	json_object_put(o);
	put_decision(r, BOARD_ACTION_ALLOWED, 1234);
	put_decision(r, BOARD_ACTION_ALLOWED, 5000); /* another account took over */
	o = ask_why(r, ID);
	is(o, "action", "allowed");
	is(o, "waited_ms", "1234");
	is(o, "waited_for", "rate_limited");
	json_object_put(o);
}

static void a_finished_request_outlives_its_reasons(void **state)
{
	struct room *r = *state;
	struct board_why other = decision(BOARD_ACTION_ALLOWED, 0);
	bool more;

	room_run(r, NAMES);
	r->board->created_ms = DECIDED_MS - 60000;
	r->control.config.requests_retention_ms = UINT64_MAX;
	put_decision(r, BOARD_ACTION_ALLOWED, 0);
	put_finished(r, 200, "");
	assert_int_equal(history_step(&r->history, &more, &r->e), 0);
	other.id[0] = 1;
	for (int i = 0; i < BOARD_WHYS; i++)
		board_put_why(r->board, &other);
	json_object *o = ask_why(r, ID);
	is(o, "status", "200");
	is(o, "account", "b");
	assert_false(json_object_object_get_ex(o, "candidates", NULL));
	assert_non_null(strstr(json_object_get_string(json_object_object_get(o, "note")), "8192"));
	json_object_put(o);
}

static void invalid_data_on_the_board_does_no_harm(void **state)
{
	struct room *r = *state;
	struct board_why w = decision(BOARD_ACTION_DENIED, 0);

	w.limit_count = w.action = w.refusal = 255;
	w.candidate_count = w.member_count = UINT16_MAX;
	for (size_t i = 0; i < BOARD_CANDIDATES; i++)
		w.candidates[i].reason = 255;
	for (size_t i = 0; i < BOARD_LIMITS; i++)
		w.limits[i].kind = w.limits[i].window = 255;
	board_put_why(r->board, &w);
	json_object *o = ask_why(r, ID);
	is(o, "action", "null");
	is(o, "tenant", "#1");
	assert_int_equal(json_object_array_length(json_object_object_get(o, "candidates")),
		BOARD_CANDIDATES);
	json_object_put(o);
}

static int64_t length_of_wait(json_object *o)
{
	return json_object_get_int64(json_object_object_get(o, "waited_ms"));
}

/* Its client left while it waited: it was not refused, and it does not wait any longer. */
static void a_wait_ends_with_the_request(void **state)
{
	struct room *r = *state;

	room_run(r, NAMES);
	put_decision(r, BOARD_ACTION_WAITED, 0);
	put_finished_as(r, (struct board_request){.status = 0, .termination = "CR"});
	json_object *o = ask_why(r, ID);
	is(o, "code", "null");
	is(o, "ended", "client left");
	is(o, "note", "null");
	assert_int_equal(length_of_wait(o), 897);
	json_object_put(o);
}

/* What is said of a request whose reasons are not there. */
static void nothing_false_is_said_without_reasons(void **state)
{
	static const struct {
		struct board_request finished;
		const char *note;
	} rows[] = {
		{{.status = 503, .code = "agent_unavailable"},
			"HAProxy refused it by itself: the agent decided nothing"},
		{{.status = 408, .code = "request_timeout"},
			"HAProxy refused it by itself: the agent decided nothing"},
		{{.status = 200}, "the relay answered it by itself: nothing was to choose"},
		{{.status = 503}, "the relay answered it by itself: nothing was to choose"},
		{{.status = 400, .code = "bad_request"}, "it ended before the agent had decided"},
		{{.status = 0, .termination = "CR"}, "it ended before the agent had decided"},
	};
	struct room *r = *state;

	room_run(r, NAMES);
	r->board->created_ms = DECIDED_MS - 60000;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		put_finished_as(r, rows[i].finished);
		json_object *o = ask_why(r, ID);
		is(o, "note", rows[i].note);
		json_object_put(o);
	}
	/* a relay that began after it cannot know */
	r->board->created_ms = DECIDED_MS + 60000;
	put_finished(r, 200, "");
	json_object *o = ask_why(r, ID);
	is(o, "note", "its reasons are gone: the relay was restarted after it");
	json_object_put(o);
}

/* What is said of a request whose end is not there. */
static void nothing_false_is_said_without_an_end(void **state)
{
	struct room *r = *state;

	room_run(r, NAMES);
	/* such a refusal is in no history: the reasons are all there is */
	put_decision(r, BOARD_ACTION_DENIED, 0);
	json_object *o = ask_why(r, ID);
	is(o, "code", "rate_limited");
	is(o, "note", "null");
	json_object_put(o);
	put_decision(r, BOARD_ACTION_WAITED, 1);
	o = ask_why(r, ID);
	is(o, "note", "HAProxy has not reported how it ended");
	json_object_put(o);
	put_decision(r, BOARD_ACTION_WAITED, clock_wall_ms() - DECIDED_MS);
	o = ask_why(r, ID);
	is(o, "note", "it waits, or its client has left");
	json_object_put(o);
	/* the room has no state file, so no request is in progress */
	put_decision(r, BOARD_ACTION_ALLOWED, 2);
	o = ask_why(r, ID);
	is(o, "code", "null");
	is(o, "note", "HAProxy has not reported how it ended");
	json_object_put(o);
}

/* The client was told what its record says. */
static void a_decision_that_came_too_late_is_not_what_the_client_got(void **state)
{
	struct room *r = *state;

	room_run(r, NAMES);
	put_decision(r, BOARD_ACTION_ALLOWED, 2500);
	put_finished_as(r, (struct board_request){.status = 503, .code = "agent_unavailable"});
	json_object *o = ask_why(r, ID);
	is(o, "action", "allowed");
	is(o, "code", "agent_unavailable");
	is(o, "note", "HAProxy did not wait for this decision");
	json_object_put(o);
	put_decision(r, BOARD_ACTION_DENIED, 2600);
	o = ask_why(r, ID);
	is(o, "code", "agent_unavailable");
	json_object_put(o);
}

static void an_unknown_request_is_an_error(void **state)
{
	struct room *r = *state;

	refuse(r, ID, 404, "30d");
	refuse(r, ID, 404, "last 8192 decisions");
	refuse(r, "0011", 400, "is not a request id");
	refuse(r, "", 400, "is not a request id");
}

/* --- attempts --- */

static void put_attempts(struct room *r, struct board_attempt first, struct board_attempt second)
{
	struct board_why w = {.id = ID_BYTES,
		.action = BOARD_ACTION_ENDED,
		.attempt_count = 2,
		.attempts = {first, second}};

	room_run(r, NAMES);
	put_decision(r, BOARD_ACTION_ALLOWED, 0);
	board_put_why(r->board, &w);
	put_finished(r, second.status, "");
}

static json_object *attempt_at(json_object *o, size_t i)
{
	json_object *one = json_object_array_get_idx(json_object_object_get(o, "attempts"), i);

	assert_non_null(one);
	return one;
}

static void the_same_refusal_twice_is_the_requests_fault(void **state)
{
	struct room *r = *state;

	put_attempts(r, (struct board_attempt){1, 403, RESULT_DENIED, BOARD_VERDICT_REQUEST},
		(struct board_attempt){2, 403, RESULT_DENIED, BOARD_VERDICT_REQUEST});
	json_object *o = ask_why(r, ID);
	is(o, "evidence", "a: 403; b: 403: the request");
	is(o, "action", "allowed");
	is(attempt_at(o, 0), "account", "a");
	is(attempt_at(o, 1), "status", "403");
	is(attempt_at(o, 1), "class", "denied");
	is(attempt_at(o, 1), "verdict", "request");
	json_object_put(o);
}

static void a_success_elsewhere_is_evidence_against_the_account(void **state)
{
	struct room *r = *state;
	struct buffer out = {0};

	put_attempts(r, (struct board_attempt){1, 0, BOARD_EVIDENCE_UNSEEN, BOARD_VERDICT_WITNESS},
		(struct board_attempt){2, 200, RESULT_SUCCESS, BOARD_VERDICT_OPEN});
	json_object *o = ask_why(r, ID);
	is(o, "evidence", "a: unseen; b: 200: evidence against a");
	is(attempt_at(o, 0), "status", "null");
	is(attempt_at(o, 1), "verdict", "null");
	command_table_status(o, false, &out);
	assert_non_null(strstr(buffer_str(&out), "\nATTEMPT AT  STATUS  CLASS"));
	buffer_fini(&out);
	json_object_put(o);
}

static void a_failure_without_failover_is_the_only_attempt(void **state)
{
	struct room *r = *state;

	room_run(r, NAMES);
	put_decision(r, BOARD_ACTION_ALLOWED, 0);
	put_finished(r, 500, "");
	json_object *o = ask_why(r, ID);
	is(o, "evidence", "b: 500");
	is(attempt_at(o, 0), "class", "null");
	is(attempt_at(o, 0), "meaning", "not compared with another account");
	json_object_put(o);
}

static void the_screen_has_a_head_and_two_tables(void **state)
{
	struct room *r = *state;
	struct buffer out = {0};

	room_run(r, NAMES);
	put_decision(r, BOARD_ACTION_WAITED, 0);
	put_decision(r, BOARD_ACTION_ALLOWED, 350);
	put_finished(r, 200, "");
	json_object *o = ask_why(r, ID);
	command_table_status(o, false, &out);
	const char *tables = strstr(buffer_str(&out), "\n\n");
	assert_non_null(strstr(buffer_str(&out), "\nwaited_ms: 350\n"));
	assert_non_null(tables);
	assert_string_equal(tables,
		"\n\n"
		"LIMIT OF  WINDOW       LIMIT  USED  HIT\n"
		"tenant    minute       10     9     no\n"
		"key       concurrency  2      2     yes\n"
		"\n"
		"ACCOUNT  SCORE  REASON\n"
		"a        0      suspended\n"
		"b        1      taken\n");
	buffer_fini(&out);
	json_object_put(o);
}

static void a_list_has_as_many_rows_as_asked_for(void **state)
{
	struct room *r = *state;
	unsigned status;
	bool more = true;

	room_run(r, NAMES);
	r->control.config.requests_retention_ms = UINT64_MAX;
	for (int i = 0; i < 7000; i++)
		put_finished(r, 200, "");
	while (more)
		assert_int_equal(history_step(&r->history, &more, &r->e), 0);
	int64_t start = clock_monotonic_ns();
	json_object *o =
		ask(r, COMMAND_REQUESTS_LIST, NULL, "{\"last\":5000,\"tenant\":\"acme\"}", &status);
	const char *text = json_object_to_json_string(o);
	print_message("5,000 rows: %zu bytes in %lld us\n", strlen(text),
		(long long)((clock_monotonic_ns() - start) / 1000));
	assert_int_equal(status, 200);
	assert_int_equal(json_object_array_length(json_object_object_get(o, "items")), 5000);
	json_object_put(o);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_reasons_join_the_finished_request),
		TEST(a_wait_is_shown_with_its_length),
		TEST(a_finished_request_outlives_its_reasons),
		TEST(invalid_data_on_the_board_does_no_harm),
		TEST(a_wait_ends_with_the_request),
		TEST(nothing_false_is_said_without_reasons),
		TEST(nothing_false_is_said_without_an_end),
		TEST(a_decision_that_came_too_late_is_not_what_the_client_got),
		TEST(an_unknown_request_is_an_error),
		TEST(the_same_refusal_twice_is_the_requests_fault),
		TEST(a_success_elsewhere_is_evidence_against_the_account),
		TEST(a_failure_without_failover_is_the_only_attempt),
		TEST(the_screen_has_a_head_and_two_tables),
		TEST(a_list_has_as_many_rows_as_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
