/*
 * The decision: whether a request may go, with which account, and from which IP address. A pure
 * function over an immutable snapshot and the agent's tables; time and randomness are arguments. No
 * I/O, no clock, no allocation. A stage returns REFUSAL_NONE to let the request go on.
 */
#ifndef RELAY_AGENT_DECIDE_DECIDE_H
#define RELAY_AGENT_DECIDE_DECIDE_H

#include "agent/binding.h"
#include "agent/budget.h"
#include "agent/decide/shortage.h"
#include "agent/evidence.h"
#include "agent/health.h"
#include "agent/lease.h"
#include "agent/pooled.h"
#include "agent/request.h"
#include "agent/room.h"
#include "agent/slots.h"
#include "agent/undo.h"
#include "agent/usage.h"
#include "common/board.h"
#include "common/record.h"
#include "common/refusal.h"
#include "common/resource.h"
#include "common/snapshot.h"

#include <stdbool.h>
#include <stdint.h>

/* "until the client leaves": bounded by SEAM_WAIT_REPEATS */
#define DECIDE_FOREVER_MS 600000
#define DECIDE_NOTICED_DAY 1
#define DECIDE_NOTICED_MONTH 2
/*
 * A request without a free slot waits at least this long before it is refused. HAProxy may report
 * the end of a request a moment after its client has received the answer and asked again.
 */
#define DECIDE_GRACE_MS 10
#define DECIDE_PACE_SLACK_MS 5000 /* a paced request may start this late */

struct badkeys;
struct provider;

enum decide_action {
	DECIDE_DENY,
	DECIDE_ALLOW,
	DECIDE_ANSWER, /* /relay/health, /relay/live, /relay/me */
	DECIDE_WAIT,   /* not now; `refusal` is the reason */
	DECIDE_BODY,   /* not without the body, which HAProxy sends with the next question */
};

/* The limit of the request's tenant or key with the fewest requests left. */
struct decide_rate {
	uint32_t limit; /* 0 = there is none */
	uint32_t left;	/* after this request */
	int64_t resets_ms;
};

/* The limit of the tenant or the key that refuses the request. */
struct decide_limit {
	enum usage_kind kind;
	int window;	/* enum usage_window; USAGE_WINDOW_COUNT: concurrent requests */
	uint32_t limit; /* 0 = none */
};

/* Why the attempt before `again` failed. */
enum decide_cause {
	DECIDE_CAUSE_NONE,
	DECIDE_CAUSE_ANSWER,  /* HAProxy took an answer back, or had no connection */
	DECIDE_CAUSE_CONNECT, /* no connection: without `alt` HAProxy takes nothing else back */
	DECIDE_CAUSE_EGRESS,  /* its egress was known to be down */
};

struct decide_failure {
	enum decide_cause cause;
	uint32_t account, backend; /* ids */
	bool seen;		   /* `result` is what HAProxy saw of the answer */
	bool wanted;		   /* control may have to act */
	struct result result;
};

