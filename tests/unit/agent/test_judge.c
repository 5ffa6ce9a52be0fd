/*
 * From end records to health and onto the board: whether the account, the egress or neither is at
 * fault.
 */
#include "agent/judge.h"
#include "crowd.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/seam.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <unistd.h>

struct scene {
	struct agent agent;
	struct crowd crowd; /* the agent borrows its tables */
	int board_fd;
};

static int set_up(void **state)
{
	static struct scene s;
	struct tables *t = &s.crowd.tables;
	struct errtext e;

	memset(&s, 0, sizeof(s));
	crowd_init(&s.crowd);
	s.crowd.now_ms = clock_wall_ms();
	step_watch_start(&s.agent.steps, clock_pair());
	crowd_build(&s.crowd);
	s.board_fd = board_create();
	assert_true(s.board_fd >= 0);
	s.agent.board = board_map(s.board_fd, true, &e);
	assert_non_null(s.agent.board);
	s.agent.snapshot = &s.crowd.snapshot;
	s.agent.healths = t->healths;
	s.agent.usages = t->usages;
	s.agent.slots = t->slots;
	s.agent.leases = t->leases;
	s.agent.evidence = t->evidence;
	s.agent.state = t->state;
	s.agent.state.healths = &s.agent.healths;
	s.agent.state.usages = &s.agent.usages;
	s.agent.state.leases = &s.agent.leases;
	s.agent.state.evidence = &s.agent.evidence;
	t->state.evidence = &s.agent.evidence;
	t->state.healths = &s.agent.healths;
	t->state.usages = &s.agent.usages;
	t->state.slots = &s.agent.slots;
	t->state.leases = &s.agent.leases;
	*state = &s;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *s = *state;

	s->crowd.tables.healths = s->agent.healths;
	s->crowd.tables.usages = s->agent.usages;
	s->crowd.tables.slots = s->agent.slots;
	s->crowd.tables.leases = s->agent.leases;
	s->crowd.tables.evidence = s->agent.evidence;
	board_unmap(s->agent.board);
	close(s->board_fd);
	crowd_fini(&s->crowd);
	return 0;
}

static const struct statefile_lease *lease_of(struct scene *s, uint32_t n)
{
	uint8_t id[16] = {0};

	memcpy(id, &n, sizeof(n));
	return lease_find(&s->agent.leases, id);
}

/* HAProxy's end record of the stream that the last verdict was for. */
static struct record record_of(
	const struct scene *s, uint32_t n, unsigned status, const char *termination)
{
	const struct decide_verdict *v = &s->crowd.v;
	struct record r = {.account = v->account->id,
		.backend = SLICE_LITERAL("b21-u-e"),
		.server = SLICE_LITERAL("out"),
		.status = status,
		.mark = v->mark};

	memcpy(r.id, &n, sizeof(n));
	memcpy(r.termination, termination, sizeof(r.termination));
	return r;
}

static void answer(struct scene *s, uint32_t n, unsigned status, const char *termination)
{
	struct record r = record_of(s, n, status, termination);

	judge_record(&s->agent, &r, true, false);
}

static const struct board_account *shown(const struct scene *s)
{
	return board_find_account(s->agent.board, s->crowd.v.account->id);
}

static uint64_t standing(const struct scene *s)
{
	return board_get(&shown(s)->standing);
}

static uint64_t backend_circuit(const struct scene *s)
{
	return board_get(&board_find_backend(s->agent.board, CROWD_BACKEND)->circuit);
}

static uint64_t counted(const struct scene *s, enum board_counter_id id)
{
	return board_get(&s->agent.board->counters[id]);
}

static void alone(struct scene *s)
{
	s->crowd.account_count = 1;
	crowd_build(&s->crowd);
}

