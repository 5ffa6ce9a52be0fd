/* Accounts that may be probed, and their probe requests. */
#include "tests/unit/admin/room.h"

#include "admin/upkeep/probe_list.h"

#define FURNITURE                                                                                    \
	"INSERT INTO upstreams (name, url, provider, strip, probe_path, created_ms) VALUES"          \
	" ('o', 'https://o/v1', 'openai', '', '', 0), ('g', 'https://g', 'generic', '', '', 0),"     \
	" ('p', 'https://p', 'generic', '', '/me', 0), ('n', 'https://n', 'openai', '', 'none', 0);" \
	"INSERT INTO accounts (name, upstream_id, source, created_ms) VALUES"                        \
	" ('a', 1, 'token', 0), ('b', 2, 'token', 0), ('c', 3, 'watch', 0), ('d', 4, 'token', 0),"   \
	" ('bare', 1, 'token', 0);"                                                                  \
	"INSERT INTO pools (name, upstream_id, created_ms) VALUES ('x', 1, 0);"                      \
	"INSERT INTO pool_members VALUES (1, 1, 0), (1, 2, 1), (1, 3, 2), (1, 4, 3), (1, 5, 4)"

struct bench {
	struct room *room;
	struct probe_list list;
};

static size_t gone_count;

static void count_gone(struct probe_item *item)
{
	(void)item;
	gone_count++;
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	b->room = room_new();
	room_run(b->room, FURNITURE);
	for (int64_t id = 1; id <= 4; id++)
		room_put_token(b->room, id, "sk-x");
	gone_count = 0;
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	probe_list_fini(&b->list, count_gone);
	room_free(b->room);
	free(b);
	return 0;
}

static void scan(struct bench *b)
{
	assert_int_equal(
		probe_list_scan(&b->list, NULL, b->room->control.store, count_gone, &b->room->e),
		0);
}

static struct probe_item *item(struct bench *b, int64_t id)
{
	struct probe_item *found = probe_list_find(&b->list, id);

	assert_non_null(found);
	return found;
}

static void is_out(struct bench *b, int64_t id, const char *why)
{
	scan(b);
	assert_false(item(b, id)->account.wanted);
	assert_non_null(strstr(item(b, id)->obstacle.text, why));
}

static void is_in(struct bench *b, int64_t id, const char *target)
{
	scan(b);
	assert_true(item(b, id)->account.wanted);
	assert_string_equal(item(b, id)->obstacle.text, "");
	assert_string_equal(item(b, id)->target, target);
}

static void lists_accounts_that_can_be_probed(void **state)
{
	struct bench *b = *state;

	is_in(b, 1, "/v1/models");
	is_in(b, 3, "/me");
	is_out(b, 2, "--probe");
	is_out(b, 4, "none");
	is_out(b, 5, "no credential");
	assert_int_equal(b->list.count, 5);
	assert_null(probe_list_find(&b->list, 6));
}

static void skips_accounts_suspended_or_without_a_login(void **state)
{
	struct bench *b = *state;

	room_run(b->room, "UPDATE accounts SET suspended = 1 WHERE id = 1");
	is_out(b, 1, "suspended");
	room_run(
		b->room, "UPDATE accounts SET suspended = 0, needs_login = 'revoked' WHERE id = 1");
	is_out(b, 1, "login");
	room_run(b->room, "UPDATE accounts SET needs_login = '' WHERE id = 1");
	is_in(b, 1, "/v1/models");
}

static void an_account_without_a_pool_is_probed_by_command_only(void **state)
{
	struct bench *b = *state;

	room_run(b->room, "DELETE FROM pool_members WHERE account_id = 1");
	scan(b);
	assert_false(item(b, 1)->account.wanted);
	assert_string_equal(item(b, 1)->obstacle.text, "");
}

static void knows_which_probes_are_usage_pages(void **state)
{
	struct bench *b = *state;

	room_run(b->room,
		"UPDATE upstreams SET provider = 'codex',"
		" url = 'https://o/backend-api/codex' WHERE id = 1");
	is_in(b, 1, "/backend-api/wham/usage");
	assert_true(item(b, 1)->account.has_page);
	assert_int_not_equal(item(b, 1)->credential, 0);
	assert_false(item(b, 3)->account.has_page);
	room_run(b->room, "UPDATE upstreams SET probe_path = '/me' WHERE id = 1");
	is_in(b, 1, "/me");
	assert_false(item(b, 1)->account.has_page);
}

static void a_scan_keeps_the_state_of_an_account(void **state)
{
	struct bench *b = *state;

	scan(b);
	struct probe_item *first = item(b, 3);
	first->account.began_ms = 4711;
	room_run(b->room, "UPDATE upstreams SET probe_path = '/you' WHERE id = 3");
	is_in(b, 3, "/you");
	assert_ptr_equal(item(b, 3), first);
	assert_int_equal(first->account.began_ms, 4711);
	assert_int_equal(gone_count, 0);
}

static void reports_deleted_accounts(void **state)
{
	struct bench *b = *state;

	scan(b);
	room_run(b->room, "DELETE FROM pool_members WHERE account_id = 2");
	room_run(b->room, "DELETE FROM accounts WHERE id = 2");
	scan(b);
	assert_int_equal(gone_count, 1);
	assert_null(probe_list_find(&b->list, 2));
	assert_int_equal(b->list.count, 4);
	probe_list_fini(&b->list, count_gone);
	assert_int_equal(gone_count, 5);
}

static void lists_many_accounts(void **state)
{
	struct bench *b = *state;

	room_run(b->room,
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)"
		" INSERT INTO accounts (name, upstream_id, source, created_ms)"
		" SELECT 'n' || i, 1, 'token', 0 FROM n");
	scan(b);
	assert_int_equal(b->list.count, 505);
	for (size_t i = 1; i < b->list.count; i++)
		assert_true(b->list.accounts[i - 1]->id < b->list.accounts[i]->id);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(lists_accounts_that_can_be_probed),
		TEST(skips_accounts_suspended_or_without_a_login),
		TEST(an_account_without_a_pool_is_probed_by_command_only),
		TEST(knows_which_probes_are_usage_pages),
		TEST(a_scan_keeps_the_state_of_an_account),
		TEST(reports_deleted_accounts),
		TEST(lists_many_accounts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