struct decide_verdict {
	enum decide_action action;
	uint64_t gen;	      /* of the HAProxy that asks */
	enum refusal refusal; /* of DECIDE_DENY and DECIDE_WAIT */
	enum refusal shadow;  /* the refusal that shadow mode suppressed; REFUSAL_NONE = none */
	bool repeated;	      /* a repeated question: its lease existed */
	bool healthy;	      /* of DECIDE_ANSWER */
	bool is_live;	      /* of DECIDE_ANSWER: /relay/live */
	bool is_me;	      /* of DECIDE_ANSWER */
	bool bound;	      /* the conversation was bound to this account */
	bool moved;	      /* the conversation was bound to another account */
	bool kept;	      /* the conversation must not leave this account now */
	bool pinned;	      /* the conversation never leaves the account `bound_to` */
	bool answered;	      /* the account `bound_to` has answered the conversation */
	bool alt;	      /* another account could serve the request */
	bool watch;	      /* HAProxy reports the head of the answer */
	bool resend;	      /* without `alt`: HAProxy may take an empty answer back */
	bool fresh;	      /* of `again`: the same account, on a new connection */
	bool spent;	      /* another account could, but the tenant's retry budget is used up */
	struct decide_failure failed; /* of `again` */
	struct record_mark mark;
	uint8_t noticed; /* a quota reached 80 %: DECIDE_NOTICED_* */
	/*
	 * Unix time at which waiting may help; 0 = unknown. `resets_exact`: the refusal lasts until then.
	 */
	int64_t resets_ms;
	bool resets_exact;
	struct decide_rate rate;
	struct decide_limit limit;
	struct shortage shortage; /* of a refusal by the pool */
	bool alone;		  /* of it: only the account of the conversation was asked */
	bool no_place;		  /* the request could wait, but the waiting room is full */
	/* of DECIDE_WAIT, Unix time */
	enum room_reason wait_for;
	uint32_t wait_what; /* id of the tenant, key, pool or account it waits for */
	int64_t since_ms;   /* start of the wait */
	int64_t until_ms;   /* the request is refused then */
	int64_t wake_ms;    /* nothing can change before; 0 = may change at any time */
	/* set as the stages find them; NULL before */
	const struct snapshot_key *key;
	const struct snapshot_tenant *tenant;
	const struct snapshot_pool *pool;
	const struct snapshot_account *account;
	const struct snapshot_backend *backend;
	const struct provider *provider; /* of the pool */
	bool http2;			 /* its upstream may speak HTTP/2 */
	const char *foreign_path;	 /* the path belongs to this one of another provider */
	enum resource resource;		 /* what the request does to resources of an account */
	struct slice bad_key;  /* the text sent as a key if it is not a valid key; borrowed */
	bool bad_key_cached;   /* it is in the cache of bad keys */
	bool bad_key_unknown;  /* well-formed, but in no table: the cache takes it */
	uint64_t conversation; /* keyed hash, 0 = none */
	uint32_t bound_to;     /* id of the account that the conversation is bound to; 0 = none */
	/* of DECIDE_ALLOW: the upstream's path is prefix + rest */
	bool path_changed;
	struct slice path_prefix;
	struct slice path_rest;
	struct statefile_lease *lease;
	struct statefile_lease released; /* state not LEASE_FREE: this decision ended this lease */
	struct board_why why;		 /* the shell fills in id, time and the fields above */
};

struct decide_state {
	struct leases *leases;
	struct usages *usages;
	struct bindings *bindings;
	struct undo *undo;
	struct healths *healths;
	struct evidence *evidence;
	struct slots *slots;
	struct budgets *budgets; /* retries of tenants */
	struct pooled *pooled;	 /* NULL = no connection is used twice */
	const struct room *room; /* NULL = no request can wait */
	struct badkeys *badkeys; /* NULL = none */
	uint64_t turn;		 /* position of round-robin */
	int64_t unsettled_ms; /* steps of the clock that the age of credentials ignores (step.h) */
	bool draining;
	bool store_is_down; /* control said so, or is silent; only /relay/health tells */
};