static void errors_of_the_upstream_brake_their_key_and_ask_for_a_probe(void **state)
{
	struct scene *s = *state;

	alone(s);
	for (uint32_t n = 1; n <= 2; n++) {
		assert_true(crowd_decide(&s->crowd, n));
		answer(s, n, 500, "--");
	}
	assert_int_equal(standing(s), BOARD_STANDING_USABLE);
	assert_int_equal(board_get(&shown(s)->results[RESULT_SERVER]), 2);
	assert_true(board_get(&shown(s)->wants_probe_ms) > 0);
	assert_int_equal(board_get(&shown(s)->wants_probe_class), RESULT_SERVER);
	assert_int_equal(counted(s, BOARD_HEALTH_CHANGES), 1);
	assert_int_equal(backend_circuit(s), CIRCUIT_CLOSED);
	judge_show_all(&s->agent, s->crowd.now_ms);
	assert_int_equal(board_get(&shown(s)->brakes), 1);
	struct decide_verdict last = s->crowd.v;
	s->crowd.now_ms = clock_wall_ms();
	assert_false(crowd_decide(&s->crowd, 3));
	assert_int_equal(s->crowd.v.refusal, REFUSAL_CIRCUIT_OPEN);
	assert_int_equal(s->crowd.v.why.candidates[0].reason, BOARD_REASON_BRAKED);
	s->crowd.v = last;
	/* the probe says that it works */
	assert_true(crowd_probe(&s->crowd, 4, 0));
	answer(s, 4, 200, "--");
	assert_int_equal(board_get(&shown(s)->wants_probe_ms), 0);
	assert_int_equal(board_get(&shown(s)->probe_class), RESULT_SUCCESS);
	assert_true(board_get(&shown(s)->probe_ms) > 0);
}

static void a_failed_probe_opens_the_circuit(void **state)
{
	struct scene *s = *state;

	alone(s);
	assert_true(crowd_probe(&s->crowd, 1, 0));
	answer(s, 1, 500, "--");
	assert_int_equal(standing(s), BOARD_STANDING_OPEN);
	assert_int_equal(board_get(&shown(s)->circuit), CIRCUIT_OPEN);
	assert_true((int64_t)board_get(&shown(s)->until_ms) > s->crowd.now_ms);
	assert_int_equal(board_get(&shown(s)->probe_class), RESULT_SERVER);
}

/* Control closes the connection of a probe that hangs; for HAProxy it is a client that left. */
static void a_probe_without_an_answer_is_a_failed_one(void **state)
{
	struct scene *s = *state;

	assert_true(crowd_probe(&s->crowd, 1, 0));
	struct record r = record_of(s, 1, 0, "CH");
	r.duration_ms = SEAM_PROBE_MS / 2; /* control was stopped */
	judge_record(&s->agent, &r, true, false);
	assert_int_equal(standing(s), BOARD_STANDING_USABLE);
	r.duration_ms = SEAM_PROBE_MS - 3;
	judge_record(&s->agent, &r, true, false);
	assert_int_equal(standing(s), BOARD_STANDING_OPEN);
	assert_int_equal(board_get(&shown(s)->probe_class), RESULT_NETWORK);
}

static void broken_streams_blame_nobody_and_those_of_several_keys_ask_for_a_probe(void **state)
{
	struct scene *s = *state;

	alone(s);
	for (uint32_t n = 1; n <= 10; n++) {
		assert_true(crowd_decide(&s->crowd, n));
		answer(s, n, 200, "SD");
	}
	assert_int_equal(standing(s), BOARD_STANDING_USABLE);
	assert_int_equal(board_get(&shown(s)->wants_probe_ms), 0);
	assert_true(crowd_decide(&s->crowd, 11));
	crowd_lease(&s->crowd, 11)->family = 77;
	lease_seal(crowd_lease(&s->crowd, 11));
	answer(s, 11, 200, "SD");
	assert_true(board_get(&shown(s)->wants_probe_ms) > 0);
	assert_int_equal(board_get(&shown(s)->wants_probe_class), BOARD_EVIDENCE_BROKEN);
	assert_true(crowd_decide(&s->crowd, 12));
}

