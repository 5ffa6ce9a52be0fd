/* The screen of `relayadm status`: pools, accounts and egresses. */
#include "tests/unit/admin/room.h"

#include "admin/cli/command_table.h"

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
	command_table_status(o, &screen);
	assert_non_null(strstr(buffer_str(&screen),
		"\nEGRESS  STATE      REASON\n"
		"e       down       u: circuit open\n"
		"f       suspended  x\n"));
	buffer_fini(&screen);
	json_object_put(o);
}

/* Without HAProxy there is no gauge, and no warning. */
static void without_haproxy_there_is_no_warning(void **state)
{
	json_object *o = status(*state);

	assert_int_equal(json_object_array_length(json_object_object_get(o, "warnings")), 0);
	json_object_put(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, room_teardown)
		TEST(a_pool_counts_the_accounts_that_can_be_used),
		TEST(only_failing_egresses_are_shown),
		TEST(without_haproxy_there_is_no_warning),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
