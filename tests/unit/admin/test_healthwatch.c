/* Suspensions by the agent, and notices of invalid credentials. */
#include "tests/unit/admin/room.h"

#include "admin/upkeep/healthwatch.h"
#include "common/statefile.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#define FURNITURE                                                                                  \
	"INSERT INTO upstreams (name, url, provider, created_ms) VALUES"                           \
	" ('u', 'https://u', 'openai', 0);"                                                        \
	"INSERT INTO accounts (name, upstream_id, source, created_ms) VALUES"                      \
	" ('a', 1, 'token', 0), ('b', 1, 'token', 0);"                                             \
	"INSERT INTO account_egresses VALUES (1, 1, 0), (2, 1, 0)"

struct watched {
	struct room *room;
	struct healthwatch watch;
};

static struct watched w;

static int setup(void **state)
{
	struct room *r = room_new();

	room_run(r, FURNITURE);
	room_put_token(r, 1, "sk-a");
	room_put_token(r, 2, "sk-b");
	w = (struct watched){.room = r, .watch = {.control = &r->control}};
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	buffer_fini(&w.watch.told);
	return room_teardown(state);
}

static void suspend(struct room *r, uint32_t id, uint64_t epoch)
{
	board_set(&board_account(r->board, id)->epoch, epoch);
	board_set(&board_account(r->board, id)->standing, BOARD_STANDING_SUSPENDED);
	board_add(&r->board->counters[BOARD_HEALTH_CHANGES], 1);
}

static int64_t suspended(struct room *r)
{
	return room_number(r, "SELECT count(*) FROM accounts WHERE suspended");
}

