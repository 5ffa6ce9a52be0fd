/* A member of the pool, judged for one request. */
#ifndef RELAY_AGENT_DECIDE_CANDIDATE_H
#define RELAY_AGENT_DECIDE_CANDIDATE_H

#include "agent/decide/decide.h"

struct candidate {
	const struct snapshot_account *account;
	const struct snapshot_backend
		*backend;	       /* its backend in the configuration of the asking HAProxy */
	struct statefile_usage *usage; /* NULL = never used */
	double score;		       /* 0..1 */
	/*
	 * Unix time at which its limit or its cool-down ends; 0 = when a slot is released, or
	 * unknown.
	 */
	int64_t free_ms;
	bool watch;   /* HAProxy reports the head of its answer */
	bool shunned; /* usable, but a request of this key failed over from there */
};

/* Which checks candidate_look() makes. */
enum candidate_ask {
	CANDIDATE_ALL,
	CANDIDATE_ADMITTED, /* its limits and health were checked before */
	CANDIDATE_PROBE,    /* limits, health and expiry do not count, egresses do */
};

/* BOARD_REASON_NONE: the account is usable. */
enum board_reason candidate_look(const struct decide_context *c, const struct snapshot_account *a,
	enum candidate_ask ask, struct candidate *ret);
/* The backend with this id among the egresses of all sets of the account; NULL if there is none. */
const struct snapshot_backend *candidate_backend(
	const struct snapshot *s, const struct snapshot_account *a, uint32_t id);
/* Egresses that the account has in this generation; UINT64_MAX = in its newest set. */
uint32_t candidate_egress_count(
	const struct snapshot *s, const struct snapshot_account *a, uint64_t gen);

struct health_subject health_subject_of_account(
	const struct snapshot *s, const struct snapshot_account *a);
struct health_subject health_subject_of_backend(
	const struct snapshot *s, const struct snapshot_backend *b);

#endif
