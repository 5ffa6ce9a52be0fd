/* A member of the pool, looked at for one request. */
#ifndef RELAY_AGENT_DECIDE_CANDIDATE_H
#define RELAY_AGENT_DECIDE_CANDIDATE_H

#include "agent/decide/decide.h"

struct candidate {
	const struct snapshot_account *account;
	const struct snapshot_backend *backend; /* where the asking HAProxy can send it */
	struct statefile_usage *usage;		/* NULL = never used */
	double score;				/* 0..1 */
	/*
	 * Unix time at which its limit or its cool-down ends; 0 = whenever a slot is released, or not known.
	 */
	int64_t free_ms;
	bool watch;   /* its answer is wanted early */
	bool limited; /* by a limit of its own, whatever else is wrong */
};

/* How much of candidate_look() is asked. */
enum candidate_ask {
	CANDIDATE_ALL,
	CANDIDATE_ADMITTED, /* limits and health have let it pass already */
	CANDIDATE_PROBE,    /* limits, cool-downs and expiry do not count, circuits do */
};

/* BOARD_REASON_NONE: it is usable. */
enum board_reason candidate_look(const struct decide_context *c, const struct snapshot_account *a,
	enum candidate_ask ask, struct candidate *ret);
/* A reason that passes by waiting for a slot or for a limit of its own, or of the upstream's. */
bool candidate_is_limited(enum board_reason reason);
/* Its circuit is open, it cools down, or its way out is down. */
bool candidate_is_out(enum board_reason reason);

/* One of the account's ways out, by its id; NULL when it is none of them (any more). */
const struct snapshot_backend *candidate_backend(
	const struct snapshot *s, const struct snapshot_account *a, uint32_t id);

struct health_subject health_subject_of_account(const struct snapshot_account *a);
struct health_subject health_subject_of_backend(
	const struct snapshot *s, const struct snapshot_backend *b);

#endif
