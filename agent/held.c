#include "agent/held.h"

#include "agent/timekeeper.h"
#include "common/provider.h"

#include <assert.h>

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

void agent_count_move(struct agent *a, const struct statefile_lease *before, uint32_t account)
{
	struct board_account *from = board_account(a->board, before->account);
	struct board_account *to = board_account(a->board, account);

	if (from)
		step(&from->active, false);
	if (to) {
		step(&to->active, true);
		board_add(&to->requests, 1);
	}
	a->room_is_stale = true;
}

static_assert(BOARD_ATTEMPTS == STATEFILE_ATTEMPTS, "a row has all attempts of a request");

uint8_t held_attempts(const struct statefile_lease *lease, struct board_attempt out[BOARD_ATTEMPTS])
{
	struct lease_failure f;
	uint8_t count = 0;

	for (uint32_t n = 1; n <= BOARD_ATTEMPTS && n <= lease->attempt; n++) {
		if (!lease_failure(lease, n, &f))
			continue;
		out[count++] = (struct board_attempt){.account = lease_account(lease, n),
			.status = f.status,
			.class = (uint8_t)f.class,
			.verdict = (uint8_t)f.verdict};
	}
	return count;
}

static const struct provider *provider_of(const struct agent *a, uint32_t account)
{
	const struct snapshot_account *row = snapshot_account_by_id(a->snapshot, account);
	const struct snapshot_upstream *upstreams =
		SNAPSHOT_ROWS(a->snapshot, UPSTREAM, struct snapshot_upstream);

	return row ? provider_at(upstreams[row->upstream].provider) : NULL;
}

void agent_settle(
	struct agent *a, struct statefile_lease *lease, const struct result_answer *answer)
{
	bool may_be_foreign = answer->status >= 400 && lease->conversation;
	const struct provider *p = may_be_foreign ? provider_of(a, lease->account) : NULL;

	if (answer->status / 100 == 2 &&
		decide_answered(a->snapshot, &a->state, lease, timekeeper_now(a)))
		board_add(&a->board->counters[BOARD_BINDINGS_MOVED], 1);
	if (p && result_has_foreign_state(p, answer) &&
		decide_foreign(a->snapshot, &a->state, lease, timekeeper_now(a)))
		board_add(&a->board->counters[BOARD_BINDINGS_PINNED], 1);
}

void agent_release(struct agent *a, struct statefile_lease *lease, bool never_sent)
{
	if (never_sent)
		board_add(&a->board->counters[BOARD_GIVEN_BACK], 1);
	agent_count_lease(a, lease, false);
	decide_release(&a->state, lease, never_sent);
	a->room_is_stale = true;
}
