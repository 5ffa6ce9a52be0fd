/* A member of the pool, looked at for one request. */
#ifndef RELAY_AGENT_DECIDE_CANDIDATE_H
#define RELAY_AGENT_DECIDE_CANDIDATE_H

#include "agent/decide/decide.h"

struct candidate {
	const struct snapshot_account *account;
	const struct snapshot_backend *backend; /* where the asking HAProxy can send it */
	struct statefile_usage *usage;		/* NULL = never used */
	double score;				/* 0..1 */
	int64_t free_ms; /* Unix time at which its limit ends; 0 = whenever a slot is released */
};

/*
 * BOARD_REASON_NONE: it is usable. `has_lease`: it was admitted with this account already, so that its
 * limits are not asked again.
 */
enum board_reason candidate_look(const struct decide_context *c, const struct snapshot_account *a,
	bool has_lease, struct candidate *ret);
/* A reason that passes by waiting. */
bool candidate_is_limited(enum board_reason reason);

#endif