static void a_failed_connection_blames_the_egress(void **state)
{
	struct scene *s = *state;

	for (uint32_t n = 1; n <= 2; n++) {
		assert_true(crowd_decide(&s->crowd, n));
		answer(s, n, 503, "SC");
		assert_int_equal(standing(s), BOARD_STANDING_USABLE);
	}
	assert_int_equal(backend_circuit(s), CIRCUIT_OPEN);
	assert_int_equal(
		board_get(&board_find_backend(s->agent.board, CROWD_BACKEND)->failures), 2);
	assert_false(crowd_decide(&s->crowd, 3));
}

static void a_client_that_leaves_blames_nobody(void **state)
{
	struct scene *s = *state;

	s->crowd.account_count = 1;
	crowd_build(&s->crowd);
	for (uint32_t n = 1; n <= 10; n++) {
		assert_true(crowd_decide(&s->crowd, n));
		answer(s, n, 0, "CD");
	}
	assert_true(crowd_decide(&s->crowd, 11));
	assert_false(s->crowd.v.watch);
}

static void records_of_an_older_generation_do_not_count(void **state)
{
	struct scene *s = *state;

	alone(s);
	assert_true(crowd_probe(&s->crowd, 1, 0));
	struct record late = record_of(s, 1, 500, "--");
	assert_true(crowd_decide(&s->crowd, 2));
	struct record r = record_of(s, 2, 429, "--");
	r.limits = SLICE_LITERAL("ra=2;");
	judge_record(&s->agent, &r, true, false);
	assert_int_equal(standing(s), BOARD_STANDING_BURST);
	for (int i = 0; i < 10; i++)
		judge_record(&s->agent, &late, true, false);
	assert_int_equal(standing(s), BOARD_STANDING_BURST);
	/* but they are counted */
	assert_int_equal(board_get(&shown(s)->results[RESULT_SERVER]), 10);
}

static void a_refused_credential_asks_control_to_act(void **state)
{
	struct scene *s = *state;

	s->crowd.accounts[0].row.flags = SNAPSHOT_ACCOUNT_REFRESHABLE;
	alone(s);
	assert_true(crowd_decide(&s->crowd, 1));
	answer(s, 1, 401, "--");
	assert_int_equal(standing(s), BOARD_STANDING_USABLE);
	assert_int_equal(board_get(&shown(s)->refused_credential), 1);
	assert_int_equal(counted(s, BOARD_HEALTH_CHANGES), 1);
	assert_true(crowd_probe(&s->crowd, 2, 0));
	answer(s, 2, 401, "--");
	assert_int_equal(standing(s), BOARD_STANDING_LOGIN);
	s->crowd.accounts[0].row.credential_generation++;
	crowd_build(&s->crowd);
	judge_show_all(&s->agent, s->crowd.now_ms);
	const struct board_account *account = board_find_account(s->agent.board, CROWD_ACCOUNT);
	assert_int_equal(board_get(&account->standing), BOARD_STANDING_USABLE);
}

/* As the agent does it with the question `again`. */
static uint32_t fails_over(struct scene *s, uint32_t n, const char *failed)
{
	struct statefile_lease before;

	memcpy(&before, lease_of(s, n), sizeof(before));
	s->crowd.failed = failed;
	assert_true(crowd_again(&s->crowd, n));
	judge_failure(&s->agent, &before, lease_of(s, n), &s->crowd.v.failed);
	return before.account;
}

static void an_answer_taken_back_unseen_is_charged_to_its_key(void **state)
{
	struct scene *s = *state;

	assert_true(crowd_decide(&s->crowd, 1) && s->crowd.v.alt);
	uint32_t first = fails_over(s, 1, "");
	const struct board_account *failed = board_find_account(s->agent.board, first);
	assert_int_equal(board_get(&failed->standing), BOARD_STANDING_USABLE);
	assert_true(board_get(&failed->wants_probe_ms) > 0);
	assert_int_equal(board_get(&failed->wants_probe_class), BOARD_EVIDENCE_UNSEEN);
	assert_int_equal(counted(s, BOARD_FAILOVER_RESPONSE), 1);
	assert_int_equal(counted(s, BOARD_HEALTH_CHANGES), 1);
	/* the stream that was taken back adds nothing */
	struct record r = record_of(s, 1, 200, "--");
	judge_record(&s->agent, &r, false, true);
	/* its key prefers the others */
	for (uint32_t n = 2; n <= 10; n++) {
		assert_true(crowd_decide(&s->crowd, n));
		assert_int_not_equal(s->crowd.v.account->id, first);
		crowd_end(&s->crowd, n);
	}
	/* an answer to the probe ends the question */
	assert_true(crowd_probe(&s->crowd, 20, first - CROWD_ACCOUNT));
	answer(s, 20, 200, "--");
	assert_int_equal(board_get(&failed->wants_probe_ms), 0);
}

