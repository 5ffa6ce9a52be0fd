/* Account states, and the effect of suspend, resume and reset. */
#include "tests/unit/admin/room.h"

#include "admin/store/account_state.h"
#include "admin/store/notices.h"
#include "common/clock.h"

#include <stdio.h>

#define FURNITURE                                                                                  \
	"INSERT INTO upstreams (name, url, provider, created_ms) VALUES"                           \
	" ('u', 'https://u', 'openai', 0);"                                                        \
	"INSERT INTO accounts (name, upstream_id, source, created_ms) VALUES"                      \
	" ('a', 1, 'token', 0), ('b', 1, 'token', 0), ('c', 1, 'token', 0);"                       \
	"INSERT INTO account_egresses VALUES (1, 1, 0), (2, 1, 0), (3, 1, 0)"

static int setup(void **state)
{
	struct room *r = room_new();

	room_run(r, FURNITURE);
	for (int64_t id = 1; id <= 3; id++)
		room_put_token(r, id, "sk-x");
	*state = r;
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

	assert_int_equal(room_call(r, COMMAND_ACCOUNTS_SHOW, name, "{}", &answer), 200);
	return answer;
}

static const char *text(json_object *o, const char *field)
{
	return json_object_get_string(json_object_object_get(o, field));
}

static void is_in_state(struct room *r, const char *name, const char *state)
{
	json_object *o = show(r, name);

	assert_string_equal(text(o, "state"), state);
	json_object_put(o);
}

static void stand(struct room *r, uint32_t id, uint64_t epoch, enum board_standing s)
{
	board_set(&board_account(r->board, id)->epoch, epoch);
	board_set(&board_account(r->board, id)->standing, s);
}

/* --- state --- */

static void the_store_overrides_the_board(void **state)
{
	struct room *r = *state;

	is_in_state(r, "a", "ok");
	stand(r, 1, 0, BOARD_STANDING_COOLING);
	is_in_state(r, "a", "cooling");
	room_run(r, "UPDATE credentials SET expires_ms = 1 WHERE account_id = 1");
	is_in_state(r, "a", "expired");
	room_run(r, "DELETE FROM credentials WHERE account_id = 1");
	is_in_state(r, "a", "no_credential");
	room_run(r, "UPDATE accounts SET needs_login = 'refresh token revoked' WHERE id = 1");
	is_in_state(r, "a", "needs_login");
	room_run(r, "UPDATE accounts SET suspended = 1 WHERE id = 1");
	is_in_state(r, "a", "suspended");
}

static void every_state_has_a_distinct_name(void **state)
{
	(void)state;
	for (int i = 0; i < ACCOUNT_STATE_COUNT; i++) {
		const char *name = account_state_name((enum account_state)i);
		assert_true(name && *name);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(name, account_state_name((enum account_state)k));
	}
}

static void agent_state_of_another_epoch_is_ignored(void **state)
{
	struct room *r = *state;

	stand(r, 1, 0, BOARD_STANDING_OPEN);
	board_set(&board_account(r->board, 1)->circuit, CIRCUIT_OPEN);
	board_set(&board_account(r->board, 1)->until_ms, (uint64_t)clock_wall_ms() + 30000);
	json_object *o = show(r, "a");
	assert_string_equal(text(o, "state"), "open");
	assert_string_equal(text(o, "circuit"), "open");
	assert_non_null(text(o, "until"));
	assert_in_range(json_object_get_int(json_object_object_get(o, "until_s")), 20, 30);
	json_object_put(o);
	/* The store's states have no end time. */
	room_run(r, "UPDATE accounts SET suspended = 1 WHERE id = 1");
	o = show(r, "a");
	assert_string_equal(text(o, "standing"), "open");
	assert_null(text(o, "until"));
	json_object_put(o);
	room_run(r, "UPDATE accounts SET suspended = 0, epoch = 1 WHERE id = 1");
	o = show(r, "a");
	assert_string_equal(text(o, "state"), "ok");
	assert_string_equal(text(o, "circuit"), "closed");
	assert_null(text(o, "until"));
	assert_null(text(o, "until_s"));
	json_object_put(o);
}

