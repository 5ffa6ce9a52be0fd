/*
 * The decision: may this request go, as whom, and from which IP? A pure function over an immutable
 * snapshot and the agent's own state; time and randomness are arguments. No I/O, no clock, no
 * allocation. One stage a file; a stage answers REFUSAL_NONE to let the request go on.
 */
#ifndef RELAY_AGENT_DECIDE_DECIDE_H
#define RELAY_AGENT_DECIDE_DECIDE_H

#include "agent/lease.h"
#include "common/ip.h"
#include "common/refusal.h"
#include "common/snapshot.h"

#include <stdbool.h>
#include <stdint.h>

/* What HAProxy said; slices are borrowed from its frame. */
struct decide_request {
	uint64_t gen;
	uint8_t id[16];
	bool malformed; /* an argument was missing, of a wrong type, or longer than its bound */
	bool hard;	/* the conversation has state upstream */
	bool websocket;
	bool has_src;
	struct ip src;
	uint64_t key_lines;
	uint64_t auth_lines;
	uint64_t length;   /* content-length, 0 without one */
	uint64_t since_ms; /* when its wait began, Unix time; 0 = it has not waited */
	struct slice key;
	struct slice auth;
	struct slice sticky;
	struct slice method;
	struct slice path;
};

enum decide_action {
	DECIDE_DENY,
	DECIDE_ALLOW,
	DECIDE_ANSWER, /* /relay/health */
};

struct decide_verdict {
	enum decide_action action;
	enum refusal refusal; /* of DECIDE_DENY */
	bool repeated;	      /* asked again: the lease was there already */
	bool healthy;	      /* of DECIDE_ANSWER */
	/* as far as the stages came; NULL before */
	const struct snapshot_key *key;
	const struct keytable *key_table;
	const struct snapshot_tenant *tenant;
	const struct snapshot_pool *pool;
	const struct snapshot_account *account;
	const struct snapshot_backend *backend;
	/* of DECIDE_ALLOW: the upstream's path is prefix + rest */
	bool path_changed;
	struct slice path_prefix;
	struct slice path_rest;
	struct statefile_lease *lease;
	struct statefile_lease reclaimed; /* state LEASE_DECIDED: an old lease that was given up */
};

/* How many requests an account has in progress, for `least-loaded`. */
typedef uint64_t decide_load_fn(void *context, uint32_t account_id);

struct decide_state {
	struct leases *leases;
	decide_load_fn *load;
	void *load_context;
	uint64_t turn; /* of round-robin */
	bool draining;
};

struct decide_context {
	const struct snapshot *snapshot;
	struct decide_state *state;
	const struct decide_request *request;
	int64_t now_ms; /* Unix time */
	uint64_t random;
	struct decide_verdict *verdict;
};

typedef enum refusal decide_stage_fn(struct decide_context *c);

decide_stage_fn decide_wellformed; /* wellformed.c: arguments */
decide_stage_fn decide_switches;   /* switches.c: site, draining */
decide_stage_fn decide_key;	   /* key.c: form, look-up, expiry */
decide_stage_fn decide_tenant;	   /* tenant.c */
decide_stage_fn decide_networks;   /* networks.c: allow lists of tenant and key */
decide_stage_fn
	decide_route; /* route.c: what is never forwarded, and to which pool the rest goes */
decide_stage_fn decide_account; /* account.c: account, egress and backend */
decide_stage_fn decide_reserve; /* reserve.c: the lease */

void decide(const struct snapshot *s, struct decide_state *state, const struct decide_request *r,
	int64_t now_ms, uint64_t random, struct decide_verdict *ret);

/* Spreads 64 bits over 64 bits. */
static inline uint64_t decide_mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

#endif