/* Results that only later stages read; the verdict has the caller's results. */
struct decide_scratch {
	const struct keytable *key_table;		  /* of the verdict's key */
	struct statefile_usage *tenant_usage, *key_usage; /* NULL = no limits: not counted */
	struct statefile_usage *account_usage, *pool_usage;
	bool reused; /* the attempt may get a connection that was used before */
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
decide_stage_fn decide_draining;   /* the relay does not stop */
decide_stage_fn decide_switches;   /* the site is enabled */
decide_stage_fn decide_banned;	   /* ban list */
decide_stage_fn decide_tenant;
decide_stage_fn decide_networks; /* allow lists of tenant and key */
/* key.c */
decide_stage_fn decide_key; /* form, look-up, expiry */
/* route.c */
decide_stage_fn decide_upgrade; /* a WebSocket, where no upstream takes one */
decide_stage_fn decide_route;	/* requests that are never forwarded; the pool of all others */
/* limits.c */
decide_stage_fn decide_limits; /* windows and slots of tenant and key */
/* conversation.c */
decide_stage_fn decide_body; /* asks for the body, if it names the conversation */
/* account.c */
decide_stage_fn decide_account; /* account, egress and backend */
/* wait.c */
decide_stage_fn decide_pace; /* start time of a paced request */
/* reserve.c */
decide_stage_fn decide_repeat;	/* finds the lease of a repeated question */
decide_stage_fn decide_reserve; /* counts and lease */

void decide(const struct snapshot *s, struct decide_state *state, const struct decide_request *r,
	int64_t now_ms, uint64_t random, struct decide_verdict *ret);

/*
 * The last attempt of request `r->id` failed: chooses another account, or refuses. `r` has gen and
 * id. `repeated`: the same attempt may have asked before (again2).
 */
void decide_again(const struct snapshot *s, struct decide_state *state,
	const struct decide_request *r, bool repeated, int64_t now_ms, uint64_t random,
	struct decide_verdict *ret);
/* Control's request to an account; it holds only a permit. */
void decide_probe(const struct snapshot *s, struct decide_state *state,
	const struct decide_request *r, uint32_t account, int64_t now_ms,
	struct decide_verdict *ret);

/*
 * Gives back the lease and the slots of an admitted request. If it was certainly never sent, also
 * its counts (usage.h).
 */
void decide_release(struct decide_state *state, struct statefile_lease *lease, bool never_sent);

/*
 * For an admitted request that had no idle connection: records that have arrived since may have left one.
 */
void decide_find_connection(struct decide_state *state, struct decide_verdict *v, int64_t now_ms);

/*
 * The lease's account answered 2xx: its conversation is bound to it from now on. True if the
 * conversation moved.
 */
bool decide_answered(const struct snapshot *s, struct decide_state *state,
	struct statefile_lease *lease, int64_t now_ms);
/*
 * The lease's account could not read the state of its conversation, which is of the account before:
 * pins the conversation to that. False: the account before is unknown, or it was pinned already.
 */
bool decide_foreign(const struct snapshot *s, struct decide_state *state,
	const struct statefile_lease *lease, int64_t now_ms);

/* --- between stages --- */

/* Takes permits of the verdict's account and backend, and sets the verdict's mark. */
void decide_enter(struct decide_context *c, uint32_t attempt); /* attempt 0 = a probe */
/* Continues the verdict's lease with the verdict's account. */
void decide_move(struct decide_context *c);
/* Attempts that a request may have, besides one that is resent. `lease` may be NULL. */
uint32_t decide_attempts(const struct snapshot *s, const struct statefile_lease *lease);
/* Whether the tenant's retry budget allows one more attempt. */
bool decide_may_retry(const struct decide_context *c);
void decide_rewrite_path(const struct decide_context *c);
/*
 * Chooses an account, or another egress of the same account, for an attempt after the first. Never
 * waits.
 */
enum refusal decide_other_account(struct decide_context *c);

/*
 * For a refusal that may end: sets the verdict's action to DECIDE_WAIT if there is time and a place
 * in the waiting room. Nothing can change before `wake_ms`; 0 = at any time. Returns the refusal.
 */
enum refusal decide_wait(struct decide_context *c, enum refusal refusal, enum room_reason reason,
	uint32_t what, uint64_t wait_ms, int64_t wake_ms);
/* Start of this request's wait; now, if it has not waited. */
int64_t decide_since(const struct decide_context *c);
/* How long the tenant lets a request wait, in milliseconds. */
uint64_t decide_tenant_wait_ms(const struct snapshot_tenant *tenant);
/* The used share of an account's limits, 0..1, and its risk and score (formula in score.c). */
struct decide_score {
	double usage;
	double risk;
	double score;
};
struct decide_score decide_score(const struct snapshot_limits *limits,
	const struct statefile_usage *row, uint32_t in_use, double upstream,
	const struct window_clock *clock);

/* The key family: a rotated key and its predecessors count as one requester. */
static inline uint32_t decide_family(const struct snapshot_key *key)
{
	return key->family ? key->family : key->id;
}

/* Whose request a lease is. */
static inline struct evidence_requester decide_requester_of(const struct statefile_lease *lease)
{
	return (struct evidence_requester){
		lease->tenant, lease->family ? lease->family : lease->key};
}

/* Whose request this is; tenant 0 = control's. */
static inline struct evidence_requester decide_requester(const struct decide_context *c)
{
	const struct decide_verdict *v = c->verdict;

	if (v->key)
		return (struct evidence_requester){v->key->tenant_id, decide_family(v->key)};
	return v->lease ? decide_requester_of(v->lease) : (struct evidence_requester){0, 0};
}

/* Spreads 64 bits over 64 bits. */
static inline uint64_t decide_mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

#endif