static void numbers_from_the_board_are_bounded(void **state)
{
	struct room *r = *state;
	struct board_account *row = board_account(r->board, 1);

	board_set(&row->active, 3);
	board_set(&row->risk, 700123);
	board_set(&row->used, 5000000);
	board_set(&row->standing, 200);
	board_set(&row->circuit, 200);
	board_set(&row->last_success_ms, 1700000000000);
	board_add(&row->results[RESULT_DENIED], 4);
	json_object *o = show(r, "a");
	assert_string_equal(text(o, "state"), "ok");
	assert_string_equal(text(o, "circuit"), "closed");
	assert_string_equal(text(o, "risk"), "0.7");
	assert_string_equal(text(o, "used"), "1");
	assert_string_equal(text(o, "last_success_at"), "2023-11-14T22:13:20Z");
	assert_null(text(o, "last_used_at"));
	json_object *results = json_object_object_get(o, "results");
	assert_int_equal(json_object_object_length(results), RESULT_CLASS_COUNT);
	assert_string_equal(text(results, "denied"), "4");
	assert_string_equal(text(results, "success"), "0");
	json_object_put(o);
	assert_int_equal(room_call(r, COMMAND_ACCOUNTS_LIST, NULL, "{}", &o), 200);
	json_object *first = json_object_array_get_idx(json_object_object_get(o, "items"), 0);
	assert_string_equal(text(first, "in_use"), "3");
	assert_string_equal(text(first, "risk"), "0.7");
	assert_null(text(first, "results"));
	json_object_put(o);
}

/* --- suspend, resume, reset --- */

static uint32_t snapshot_epoch(const struct room_seen *seen, uint32_t *ret_flags)
{
	const struct snapshot_account *rows =
		SNAPSHOT_ROWS(&seen->snapshot, ACCOUNT, struct snapshot_account);

	*ret_flags = rows[0].flags;
	return rows[0].epoch;
}

static void resume_lifts_every_suspension(void **state)
{
	struct room *r = *state;
	struct room_seen seen;
	uint32_t flags;

	room_change(r, COMMAND_ACCOUNTS_SUSPEND, "a", "{\"reason\":\"by hand\"}", &seen);
	assert_int_equal(snapshot_epoch(&seen, &flags), 0);
	assert_true(flags & SNAPSHOT_ACCOUNT_SUSPENDED);
	room_seen_fini(&seen);
	assert_int_equal(
		notices_raise(r->control.store, NOTICE_ACCOUNT_SUSPENDED, "account/a", "m", &r->e),
		0);
	assert_int_equal(
		notices_raise(r->control.store, NOTICE_NEEDS_LOGIN, "account/a", "m", &r->e), 0);
	stand(r, 1, 0, BOARD_STANDING_SUSPENDED);
	room_change(r, COMMAND_ACCOUNTS_RESUME, "a", "{}", &seen);
	assert_int_equal(snapshot_epoch(&seen, &flags), 1);
	assert_false(flags & SNAPSHOT_ACCOUNT_SUSPENDED);
	room_seen_fini(&seen);
	json_object *o = show(r, "a");
	assert_string_equal(text(o, "state"), "ok");
	assert_null(text(o, "suspend_reason"));
	json_object_put(o);
	/* Only the notice of the suspension is resolved. */
	assert_int_equal(room_number(r, "SELECT count(*) FROM notices WHERE acked_ms = 0"), 1);
	/* The agent has suspended the account; the store has not done so yet. */
	stand(r, 1, 1, BOARD_STANDING_SUSPENDED);
	is_in_state(r, "a", "suspended");
	done(r, COMMAND_ACCOUNTS_RESUME, "a", "{}");
	is_in_state(r, "a", "ok");
}

static void reset_clears_only_the_agents_state(void **state)
{
	struct room *r = *state;
	struct room_seen seen;
	uint32_t flags;

	stand(r, 1, 0, BOARD_STANDING_COOLING);
	room_change(r, COMMAND_ACCOUNTS_RESET, "a", "{}", &seen);
	assert_int_equal(snapshot_epoch(&seen, &flags), 1);
	room_seen_fini(&seen);
	is_in_state(r, "a", "ok");
	done(r, COMMAND_ACCOUNTS_SUSPEND, "a", "{\"reason\":\"x\"}");
	done(r, COMMAND_ACCOUNTS_RESET, "a", "{}");
	is_in_state(r, "a", "suspended");
	room_refuse(r, COMMAND_ACCOUNTS_RESET, "nobody", "{}", 404, "no account named");
}