static bool something_was_published(struct room *r)
{
	struct pollfd p = {.fd = r->agent_fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

/* A look without a change. */
static void look_in_vain(struct room *r, int64_t now_ms)
{
	uint64_t before = store_version(r->control.store);

	healthwatch_poll(&w.watch, now_ms);
	assert_true(store_version(r->control.store) == before);
	assert_false(something_was_published(r));
}

/* A look with a change; an agent takes the snapshot. */
static void look(struct room *r, int64_t now_ms, struct room_seen *ret)
{
	room_acknowledge(r, store_version(r->control.store) + 1, 0);
	healthwatch_poll(&w.watch, now_ms);
	room_take(r, ret);
}

static void a_suspension_by_the_agent_is_stored(void **state)
{
	struct room *r = *state;
	struct room_seen seen;

	look_in_vain(r, 1000);
	suspend(r, 2, 0);
	look(r, 1200, &seen);
	const struct snapshot_account *rows =
		SNAPSHOT_ROWS(&seen.snapshot, ACCOUNT, struct snapshot_account);
	assert_false(rows[0].flags & SNAPSHOT_ACCOUNT_SUSPENDED);
	assert_true(rows[1].flags & SNAPSHOT_ACCOUNT_SUSPENDED);
	room_seen_fini(&seen);
	assert_int_equal(suspended(r), 1);
	assert_int_equal(room_number(r,
				 "SELECT count(*) FROM notices WHERE acked_ms = 0 AND"
				 " kind = 'account_suspended' AND subject = 'account/b'"
				 " AND message = 'its probes were refused'"),
		1);
	/* A second look changes nothing. */
	look_in_vain(r, 1400);
	board_add(&r->board->counters[BOARD_HEALTH_CHANGES], 1);
	look_in_vain(r, 1600);
	look_in_vain(r, 9000);
}

static void a_suspension_before_a_reset_is_ignored(void **state)
{
	struct room *r = *state;

	room_run(r, "UPDATE accounts SET epoch = 1 WHERE id = 1");
	suspend(r, 1, 0);
	look_in_vain(r, 1000);
	assert_int_equal(suspended(r), 0);
}

static void an_operators_suspension_is_kept(void **state)
{
	struct room *r = *state;

	room_run(r, "UPDATE accounts SET suspended = 1, suspend_reason = 'mine' WHERE id = 1");
	suspend(r, 1, 0);
	look_in_vain(r, 1000);
	assert_int_equal(
		room_number(r, "SELECT count(*) FROM accounts WHERE suspend_reason = 'mine'"), 1);
	assert_int_equal(room_number(r, "SELECT count(*) FROM notices"), 0);
}

/* A restarted control reads the standing even if it missed the counter's change. */
static void a_restarted_control_misses_nothing(void **state)
{
	struct room *r = *state;
	struct room_seen seen;

	suspend(r, 1, 0);
	look(r, 1, &seen);
	room_seen_fini(&seen);
	assert_int_equal(suspended(r), 1);
}

static void looks_every_few_seconds_without_a_change(void **state)
{
	struct room *r = *state;
	struct room_seen seen;

	look_in_vain(r, 1000);
	board_set(&board_account(r->board, 1)->standing, BOARD_STANDING_SUSPENDED);
	look_in_vain(r, 5900);
	look(r, 6000, &seen);
	room_seen_fini(&seen);
	assert_int_equal(suspended(r), 1);
}

static void the_reason_has_a_count_and_a_class(void **state)
{
	struct room *r = *state;
	struct room_seen seen;
	char path[ROOM_PATH_MAX];
	enum statefile_event set_aside;
	uint32_t count;

	snprintf(path, sizeof(path), "%s/state", r->dir);
	int fd = statefile_open(path, (unsigned)-1, (unsigned)-1, &set_aside, &r->e);
	assert_true(fd >= 0);
	assert_int_equal(statefile_map(fd, &r->control.statefile, &r->e), 0);
	struct statefile_health *rows =
		statefile_table(&r->control.statefile, STATEFILE_HEALTH, &count);
	rows[7].id = 1;
	rows[7].rungs = 5;
	rows[7].cool_class = RESULT_DENIED;
	rows[7].state = HEALTH_ACCOUNT;
	suspend(r, 1, 0);
	look(r, 1000, &seen);
	room_seen_fini(&seen);
	assert_int_equal(room_number(r,
				 "SELECT count(*) FROM accounts WHERE suspend_reason ="
				 " '5 probes in a row were refused, the last one: denied'"),
		1);
	statefile_unmap(&r->control.statefile);
	close(fd);
}

/* --- invalid --- */

static void cool(struct room *r, uint32_t id, uint64_t refused)
{
	board_set(&board_account(r->board, id)->standing,
		refused ? BOARD_STANDING_COOLING : BOARD_STANDING_USABLE);
	board_set(&board_account(r->board, id)->refused_credential, refused);
	board_add(&r->board->counters[BOARD_HEALTH_CHANGES], 1);
}

static int64_t open_notices(struct room *r)
{
	return room_number(
		r, "SELECT count(*) FROM notices WHERE kind = 'account_invalid' AND acked_ms = 0");
}

static void a_refused_unrenewable_credential_raises_a_notice(void **state)
{
	struct room *r = *state;

	cool(r, 1, 1);
	look_in_vain(r, 1000);
	assert_int_equal(room_number(r,
				 "SELECT count(*) FROM notices WHERE subject = 'account/a' AND"
				 " message LIKE 'the upstream refuses the credential%'"),
		1);
	/* One notice per episode, even after an acknowledgement. */
	look_in_vain(r, 7000);
	assert_int_equal(room_number(r, "SELECT count FROM notices"), 1);
	room_run(r, "UPDATE notices SET acked_ms = 1");
	look_in_vain(r, 13000);
	assert_int_equal(open_notices(r), 0);
	/* Accepted, then refused again. */
	cool(r, 1, 0);
	look_in_vain(r, 19000);
	cool(r, 1, 1);
	look_in_vain(r, 25000);
	assert_int_equal(open_notices(r), 1);
	cool(r, 1, 0);
	look_in_vain(r, 31000);
	assert_int_equal(open_notices(r), 0);
}

static void a_new_credential_ends_the_notice(void **state)
{
	struct room *r = *state;

	cool(r, 1, 1);
	look_in_vain(r, 1000);
	assert_int_equal(open_notices(r), 1);
	room_put_token(r, 1, "sk-new"); /* generation 2 */
	look_in_vain(r, 7000);
	assert_int_equal(open_notices(r), 0);
}

static void an_expired_credential_is_invalid_unless_renewable(void **state)
{
	struct room *r = *state;

	room_run(r, "UPDATE credentials SET expires_ms = 1");
	assert_int_equal(credential_put(r->control.store, r->control.vault, 2,
				 CREDENTIAL_REFRESH_TOKEN, SLICE_LITERAL("rt"), 0, &r->e),
		0);
	cool(r, 2, 1);
	look_in_vain(r, 1000);
	assert_int_equal(open_notices(r), 1);
	assert_int_equal(room_number(r,
				 "SELECT count(*) FROM notices WHERE subject = 'account/a' AND"
				 " message LIKE 'the credential has expired%'"),
		1);
}

/* A suspended account keeps its notice. */
static void a_suspension_resolves_no_notice(void **state)
{
	struct room *r = *state;
	struct room_seen seen;

	cool(r, 1, 1);
	look_in_vain(r, 1000);
	suspend(r, 1, 0);
	look(r, 7000, &seen);
	room_seen_fini(&seen);
	look_in_vain(r, 13000);
	assert_int_equal(open_notices(r), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(a_suspension_by_the_agent_is_stored),
		TEST(a_suspension_before_a_reset_is_ignored),
		TEST(an_operators_suspension_is_kept),
		TEST(a_restarted_control_misses_nothing),
		TEST(looks_every_few_seconds_without_a_change),
		TEST(the_reason_has_a_count_and_a_class),
		TEST(a_refused_unrenewable_credential_raises_a_notice),
		TEST(a_new_credential_ends_the_notice),
		TEST(an_expired_credential_is_invalid_unless_renewable),
		TEST(a_suspension_resolves_no_notice),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
