/* Egresses: their accounts and their states. */
#include "tests/unit/admin/room.h"

#include "admin/publish/haproxy_model.h"

#include <errno.h>
#include <stdio.h>

#define FURNITURE                                                                                  \
	"INSERT INTO upstreams (name, url, provider, created_ms) VALUES"                           \
	" ('u', 'https://u', 'openai', 0), ('v', 'https://v', 'openai', 0);"                       \
	"INSERT INTO egresses (name, kind, address, created_ms) VALUES"                            \
	" ('e', 'source', '192.0.2.1', 0), ('f', 'source', '192.0.2.2', 0),"                       \
	" ('twin', 'source', '192.0.2.1', 0);"                                                     \
	"INSERT INTO accounts (name, upstream_id, source, created_ms) VALUES"                      \
	" ('a', 1, 'token', 0), ('b', 1, 'token', 0);"                                             \
	"INSERT INTO account_egresses VALUES (1, 2, 0), (2, 1, 0)"

#define BACKENDS                                                                                   \
	"INSERT INTO backends (id, upstream_id, egress_id, fingerprint, name, prefix, strip,"      \
	" first_gen, last_gen) VALUES (11, 1, 2, '', 'b11-u-e', '', '', 1, NULL),"                 \
	" (12, 2, 2, '', 'b12-v-e', '', '', 1, NULL), (13, 1, 2, '', 'b13-u-e', '', '', 1, 1)"

static int setup(void **state)
{
	*state = room_new();
	room_run(*state, FURNITURE);
	return 0;
}

static void done(struct room *r, enum command_id id, const char *name, const char *body)
{
	struct room_seen seen;

	room_change(r, id, name, body, &seen);
	room_seen_fini(&seen);
}

static json_object *show(struct room *r, const char *name)
{
	json_object *answer;

	assert_int_equal(room_call(r, COMMAND_EGRESS_SHOW, name, "{}", &answer), 200);
	return answer;
}

static const char *text(json_object *o, const char *field)
{
	return json_object_get_string(json_object_object_get(o, field));
}

/* --- sharing --- */

static void a_second_account_is_refused_and_the_error_names_the_first(void **state)
{
	struct room *r = *state;

	room_refuse(r, COMMAND_ACCOUNTS_SET, "b", "{\"egress\":[\"f\",\"e\"]}", 409,
		"egress \\\"e\\\" belongs to account \\\"a\\\"");
	room_refuse(r, COMMAND_ACCOUNTS_ADD, NULL,
		"{\"name\":\"c\",\"upstream\":\"u\",\"token\":\"t\",\"egress\":[\"e\"]}", 409,
		"belongs to account \\\"a\\\"");
	/* Other changes, and changes that keep its egresses, are allowed. */
	done(r, COMMAND_ACCOUNTS_SET, "a", "{\"egress\":[\"e\",\"f\"]}");
	done(r, COMMAND_ACCOUNTS_SET, "a", "{\"egress\":[\"e\"]}");
	done(r, COMMAND_ACCOUNTS_SET, "b", "{\"egress\":[\"f\"]}");
}

static void one_address_under_two_names_is_one_egress(void **state)
{
	struct room *r = *state;

	room_refuse(r, COMMAND_ACCOUNTS_SET, "b", "{\"egress\":[\"twin\"]}", 409,
		"egress \\\"twin\\\" belongs to account \\\"a\\\"");
	done(r, COMMAND_ACCOUNTS_SET, "b", "{\"egress\":[\"f\"]}");
	room_refuse(r, COMMAND_EGRESS_SET, "f", "{\"source\":\"192.0.2.1\"}", 409, "a, b");
	done(r, COMMAND_ACCOUNTS_SET, "a", "{\"egress\":[\"e\",\"twin\"]}");
}

static void every_account_may_use_direct(void **state)
{
	struct room *r = *state;

	done(r, COMMAND_ACCOUNTS_SET, "a", "{\"egress\":[\"direct\"]}");
	done(r, COMMAND_ACCOUNTS_SET, "b", "{\"egress\":[\"direct\",\"f\"]}");
}

static void sharing_stays_while_several_accounts_use_the_egress(void **state)
{
	struct room *r = *state;

	done(r, COMMAND_EGRESS_SET, "e", "{\"shared\":true}");
	done(r, COMMAND_ACCOUNTS_SET, "b", "{\"egress\":[\"e\"]}");
	room_refuse(r, COMMAND_EGRESS_SET, "e", "{\"shared\":false}", 409, "a, b");
	done(r, COMMAND_EGRESS_SET, "e", "{\"region\":\"eu\"}");
	done(r, COMMAND_ACCOUNTS_SET, "b", "{\"egress\":[]}");
	done(r, COMMAND_EGRESS_SET, "e", "{\"shared\":false}");
}

static unsigned apply(struct room *r, const char *document)
{
	struct request request = {
		.control = &r->control,
		.command = command_row(COMMAND_APPLY),
		.document = slice_from_str(document),
		.body = json_object_new_object(),
		.answer = json_object_new_object(),
	};
	struct room_seen seen;

	room_acknowledge(r, store_version(r->control.store) + 1, 0);
	unsigned status = room_run_request(r, &request);
	if (status == 200) {
		room_take(r, &seen);
		room_seen_fini(&seen);
	} else {
		assert_non_null(strstr(json_object_to_json_string(request.answer),
			"accounts b: egress \\\"e\\\""));
	}
	json_object_put(request.body);
	json_object_put(request.answer);
	return status;
}