static void the_attempts_tell_what_their_failures_mean(void **state)
{
	struct scene *s = *state;
	struct lease_failure f;

	assert_true(crowd_decide(&s->crowd, 1));
	uint32_t first = fails_over(s, 1, "st=403;");
	assert_true(lease_failure(lease_of(s, 1), 1, &f));
	assert_int_equal(f.status, 403);
	assert_int_equal(f.verdict, BOARD_VERDICT_OPEN);
	const struct board_account *failed = board_find_account(s->agent.board, first);
	assert_int_equal(board_get(&failed->results[RESULT_DENIED]), 1);
	/* 403 there too: the request */
	judge_head(&s->agent, lease_of(s, 1), 403, (struct slice){NULL, 0});
	for (uint32_t n = 1; n <= 2; n++) {
		assert_true(lease_failure(lease_of(s, 1), n, &f));
		assert_int_equal(f.verdict, BOARD_VERDICT_REQUEST);
	}
	crowd_end(&s->crowd, 1);
	/* for this method and path there is no failover for a while */
	s->crowd.now_ms = clock_wall_ms();
	assert_true(crowd_decide(&s->crowd, 2));
	assert_false(s->crowd.v.alt);
	answer(s, 2, 200, "--");
	crowd_end(&s->crowd, 2);
	assert_true(crowd_decide(&s->crowd, 3) && s->crowd.v.alt);
	/* and a success elsewhere makes a witness */
	first = fails_over(s, 3, "st=403;");
	judge_head(&s->agent, lease_of(s, 3), 200, (struct slice){NULL, 0});
	assert_true(lease_failure(lease_of(s, 3), 1, &f));
	assert_int_equal(f.verdict, BOARD_VERDICT_WITNESS);
	judge_show_all(&s->agent, clock_wall_ms());
	failed = board_find_account(s->agent.board, first);
	assert_int_equal(board_get(&failed->witnesses), 1);
	assert_int_equal(board_get(&failed->standing), BOARD_STANDING_USABLE);
}

static void an_answer_that_becomes_account_switched_is_shunned(void **state)
{
	struct scene *s = *state;

	assert_true(crowd_decide(&s->crowd, 1) && s->crowd.v.alt);
	uint32_t first = s->crowd.v.account->id;
	judge_head(&s->agent, lease_of(s, 1), 529, (struct slice){NULL, 0});
	/* the end record tells it once more */
	struct record r = record_of(s, 1, 503, "LR");
	r.code = SLICE_LITERAL("account_switched");
	r.limits = SLICE_LITERAL("st=529;");
	judge_record(&s->agent, &r, true, false);
	crowd_end(&s->crowd, 1);
	for (uint32_t n = 2; n <= 30; n++) {
		s->crowd.now_ms = clock_wall_ms();
		assert_true(crowd_decide(&s->crowd, n));
		assert_int_not_equal(s->crowd.v.account->id, first);
		crowd_end(&s->crowd, n);
	}
}