static void a_document_that_lifts_a_suspension_resumes(void **state)
{
	struct room *r = *state;
	struct request request = {
		.control = &r->control,
		.command = command_row(COMMAND_APPLY),
		.document = SLICE_LITERAL("{\"accounts\":[{\"name\":\"a\",\"suspended\":false}]}"),
		.body = json_object_new_object(),
		.answer = json_object_new_object(),
	};

	stand(r, 1, 0, BOARD_STANDING_SUSPENDED);
	room_run(r, "UPDATE accounts SET suspended = 1, suspend_reason = 'x' WHERE id = 1");
	room_acknowledge(r, store_version(r->control.store) + 1, 0);
	assert_int_equal(room_run_request(r, &request), 200);
	json_object_put(request.body);
	json_object_put(request.answer);
	is_in_state(r, "a", "ok");
}

static void all_accounts_above_the_risk_are_suspended_at_once(void **state)
{
	struct room *r = *state;
	struct room_seen seen;
	json_object *answer;

	board_set(&board_account(r->board, 1)->risk, 700000);
	board_set(&board_account(r->board, 2)->risk, 700001);
	board_set(&board_account(r->board, 3)->risk, 950000);
	assert_int_equal(
		room_call(r, COMMAND_ACCOUNTS_SUSPEND_RISKY, NULL, "{\"risk_above\":0.7}", &answer),
		200);
	room_take(r, &seen);
	room_seen_fini(&seen);
	json_object *items = json_object_object_get(answer, "items");
	assert_int_equal(json_object_array_length(items), 2);
	assert_string_equal(text(json_object_array_get_idx(items, 0), "name"), "b");
	assert_string_equal(text(json_object_array_get_idx(items, 1), "suspend_reason"),
		"risk 0.95 is above 0.7");
	assert_string_equal(text(answer, "haproxy"), "unchanged");
	json_object_put(answer);
	is_in_state(r, "a", "ok");
	is_in_state(r, "b", "suspended");
	/* No account is left to suspend: no change. */
	uint64_t before = store_version(r->control.store);
	assert_int_equal(
		room_call(r, COMMAND_ACCOUNTS_SUSPEND_RISKY, NULL, "{\"risk_above\":0.7}", &answer),
		200);
	assert_int_equal(json_object_array_length(json_object_object_get(answer, "items")), 0);
	json_object_put(answer);
	assert_true(store_version(r->control.store) == before);
}

static void risk_above_has_bounds(void **state)
{
	static const char *const bad[] = {"{\"risk_above\":1.1}", "{\"risk_above\":-0.1}",
		"{\"risk_above\":\"0.7\"}", "{\"risk_above\":2}", "{\"risk_above\":NaN}", "{}"};
	struct room *r = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		room_refuse(r, COMMAND_ACCOUNTS_SUSPEND_RISKY, NULL, bad[i], 400, "risk-above");
	assert_int_equal(
		room_call(r, COMMAND_ACCOUNTS_SUSPEND_RISKY, NULL, "{\"risk_above\":1}", NULL),
		200);
	assert_int_equal(room_number(r, "SELECT count(*) FROM accounts WHERE suspended"), 0);
}

static void a_deleted_account_leaves_no_notice(void **state)
{
	struct room *r = *state;

	assert_int_equal(
		notices_raise(r->control.store, NOTICE_NEEDS_LOGIN, "account/a", "m", &r->e), 0);
	done(r, COMMAND_ACCOUNTS_DEL, "a", "{}");
	assert_int_equal(room_number(r, "SELECT count(*) FROM notices WHERE acked_ms = 0"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, room_teardown)
		TEST(the_store_overrides_the_board),
		cmocka_unit_test(every_state_has_a_distinct_name),
		TEST(agent_state_of_another_epoch_is_ignored),
		TEST(numbers_from_the_board_are_bounded),
		TEST(resume_lifts_every_suspension),
		TEST(reset_clears_only_the_agents_state),
		TEST(a_document_that_lifts_a_suspension_resumes),
		TEST(all_accounts_above_the_risk_are_suspended_at_once),
		TEST(risk_above_has_bounds),
		TEST(a_deleted_account_leaves_no_notice),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
