#include "agent/agent.h"
#include "agent/answer.h"

#include "common/clock.h"

static uint64_t next_random(struct agent *a)
{
	a->random += 0x9e3779b97f4a7c15u;
	return decide_mix(a->random);
}

struct slice agent_secret(const struct agent *a)
{
	return a->snapshot ? slice_from_str(a->snapshot->head->secret) : (struct slice){NULL, 0};
}

static void step(board_counter *c, bool up)
{
	uint64_t n = board_get(c);

	if (up)
		board_set(c, n + 1);
	else if (n)
		board_set(c, n - 1);
}

void agent_count_lease(struct agent *a, const struct statefile_lease *lease, bool begins)
{
	struct board_tenant *tenant = board_tenant(a->board, lease->tenant);
	struct board_account *account = board_account(a->board, lease->account);

	step(&a->board->counters[BOARD_LEASES], begins);
	if (tenant)
		step(&tenant->active, begins);
	if (account)
		step(&account->active, begins);
	if (account && begins)
		board_add(&account->requests, 1);
}

static void count_allowed(struct agent *a, const struct decide_verdict *v)
{
	board_counter *counters = a->board->counters;

	board_add(&counters[BOARD_ALLOWED], 1);
	if (v->repeated) {
		board_add(&counters[BOARD_REPEATED], 1);
		return;
	}
	if (v->reclaimed.state == LEASE_DECIDED) {
		board_add(&counters[BOARD_LEASES_RECLAIMED], 1);
		agent_count_lease(a, &v->reclaimed, false);
	}
	agent_count_lease(a, v->lease, true);
}

static void count(struct agent *a, const struct decide_verdict *v)
{
	switch (v->action) {
	case DECIDE_ALLOW:
		count_allowed(a, v);
		break;
	case DECIDE_ANSWER:
		board_add(&a->board->counters[BOARD_ANSWERED], 1);
		break;
	case DECIDE_DENY:
		board_add(&a->board->refused[v->refusal], 1);
		break;
	}
}

void agent_answer(struct agent *a, const struct decide_request *r, struct spoe_ack *ack)
{
	struct decide_verdict verdict;
	int64_t begin = clock_monotonic_ns();

	a->last_question_ms = begin / 1000000;
	if (!a->snapshot) {
		board_add(&a->board->refused[REFUSAL_AGENT_UNAVAILABLE], 1);
		answer_write_refusal(REFUSAL_AGENT_UNAVAILABLE, ack);
		return;
	}
	decide(a->snapshot, &a->state, r, clock_wall_ms(), next_random(a), &verdict);
	count(a, &verdict);
	answer_write(a->snapshot, &verdict, ack);
	board_observe_decision(a->board, (uint64_t)(clock_monotonic_ns() - begin));
}