static void a_document_is_judged_as_a_whole(void **state)
{
	struct room *r = *state;

	assert_int_equal(apply(r, "{\"accounts\":[{\"name\":\"b\",\"egress\":[\"e\"]}]}"), 409);
	assert_int_equal(
		room_number(r, "SELECT egress_id FROM account_egresses WHERE account_id = 2"), 1);
	/* One document may move an egress, in any order of accounts. */
	assert_int_equal(apply(r,
				 "{\"accounts\":[{\"name\":\"b\",\"egress\":[\"e\"]},"
				 "{\"name\":\"a\",\"egress\":[\"f\"]}]}"),
		200);
	assert_int_equal(apply(r,
				 "{\"egress\":[{\"name\":\"e\",\"shared\":true}],"
				 "\"accounts\":[{\"name\":\"a\",\"egress\":[\"e\"]}]}"),
		200);
}

/* --- state --- */

static void the_state_follows_the_backends(void **state)
{
	struct room *r = *state;
	struct board *b = r->board;

	room_run(r, BACKENDS);
	json_object *o = show(r, "e");
	assert_string_equal(text(o, "state"), "ok");
	assert_null(text(o, "reason"));
	assert_int_equal(json_object_array_length(json_object_object_get(o, "backends")), 2);
	json_object_put(o);
	board_set(&board_backend(b, 11)->standing, BOARD_STANDING_OPEN);
	board_set(&board_backend(b, 11)->until_ms, 1700000000000);
	board_set(&board_backend(b, 11)->failures, 5);
	board_set(
		&board_backend(b, 13)->standing, BOARD_STANDING_OPEN); /* of an old configuration */
	o = show(r, "e");
	assert_string_equal(text(o, "state"), "ok");
	assert_string_equal(text(o, "reason"), "u: circuit open");
	json_object *first = json_object_array_get_idx(json_object_object_get(o, "backends"), 0);
	assert_string_equal(text(first, "state"), "open");
	assert_string_equal(text(first, "until"), "2023-11-14T22:13:20Z");
	assert_string_equal(text(first, "failures"), "5");
	json_object_put(o);
	board_set(&board_backend(b, 12)->standing, BOARD_STANDING_HALF_OPEN);
	o = show(r, "e");
	assert_string_equal(text(o, "state"), "down");
	assert_string_equal(
		text(o, "reason"), "u: circuit open; v: circuit half-open: a trial is in progress");
	json_object_put(o);
	/* No agent writes this value, but control checks the bound. */
	board_set(&board_backend(b, 12)->standing, 1000);
	o = show(r, "e");
	assert_string_equal(text(o, "state"), "ok");
	json_object_put(o);
}

static void suspended_overrides_the_backends(void **state)
{
	struct room *r = *state;

	room_run(r, BACKENDS);
	room_run(r,
		"UPDATE egresses SET suspended = 1, suspend_reason = 'seen as 192.0.2.9',"
		" seen_ip = '192.0.2.9', checked_ms = 1700000000000 WHERE name = 'e'");
	board_set(&board_backend(r->board, 11)->standing, BOARD_STANDING_OPEN);
	json_object *o = show(r, "e");
	assert_string_equal(text(o, "state"), "suspended");
	assert_string_equal(text(o, "reason"), "seen as 192.0.2.9");
	assert_string_equal(text(o, "seen_ip"), "192.0.2.9");
	assert_string_equal(text(o, "checked_at"), "2023-11-14T22:13:20Z");
	json_object_put(o);
}

/* --- rendering --- */

/* The database constraint is off: this tests the second check. */
static void an_unknown_kind_is_never_rendered_as_direct(void **state)
{
	struct room *r = *state;
	struct config *c = &r->control.config;
	json_object *options = json_tokener_parse("{\"out\":\"/nowhere\"}");
	struct haproxy_model m;

	snprintf(c->spop_listen.s, sizeof(c->spop_listen.s), "tcp:127.0.0.1:1");
	snprintf(c->events_listen.s, sizeof(c->events_listen.s), "udp:127.0.0.1:1");
	room_run(r, BACKENDS);
	if (haproxy_model_init(&m, &r->control, options, 1, &r->e))
		fail_msg("%s", r->e.text);
	haproxy_model_fini(&m);
	room_run(r, "PRAGMA ignore_check_constraints = ON");
	room_run(r, "UPDATE egresses SET kind = 'socks9' WHERE name = 'e'");
	assert_int_equal(haproxy_model_init(&m, &r->control, options, 1, &r->e), -EBADMSG);
	assert_string_equal(r->e.text, "backend b11-u-e: unknown egress kind \"socks9\"");
	json_object_put(options);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, room_teardown)
		TEST(a_second_account_is_refused_and_the_error_names_the_first),
		TEST(one_address_under_two_names_is_one_egress),
		TEST(every_account_may_use_direct),
		TEST(sharing_stays_while_several_accounts_use_the_egress),
		TEST(a_document_is_judged_as_a_whole),
		TEST(the_state_follows_the_backends),
		TEST(suspended_overrides_the_backends),
		TEST(an_unknown_kind_is_never_rendered_as_direct),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