static void two_witnesses_open_the_circuit_at_once(void **state)
{
	struct scene *s = *state;
	uint32_t witnesses = 0;

	for (uint32_t n = 1; witnesses < 2; n++) {
		s->crowd.now_ms = clock_wall_ms();
		assert_true(n < 100 && crowd_decide(&s->crowd, n));
		if (crowd_account(&s->crowd) == 0) {
			crowd_lease(&s->crowd, n)->family = 70 + witnesses++;
			assert_int_equal(fails_over(s, n, "st=503;"), CROWD_ACCOUNT);
			judge_head(&s->agent, lease_of(s, n), 200, (struct slice){NULL, 0});
		}
		crowd_end(&s->crowd, n);
	}
	const struct board_account *out = board_find_account(s->agent.board, CROWD_ACCOUNT);
	assert_int_equal(board_get(&out->standing), BOARD_STANDING_OPEN);
	assert_int_equal(board_get(&out->witnesses), 2);
}

static void a_probes_failed_connection_blames_the_egress(void **state)
{
	struct scene *s = *state;

	for (uint32_t n = 1; n <= 2; n++) {
		assert_true(crowd_probe(&s->crowd, n, 0));
		struct record r = record_of(s, n, 503, "--");
		judge_record(&s->agent, &r, false, true);
		assert_int_equal(standing(s), BOARD_STANDING_USABLE);
	}
	assert_int_equal(backend_circuit(s), CIRCUIT_OPEN);
}

static void head_and_record_of_one_answer_count_once(void **state)
{
	struct scene *s = *state;

	s->crowd.head.options.health_threshold = 3;
	alone(s);
	for (uint32_t n = 1; n <= 2; n++) {
		assert_true(crowd_decide(&s->crowd, n));
		judge_head(&s->agent, lease_of(s, n), 500, (struct slice){NULL, 0});
		answer(s, n, 500, "--");
	}
	assert_true(crowd_decide(&s->crowd, 3));
	answer(s, 3, 500, "--");
	s->crowd.now_ms = clock_wall_ms();
	assert_false(crowd_decide(&s->crowd, 4));
}

static void unknown_accounts_and_backends_are_ignored(void **state)
{
	struct scene *s = *state;

	assert_true(crowd_decide(&s->crowd, 1));
	struct record r = record_of(s, 1, 500, "--");
	r.account = 999;
	judge_record(&s->agent, &r, true, false);
	assert_null(board_find_account(s->agent.board, 999));
	r.account = CROWD_ACCOUNT;
	r.backend = SLICE_LITERAL("b99999999999-u-e");
	judge_record(&s->agent, &r, true, false);
	r.backend = SLICE_LITERAL("relay-again");
	judge_record(&s->agent, &r, true, false);
	assert_null(board_find_backend(s->agent.board, CROWD_BACKEND));
	assert_int_equal(
		board_get(
			&board_find_account(s->agent.board, CROWD_ACCOUNT)->results[RESULT_SERVER]),
		2);
}

static void an_unclassified_answer_is_counted(void **state)
{
	struct scene *s = *state;

	assert_true(crowd_decide(&s->crowd, 1));
	answer(s, 1, 418, "--");
	answer(s, 1, 418, "--");
	assert_int_equal(counted(s, BOARD_RESULT_UNKNOWN), 2);
	assert_int_equal(standing(s), BOARD_STANDING_USABLE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(errors_of_the_upstream_brake_their_key_and_ask_for_a_probe),
		TEST(a_failed_probe_opens_the_circuit),
		TEST(a_probe_without_an_answer_is_a_failed_one),
		TEST(broken_streams_blame_nobody_and_those_of_several_keys_ask_for_a_probe),
		TEST(a_failed_connection_blames_the_egress),
		TEST(a_client_that_leaves_blames_nobody),
		TEST(records_of_an_older_generation_do_not_count),
		TEST(a_refused_credential_asks_control_to_act),
		TEST(an_answer_taken_back_unseen_is_charged_to_its_key),
		TEST(the_attempts_tell_what_their_failures_mean),
		TEST(an_answer_that_becomes_account_switched_is_shunned),
		TEST(two_witnesses_open_the_circuit_at_once),
		TEST(a_probes_failed_connection_blames_the_egress),
		TEST(head_and_record_of_one_answer_count_once),
		TEST(unknown_accounts_and_backends_are_ignored),
		TEST(an_unclassified_answer_is_counted),
	};
	log_init("test", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
