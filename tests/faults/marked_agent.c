/*
 * A relay whose agent has faults, for tests of its supervision: the weight of an account asks for one. The linker
 * puts these functions in front of the agent's (--wrap), so the product has no hook for them.
 */
#include "agent/decide/decide.h"
#include "agent/snapshot_holder.h"

#include <stdlib.h>

enum mark {
	MARK_ABORT_READING = 901,  /* while the snapshot is read */
	MARK_ABORT_DECIDING = 902, /* at the first question */
	MARK_LOOP_DECIDING = 903,  /* the same, in an endless loop */
};

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c): the names are the linker's */
int __real_snapshot_holder_load(
	struct snapshot_holder *s, int snapshot_fd, int keybase_fd, struct errtext *e);
int __wrap_snapshot_holder_load(
	struct snapshot_holder *s, int snapshot_fd, int keybase_fd, struct errtext *e);
void __real_decide(const struct snapshot *s, struct decide_state *state,
	const struct decide_request *r, int64_t now_ms, uint64_t random,
	struct decide_verdict *ret);
void __wrap_decide(const struct snapshot *s, struct decide_state *state,
	const struct decide_request *r, int64_t now_ms, uint64_t random,
	struct decide_verdict *ret);

static bool has(const struct snapshot *s, enum mark mark)
{
	const struct snapshot_account *accounts =
		SNAPSHOT_ROWS(s, ACCOUNT, struct snapshot_account);

	for (uint32_t i = 0; s->head && i < s->counts[SNAPSHOT_ACCOUNT]; i++) {
		if (accounts[i].weight == mark)
			return true;
	}
	return false;
}

int __wrap_snapshot_holder_load(
	struct snapshot_holder *s, int snapshot_fd, int keybase_fd, struct errtext *e)
{
	int error = __real_snapshot_holder_load(s, snapshot_fd, keybase_fd, e);

	if (!error && has(&s->snapshot, MARK_ABORT_READING))
		abort();
	return error;
}

void __wrap_decide(const struct snapshot *s, struct decide_state *state,
	const struct decide_request *r, int64_t now_ms, uint64_t random, struct decide_verdict *ret)
{
	static volatile uint64_t turns;

	if (s && has(s, MARK_ABORT_DECIDING))
		abort();
	while (s && has(s, MARK_LOOP_DECIDING))
		turns++;
	__real_decide(s, state, r, now_ms, random, ret);
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c) */
