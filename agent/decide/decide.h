/*
 * The decision: may this request go, as whom, and from which IP? A pure function over an immutable
 * snapshot and the agent's own state; time and randomness are arguments. No I/O, no clock, no
 * allocation. One stage a file; a stage answers REFUSAL_NONE to let the request go on.
 */
#ifndef RELAY_AGENT_DECIDE_DECIDE_H
#define RELAY_AGENT_DECIDE_DECIDE_H

#include "agent/binding.h"
#include "agent/budget.h"
#include "agent/health.h"
#include "agent/lease.h"
#include "agent/request.h"
#include "agent/room.h"
#include "agent/undo.h"
#include "agent/usage.h"
#include "common/board.h"
#include "common/record.h"
#include "common/refusal.h"
#include "common/snapshot.h"

#include <stdbool.h>
#include <stdint.h>

/* "until the client leaves": as long as SEAM_WAIT_REPEATS allow */
#define DECIDE_FOREVER_MS 600000
#define DECIDE_NOTICED_DAY 1
#define DECIDE_NOTICED_MONTH 2
/*
 * Slots: who is to be refused at once is given this long all the same. HAProxy may report the end of a
 * request a moment after its client has the answer, and has asked again.
 */
#define DECIDE_GRACE_MS 10
#define DECIDE_PACE_SLACK_MS 5000 /* a paced request may be late by so much */

struct badkeys;

enum decide_action {
	DECIDE_DENY,
	DECIDE_ALLOW,
	DECIDE_ANSWER, /* /relay/health, /relay/me */
	DECIDE_WAIT,   /* not now: `refusal` says for what it waits */
};

/* A limit of a request's tenant or key, the one nearest to its end. */
struct decide_rate {
	uint32_t limit; /* 0 = there is none */
	uint32_t left;	/* after this request */
	int64_t resets_ms;
};

/* What `again` says of the attempt before. */
enum decide_cause {
	DECIDE_CAUSE_NONE,
	DECIDE_CAUSE_UNSEEN,  /* an answer that HAProxy took back, or no connection */
	DECIDE_CAUSE_CONNECT, /* no connection: nothing else is taken back without `alt` */
	DECIDE_CAUSE_EGRESS,  /* the way out was known to be down */
};

struct decide_failure {
	enum decide_cause cause;
	uint32_t account, backend; /* ids */
};

struct decide_verdict {
	enum decide_action action;
	enum refusal refusal;	      /* of DECIDE_DENY and DECIDE_WAIT */
	enum refusal shadow;	      /* what a limit would have refused; REFUSAL_NONE = nothing */
	bool repeated;		      /* asked again: the lease was there already */
	bool healthy;		      /* of DECIDE_ANSWER */
	bool is_me;		      /* of DECIDE_ANSWER */
	bool bound;		      /* the conversation had this account already */
	bool moved;		      /* the conversation had another account before */
	bool alt;		      /* another account could take over */
	bool watch;		      /* its answer is wanted early */
	bool spent;		      /* another could, but the tenant's budget is spent */
	bool last_resort;	      /* all accounts are out: the least bad one */
	struct decide_failure failed; /* of `again` */
	struct record_mark mark;
	uint8_t noticed; /* a quota reached 80 %: DECIDE_NOTICED_* */
	/* Unix time at which waiting may help; 0 = not known. `exact`: and it is not before. */
	int64_t resets_ms;
	bool resets_exact;
	struct decide_rate rate;
	bool no_place; /* it would have waited, but the room was full */
	/* of DECIDE_WAIT, Unix time */
	enum room_reason wait_for;
	uint32_t wait_what; /* id of what it waits for */
	int64_t since_ms;   /* when it began to wait */
	int64_t until_ms;   /* when it will be refused */
	int64_t wake_ms;    /* before that nothing can change; 0 = at any time */
	/* as far as the stages came; NULL before */
	const struct snapshot_key *key;
	const struct snapshot_tenant *tenant;
	const struct snapshot_pool *pool;
	const struct snapshot_account *account;
	const struct snapshot_backend *backend;
	struct slice bad_key;  /* what was shown as a key and is none; borrowed; empty = nothing */
	bool bad_key_cached;   /* it was in the cache of bad keys */
	bool bad_key_unknown;  /* well-formed, and looked up in vain: it belongs into the cache */
	uint64_t conversation; /* keyed hash, 0 = none */
	/* of DECIDE_ALLOW: the upstream's path is prefix + rest */
	bool path_changed;
	struct slice path_prefix;
	struct slice path_rest;
	struct statefile_lease *lease;
	struct statefile_lease
		released;     /* state not LEASE_FREE: a lease that ended by this decision */
	struct board_why why; /* but id, sequence and what stands above */
};

