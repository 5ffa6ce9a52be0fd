/*
 * Whom a result is charged to (docs/HEALTH.md, "Evidence"): from the result of one attempt to the
 * health of its account, to what its requester meets there, and to what others should know.
 */
#ifndef RELAY_AGENT_DECIDE_CHARGE_H
#define RELAY_AGENT_DECIDE_CHARGE_H

#include "agent/decide/decide.h"

/* One attempt of a request, or a probe. Rows may be NULL: their table was full. */
struct charge {
	const struct snapshot *snapshot;
	struct decide_state *state;
	const struct snapshot_account *account;
	const struct snapshot_pool *pool; /* NULL = a probe, or it no longer exists */
	struct health_subject subject;
	struct statefile_health *row;
	struct evidence_account *memory;
	struct statefile_lease *lease; /* NULL = a probe, or it has ended */
	struct evidence_requester who; /* tenant 0 = not known */
	uint8_t id[16];
	struct record_mark mark;
	int64_t now_ms;
	uint64_t random;
	/* results */
	bool wanted;						      /* control may have to act */
	const struct snapshot_account *convicted[STATEFILE_ATTEMPTS]; /* by two witnesses */
	uint32_t convicted_count;
};

/* False: the account no longer exists. */
bool charge_begin(const struct snapshot *s, struct decide_state *state, uint32_t account,
	const uint8_t id[16], const struct record_mark *mark, int64_t now_ms, uint64_t random,
	struct charge *ret);

/* What HAProxy saw of an answer; NULL `result` = it took the answer back unseen. */
struct charge_answer {
	const struct result *result;
	unsigned status;
	bool taken_back; /* the request goes to another account */
};

/* The answer to a client's attempt, at its head or at its end. A second report adds nothing. */
void charge_answer(struct charge *t, const struct charge_answer *a);
/* The attempt ended without a result for the account. */
void charge_leave(struct charge *t);
/* Its stream broke after the head of a good answer. */
void charge_broken(struct charge *t);
/* The answer to a probe. */
void charge_probe(struct charge *t, const struct result *result);

/* Classes that count as a failure of an attempt. */
bool charge_is_failure(enum result_class class);
/* The provider of an account. */
const struct provider *charge_provider(
	const struct snapshot *s, const struct snapshot_account *account);
/* The memory of an account; NULL = it has no row of health. */
struct evidence_account *charge_memory(const struct snapshot *s, struct decide_state *state,
	const struct snapshot_account *account);

#endif