struct decide_state {
	struct leases *leases;
	struct usages *usages;
	struct bindings *bindings;
	struct undo *undo;
	struct healths *healths;
	struct budget *
		budgets; /* by row of `usages`: of tenants for attempts, of pools for last resorts */
	const struct room *room; /* NULL = nobody can wait */
	struct badkeys *badkeys; /* NULL = none */
	uint64_t turn;		 /* of round-robin */
	bool draining;
};

/* What a stage leaves to the stages after it; the verdict has what the caller needs. */
struct decide_scratch {
	const struct keytable *key_table; /* of the verdict's key */
	struct statefile_usage *tenant_usage, *key_usage, *account_usage, *pool_usage;
};

struct decide_context {
	const struct snapshot *snapshot;
	struct decide_state *state;
	const struct decide_request *request;
	struct window_clock clock;
	uint64_t random;
	struct decide_verdict *verdict;
	struct decide_scratch scratch;
};

typedef enum refusal decide_stage_fn(struct decide_context *c);

/* gate.c */
decide_stage_fn decide_wellformed; /* arguments */
decide_stage_fn decide_switches;   /* the site is enabled */
decide_stage_fn decide_banned;	   /* ban list */
decide_stage_fn decide_tenant;
decide_stage_fn decide_networks; /* allow lists of tenant and key */
/* key.c */
decide_stage_fn decide_key; /* form, look-up, expiry */
/* route.c */
decide_stage_fn decide_route; /* requests that are never forwarded; the pool of all others */
/* limits.c */
decide_stage_fn decide_limits; /* windows and slots of tenant and key */
/* account.c */
decide_stage_fn decide_account; /* account, egress and backend */
/* wait.c */
decide_stage_fn decide_pace; /* not before its time */
/* reserve.c */
decide_stage_fn decide_repeat;	/* a lease that is there already */
decide_stage_fn decide_reserve; /* counts and lease */

void decide(const struct snapshot *s, struct decide_state *state, const struct decide_request *r,
	int64_t now_ms, uint64_t random, struct decide_verdict *ret);

/*
 * The attempt of request `r->id` before came to nothing: another account for it, or a refusal. `r` has
 * gen and id; `repeated`: the same attempt may have asked before (again2).
 */
void decide_again(const struct snapshot *s, struct decide_state *state,
	const struct decide_request *r, bool repeated, int64_t now_ms, uint64_t random,
	struct decide_verdict *ret);
/* Control's own request to an account; holds nothing but a permit. */
void decide_probe(const struct snapshot *s, struct decide_state *state,
	const struct decide_request *r, uint32_t account, int64_t now_ms,
	struct decide_verdict *ret);

/*
 * Takes back what an admitted request holds, lease and slots; its counts too when it was certainly never
 * sent on (usage.h).
 */
void decide_release(struct decide_state *state, struct statefile_lease *lease, bool never_sent);

/* --- between stages --- */

/* Takes permits of account and backend for the verdict's choice, and marks it. */
void decide_enter(struct decide_context *c, uint32_t attempt); /* 0 = a probe */
/* The verdict's lease goes on with the verdict's account. */
void decide_move(struct decide_context *c);
/* How many attempts a request has. */
uint32_t decide_attempts(const struct snapshot *s);
/* Whether one more attempt would be within the tenant's budget. */
bool decide_may_retry(const struct decide_context *c);
void decide_rewrite_path(const struct decide_context *c);
/* Another account, or another way out of the same, without waiting, for an attempt after the first. */
enum refusal decide_other_account(struct decide_context *c);

/*
 * A stage's refusal that may pass by waiting: sets the verdict's action to DECIDE_WAIT where there is
 * time and place for it. `wake_ms`: before that nothing can change; 0 = at any time.
 */
enum refusal decide_wait(struct decide_context *c, enum refusal refusal, enum room_reason reason,
	uint32_t what, uint64_t wait_ms, int64_t wake_ms);
/* When this request began to wait: now, if it has not yet. */
int64_t decide_since(const struct decide_context *c);
/* How long its tenant lets it wait, in milliseconds. */
uint64_t decide_tenant_wait_ms(const struct snapshot_tenant *tenant);
/* How much of its limits an account has used, 0..1, and its risk and score (DECIDING in docs). */
struct decide_score {
	double usage;
	double risk;
	double score;
};
struct decide_score decide_score(const struct snapshot_limits *limits,
	const struct statefile_usage *row, uint32_t in_use, double upstream,
	const struct window_clock *clock);

/* Spreads 64 bits over 64 bits. */
static inline uint64_t decide_mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

#endif
