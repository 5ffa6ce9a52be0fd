/*
 * The board: one shared memory block with the agent's counters and last requests, which control reads.
 * The keeper makes it (a memfd), so that counts survive an agent. The agent is the only writer and
 * stores without locks; control maps it read-only. No messages are sent: a restarted control process
 * continues where it stopped and counts the rows that the ring has overwritten.
 */
#ifndef RELAY_COMMON_BOARD_H
#define RELAY_COMMON_BOARD_H

#include "common/errtext.h"
#include "common/ip.h"
#include "common/metric.h"
#include "common/refusal.h"
#include "common/resource.h"
#include "common/result.h"
#include "common/slice.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BOARD_FORMAT 6
#define BOARD_ROWS 4096	     /* labelled rows of each kind: tenants, accounts, upstreams */
#define BOARD_REQUESTS 65536 /* requests in the ring; a power of two */
#define BOARD_WHYS 8192	     /* decisions with their reasons; a power of two */
#define BOARD_CANDIDATES 32  /* accounts of a decision that are kept */
#define BOARD_LIMITS 12	     /* limits of a decision that are kept */
#define BOARD_ATTEMPTS 4     /* of one request, at most */
#define BOARD_METHOD_SIZE 12
#define BOARD_PATH_SIZE 104
#define BOARD_REGION_SIZE 32
#define BOARD_BANS 256	    /* bans that control has not taken over yet; a power of two */
#define BOARD_FRAME_TYPES 4 /* hello, notify, disconnect, other */
#define BOARD_STATUS_MAX 128

typedef _Atomic uint64_t board_counter;

/* Metrics with one label whose values are words: id, type, name, label, unit, help. */
#define BOARD_WORD_METRICS(M)                                                                      \
	M(EVENTS_REFUSED, COUNTER, "relay_events_refused_total", "reason", "datagrams",            \
		"Datagrams that were not used as end-of-request records. `reason` is bad (not a "  \
		"record), forged (wrong secret or sender) or unmatched (no such request is in "    \
		"progress).")                                                                      \
	M(FAILOVERS, COUNTER, "relay_failovers_total", "reason", "attempts",                       \
		"Failed attempts for which HAProxy asked for another account. `reason` is "        \
		"response (an answer or a lost connection), connect (no connection), egress (the " \
		"egress was known to be down) or refused (no other account could take over).")     \
	M(STATE_DROPPED, COUNTER, "relay_state_rows_dropped_total", "table", "rows",               \
		"Damaged rows of the state file that were dropped, with their counts.")            \
	M(STATE_MENDED, COUNTER, "relay_state_rows_mended_total", "table", "rows",                 \
		"Rows of the state file in which one flipped bit was found and flipped back.")

/*
 * Single counters. M: a metric (id, type, name, unit, help: common/metric.h). W: one word of a metric of
 * BOARD_WORD_METRICS (id, metric, word). P: part of a metric in admin/api/metrics.c, or for the status only.
 */
#define BOARD_COUNTERS(M, W, P)                                                                    \
	P(ALLOWED)  /* relay_decisions_total */                                                    \
	P(ANSWERED) /* relay_decisions_total */                                                    \
	M(REPEATED, COUNTER, "relay_decisions_repeated_total", "decisions",                        \
		"Questions that HAProxy repeated, answered like the first one.")                   \
	M(SPOP_CONNECTIONS, GAUGE, "relay_spop_connections", "connections",                        \
		"Open SPOP connections.")                                                          \
	M(SPOP_REFUSED, COUNTER, "relay_spop_connections_refused_total", "connections",            \
		"SPOP connections refused because there were too many or the peer is not "         \
		"allowed.")                                                                        \
	M(SPOP_STALLED, COUNTER, "relay_spop_stalled_total", "connections",                        \
		"SPOP connections closed because the peer did not read.")                          \
	M(EVENTS, COUNTER, "relay_events_total", "records", "End-of-request records received.")    \
	M(EVENTS_LOST, COUNTER, "relay_events_lost_total", "records",                              \
		"End-of-request records that the kernel dropped before the agent read them.")      \
	P(EVENTS_OVERFLOW) /* the kernel's own count of them, of this socket */                    \
	W(EVENTS_BAD, EVENTS_REFUSED, "bad")                                                       \
	W(EVENTS_FORGED, EVENTS_REFUSED, "forged")                                                 \
	W(EVENTS_UNMATCHED, EVENTS_REFUSED, "unmatched")                                           \
	M(LEASES, GAUGE, "relay_leases_outstanding", "requests",                                   \
		"Requests in progress on this node.")                                              \
	M(HEALED, COUNTER, "relay_slots_healed_total", "requests",                                 \
		"Slots given back because HAProxy no longer had the request.")                     \
	M(GIVEN_BACK, COUNTER, "relay_requests_given_back_total", "requests",                      \
		"Admitted requests that never reached an upstream; their counts were taken "       \
		"back.")                                                                           \
	P(GAUGE_READ_MS) /* Unix time of the last reading of HAProxy that was used */              \
	M(WAITING, GAUGE, "relay_requests_waiting", "requests",                                    \
		"Requests that wait for a slot, an account or its pace.")                          \
	M(WAITED, COUNTER, "relay_requests_waited_total", "requests",                              \
		"Requests admitted after they waited.")                                            \
	M(WAIT_REFUSED, COUNTER, "relay_waits_refused_total", "requests",                          \
		"Requests refused because too many requests waited.")                              \
	M(USAGE_ROWS, GAUGE, "relay_usage_rows", "rows",                                           \
		"Tenants, keys, accounts and pools with counts in the state file.")                \
	M(USAGE_ROOM, GAUGE, "relay_usage_rows_max", "rows",                                       \
		"Rows of the state file for such counts. It grows by itself, up to 1,048,576.")    \
	M(USAGE_FULL, COUNTER, "relay_usage_refused_total", "requests",                            \
		"Requests refused with `overloaded` because a table of the state file was full.")  \
	W(STATE_DROPPED_USAGE, STATE_DROPPED, "usage") /* in the order of enum statefile_table */  \
	W(STATE_DROPPED_LEASES, STATE_DROPPED, "leases")                                           \
	W(STATE_DROPPED_BINDINGS, STATE_DROPPED, "bindings")                                       \
	W(STATE_DROPPED_HEALTH, STATE_DROPPED, "health")                                           \
	W(STATE_DROPPED_UNDO, STATE_DROPPED, "undo")                                               \
	W(STATE_MENDED_USAGE, STATE_MENDED, "usage")                                               \
	W(STATE_MENDED_LEASES, STATE_MENDED, "leases")                                             \
	W(STATE_MENDED_BINDINGS, STATE_MENDED, "bindings")                                         \
	W(STATE_MENDED_HEALTH, STATE_MENDED, "health")                                             \
	W(STATE_MENDED_UNDO, STATE_MENDED, "undo")                                                 \
	P(CLOCK_STEPS)	    /* relay_clock_steps_total, with those that control has seen */        \
	P(CLOCK_STEP_MS)    /* the last step, a signed number */                                   \
	P(CLOCK_STEP_AT_MS) /* Unix time after it; 0 = none since the board was made */            \
	M(BINDINGS_MOVED, COUNTER, "relay_bindings_moved_total", "conversations",                  \
		"Conversations that moved to another account.")                                    \
	M(BINDINGS_PINNED, COUNTER, "relay_bindings_pinned_total", "conversations",                \
		"Conversations pinned to their account because another one could not read their "  \
		"state.")                                                                          \
	M(BANNED, COUNTER, "relay_bans_total", "addresses",                                        \
		"Addresses banned because of bad keys.")                                           \
	M(BAD_KEY_CACHED, COUNTER, "relay_bad_keys_cached_total", "requests",                      \
		"Requests with a bad key that the agent remembered as bad.")                       \
	M(BOARD_FULL, COUNTER, "relay_board_full_total", "counts",                                 \
		"Counts lost because a table of tenants, accounts or upstreams was full.")         \
	P(HEALTH_CHANGES) /* rises with every change that control may have to act on */            \
	M(HEALTH_FULL, COUNTER, "relay_health_full_total", "results",                              \
		"Results of accounts and egresses that were not counted because the health "       \
		"table was full.")                                                                 \
	W(FAILOVER_RESPONSE, FAILOVERS, "response")                                                \
	W(FAILOVER_CONNECT, FAILOVERS, "connect")                                                  \
	W(FAILOVER_EGRESS, FAILOVERS, "egress")                                                    \
	W(FAILOVER_REFUSED, FAILOVERS, "refused")                                                  \
	M(RETRY_EXHAUSTED, COUNTER, "relay_retry_exhausted_total", "requests",                     \
		"Requests sent without failover because the tenant's budget for further "          \
		"attempts was used up.")                                                           \
	M(RESULT_UNKNOWN, COUNTER, "relay_results_unknown_total", "answers",                       \
		"Answers of upstreams that fit no known class.")                                   \
	M(SNAPSHOT_VERSION, GAUGE, "relay_snapshot_version", "version",                            \
		"Version of the configuration that the agent uses.")                               \
	M(SNAPSHOT_REFUSED, COUNTER, "relay_snapshots_refused_total", "snapshots",                 \
		"Configurations that the agent rejected because they failed its check.")

enum board_counter_id {
#define M(id, type, name, unit, help) BOARD_##id,
#define W(id, metric, word) BOARD_##id,
#define P(id) BOARD_##id,
	BOARD_COUNTERS(M, W, P)
#undef M
#undef W
#undef P
		BOARD_COUNTER_COUNT
};

/* Decision times: upper bounds 1 us, 2, 4, ... 2^15 us, +Inf. */
#define BOARD_DECISION_BUCKETS 17
/* Upstream times, seconds: 0.01 0.05 0.1 0.25 0.5 1 2.5 5 10 30 60 300, +Inf */
#define BOARD_UPSTREAM_BUCKETS 13
extern const double board_upstream_bounds[BOARD_UPSTREAM_BUCKETS - 1]; /* seconds */

/* Outages of accounts, seconds: 1 5 10 30 60 300 900 3600 18000 86400 604800, +Inf */
#define BOARD_RECOVERY_BUCKETS 12
extern const double board_recovery_bounds[BOARD_RECOVERY_BUCKETS - 1]; /* seconds */

struct board_histogram {
	board_counter buckets[BOARD_DECISION_BUCKETS]; /* not cumulative */
	board_counter sum_us;
};

/* Counters of a tenant that are metrics with the label `tenant`: field, type, name, unit, help. */
#define BOARD_TENANT_METRICS(M)                                                                    \
	M(active, GAUGE, "relay_streams_active", "requests",                                       \
		"Requests of the tenant that are in progress.")

/* A labelled row; `id` (of the store) is written first and never changes; 0 = free. */
struct board_tenant {
	_Atomic uint32_t id;
	uint32_t pad;
#define M(field, type, name, unit, help) board_counter field;
	BOARD_TENANT_METRICS(M)
#undef M
	board_counter status_class[6]; /* index = hundreds; 0 = ended without an answer */
	board_counter shadow[3];       /* let pass in shadow mode: rate, concurrency, quota */
	board_counter noticed;	       /* notices at 80 % of a quota */
};

/* State of an account or of an egress to an upstream: id, name, text */
#define BOARD_STANDINGS(X)                                                                         \
	X(USABLE, "ok", "usable")                                                                  \
	X(SUSPECT, "suspect", "an attempt failed: rests for a moment")                             \
	X(BURST, "burst", "the upstream asked for a short pause")                                  \
	X(WINDOW, "window", "the upstream's own limit is reached")                                 \
	X(COOLING, "cooling", "its probe was refused: rests for a while")                          \
	X(LOGIN, "refreshing", "its credential was refused: waits for a new one")                  \
	X(HALF_OPEN, "half_open", "circuit half-open: a trial is in progress")                     \
	X(OPEN, "open", "circuit open")                                                            \
	X(SUSPENDED, "suspended", "suspended after repeated refusals")

enum board_standing {
#define X(id, name, text) BOARD_STANDING_##id,
	BOARD_STANDINGS(X)
#undef X
		BOARD_STANDING_COUNT
};

const char *board_standing_name(enum board_standing s);
const char *board_standing_text(enum board_standing s);

/* Counters of an account that are metrics with the label `account`: as of a tenant. */
#define BOARD_ACCOUNT_METRICS(M)                                                                   \
	M(active, GAUGE, "relay_account_inflight", "requests",                                     \
		"Requests in progress at the account.")

struct board_account {
	_Atomic uint32_t id;
	uint32_t pad;
#define M(field, type, name, unit, help) board_counter field;
	BOARD_ACCOUNT_METRICS(M)
#undef M
	board_counter requests;
	board_counter risk;	/* gauge, in millionths */
	board_counter standing; /* gauge: enum board_standing */
	board_counter circuit;	/* gauge: enum circuit */
	board_counter until_ms; /* gauge: Unix time at which the standing ends; 0 = not known */
	board_counter epoch;	/* gauge: epoch of the row that the standing describes */
	board_counter used;	/* gauge: of the upstream's own limits, in millionths */
	board_counter refused_credential; /* gauge: the generation that was refused; 0 = none */
	board_counter wants_probe_ms; /* gauge: Unix time since when a probe is wanted; 0 = none */
	board_counter wants_probe_class; /* gauge: enum board_evidence; why it is wanted */
	board_counter probe_class;	 /* gauge: enum board_evidence; the last probe's result */
	board_counter probe_ms;		 /* gauge: Unix time of that result; 0 = none */
	board_counter witnesses;	 /* gauge: key families that testify against it now */
	board_counter brakes;		 /* gauge: key families that may not use it now */
	board_counter last_used_ms, last_success_ms; /* gauges, Unix time */
	board_counter window_ms; /* gauge: Unix time at which the upstream's limit ends; 0 = none */
	board_counter out_since_ms; /* gauge: monotonic; since when it is not usable; 0 = it is */
	board_counter results[RESULT_CLASS_COUNT];
};

/* One upstream through one egress. */
struct board_backend {
	_Atomic uint32_t id;
	uint32_t pad;
	board_counter standing; /* as an account's */
	board_counter circuit;
	board_counter until_ms;
	board_counter failures; /* connections that failed */
};

struct board_upstream {
	_Atomic uint32_t id;
	uint32_t pad;
	struct board_histogram ttfb;
	struct board_histogram duration;
};

/* A class of enum result_class, or one of these. */
enum board_evidence {
	BOARD_EVIDENCE_UNSEEN = RESULT_CLASS_COUNT, /* HAProxy took the answer back unseen */
	BOARD_EVIDENCE_BROKEN, /* streams of several keys broke after the head of the answer */
	BOARD_EVIDENCE_COUNT,
};

/* "burst", ..., "unseen", "broken" */
const char *board_evidence_name(enum board_evidence e);

/* What an attempt's failure means (docs/HEALTH.md, "Evidence"): id, name, text */
#define BOARD_VERDICTS(X)                                                                          \
	X(OPEN, "open", "not compared with another account")                                       \
	X(REQUEST, "request", "another account refused likewise: the request is at fault")         \
	X(WITNESS, "witness", "another account served it: evidence against this account")          \
	X(NONE, "none", "charged to nobody")

enum board_verdict {
#define X(id, name, text) BOARD_VERDICT_##id,
	BOARD_VERDICTS(X)
#undef X
		BOARD_VERDICT_COUNT
};

const char *board_verdict_name(enum board_verdict v);
const char *board_verdict_text(enum board_verdict v);

struct board_attempt {
	uint32_t account;
	uint16_t status; /* 0 = not known */
	uint8_t class;	 /* enum board_evidence */
	uint8_t verdict; /* enum board_verdict; of a failure */
};

/* Terminations without an end record. HAProxy has no such letters. */
#define BOARD_ENDED_AWAY "xA" /* it ended while the relay was stopped or restarted */
#define BOARD_ENDED_LOST "xL" /* HAProxy no longer has it */

/* A finished or refused request, as `relayadm requests list` shows it. */
struct board_request {
	_Atomic uint64_t sequence; /* number of the request + 1; 0 while it is being written */
	uint8_t id[16];
	int64_t started_ms; /* Unix time */
	uint32_t tenant, key, account, egress, upstream;
	int32_t ttfb_ms;     /* -1 = no answer began */
	int32_t duration_ms; /* -1 = unknown */
	uint16_t status;
	uint16_t retries;
	uint64_t bytes_in, bytes_out;
	char termination[4];		/* HAProxy's two letters */
	char code[32];			/* refusal, empty for none */
	char label[64];			/* the client's own id, empty for none */
	char answer[64];		/* the upstream's own id, empty for none */
	char method[BOARD_METHOD_SIZE]; /* of record_copy_text(); empty = not known */
	char path[BOARD_PATH_SIZE]; /* the same, without the query; also empty if it holds a key */
	char region[BOARD_REGION_SIZE]; /* cut: the egress's, else the account's, else the node's */
	uint64_t conversation;		/* keyed hash, 0 = none */
	uint32_t pool;
	int32_t relay_ms; /* from the whole head to the start of the connection; -1 = unknown */
	uint32_t active;  /* requests of the tenant in progress at the end, with this one */
	uint8_t provider; /* place of its row + 1; 0 = none */
	uint8_t circuit;  /* enum circuit: of the account at the end */
	uint8_t tries;	  /* attempts; 0 = not known, or it was refused */
	uint8_t attempt_count; /* of them, those that have failed: in `attempts` */
	uint8_t resources;     /* it used resources of the account */
	uint8_t pad[7];
	struct board_attempt attempts[BOARD_ATTEMPTS];
};

/* Why an account was chosen or not: id, text */
#define BOARD_REASONS(X)                                                                           \
	X(TAKEN, "taken")                                                                          \
	X(BOUND, "taken: the conversation, or the resources of the key, are bound to it")          \
	X(OUTSCORED, "usable; another ranked higher")                                              \
	X(NOT_BOUND,                                                                               \
		"the conversation, or the resources of the key, are bound to another account")     \
	X(REGION, "usable; an account of the node's own region was preferred")                     \
	X(CONSECUTIVE, "its consecutive uses are used up")                                         \
	X(SUSPENDED, "suspended")                                                                  \
	X(NO_CREDENTIAL, "has no credential")                                                      \
	X(EXPIRED, "its credential has expired")                                                   \
	X(UPSTREAM, "belongs to another upstream than the pool")                                   \
	X(HEADER, "the HAProxy process that asked does not know all of its headers and egresses")  \
	X(BACKEND, "the HAProxy process that asked has no backend for its egress")                 \
	X(MINUTE, "its limit per minute is reached")                                               \
	X(HOUR, "its limit per hour is reached")                                                   \
	X(SLOTS, "its concurrent requests are used up")                                            \
	X(TRIED, "this request has already failed there")                                          \
	X(CIRCUIT, "its circuit is open")                                                          \
	X(HALF_OPEN, "its circuit is half-open and a trial is in progress")                        \
	X(COOLING, "rests for a moment: an attempt failed there")                                  \
	X(REFUSED, "rests because its probe was refused")                                          \
	X(WINDOW, "the upstream's own limit is reached")                                           \
	X(LOGIN, "needs a new login")                                                              \
	X(REFRESH, "its credential was refused and is being renewed")                              \
	X(EGRESS, "its egress is down")                                                            \
	X(PACED, "waits for its pace")                                                             \
	X(USAGE, "no free row to count its requests")                                              \
	X(SHUNNED, "usable; a request of this key failed there, others are preferred")             \
	X(BRAKED, "requests of this key fail there again and again: it has to pause")              \
	X(BURST, "rests for a moment: the upstream limited its requests")                          \
	X(RENEWAL, "its credential has expired and is being renewed")                              \
	X(EGRESS_SUSPENDED, "its egress is suspended")                                             \
	X(EGRESS_FAILED, "this request could not be connected through its egress")                 \
	X(QUEUED, "usable; other requests have waited for it longer")

enum board_reason {
	BOARD_REASON_NONE,
#define X(id, text) BOARD_REASON_##id,
	BOARD_REASONS(X)
#undef X
		BOARD_REASON_COUNT
};

/* NULL for BOARD_REASON_NONE. */
const char *board_reason_text(enum board_reason r);

struct board_candidate {
	uint32_t account;
	uint16_t score; /* in 1/65535 */
	uint8_t reason; /* enum board_reason */
	uint8_t pad;
};

/* State of a limit at the time of the decision. */
struct board_limit {
	uint8_t kind;	/* enum usage_kind: tenant or key */
	uint8_t window; /* enum usage_window; USAGE_WINDOW_COUNT = concurrent requests */
	uint8_t hit;	/* this limit refused the request, or would have in shadow mode */
	uint8_t pad;
	uint32_t limit; /* never 0 */
	uint32_t used;	/* before this request */
};

enum board_action {
	BOARD_ACTION_DENIED,
	BOARD_ACTION_ALLOWED,
	BOARD_ACTION_WAITED, /* has to wait; a later row of the same id has the outcome */
	BOARD_ACTION_ENDED,  /* no decision: the row has only the request's attempts, all of them */
};

/* A decision with its reasons, as `relayadm requests why` shows it. */
struct board_why {
	_Atomic uint64_t sequence; /* as in board_request */
	uint8_t id[16];
	int64_t decided_ms; /* Unix time */
	uint32_t tenant, key, pool, account;
	uint8_t action;	 /* enum board_action */
	uint8_t refusal; /* enum refusal; for a wait: its reason */
	uint8_t shadow;	 /* a limit would have refused it */
	uint8_t limit_count;
	uint16_t candidate_count; /* kept */
	uint16_t member_count;	  /* of the pool */
	uint8_t attempt_count;	  /* that have ended */
	uint8_t resource;	  /* enum resource */
	uint8_t pad[2];
	uint64_t conversation; /* keyed hash, 0 = none */
	struct board_attempt attempts[BOARD_ATTEMPTS];
	struct board_limit limits[BOARD_LIMITS];
	struct board_candidate candidates[BOARD_CANDIDATES];
};

/* Why an address with many bad keys is not banned. */
enum board_spared {
	BOARD_SPARED_NOT, /* it is banned */
	BOARD_SPARED_LOOPBACK,
	BOARD_SPARED_TRUSTED, /* a proxy of --trust-forwarded */
	BOARD_SPARED_SHARED,  /* several tenants use it */
	BOARD_SPARED_COUNT,
};

/*
 * An address that has sent many bad keys. Control copies the ban into the store, or raises a notice about a
 * spared one.
 */
struct board_ban {
	_Atomic uint64_t sequence; /* as in board_request */
	struct cidr network;
	int64_t expires_ms; /* Unix time */
	uint32_t bad_keys;  /* number of different ones */
	uint32_t spared;    /* enum board_spared; then `expires_ms` is 0 */
};

/* A metric that is a counter of the board, and where the counter is. */
struct board_metric {
	struct metric_row row;
	size_t offset; /* into struct board, struct board_tenant or struct board_account */
};

/* The counter of one word of a metric. */
struct board_word {
	const struct metric_row *metric;
	const char *word;
	enum board_counter_id counter;
};

enum {
#define M(...) +1
#define P(id)
#define W(...)
	BOARD_METRIC_COUNT = 0 BOARD_COUNTERS(M, W, P),
#undef W
	BOARD_WORD_METRIC_COUNT = 0 BOARD_WORD_METRICS(M),
	BOARD_TENANT_METRIC_COUNT = 0 BOARD_TENANT_METRICS(M),
	BOARD_ACCOUNT_METRIC_COUNT = 0 BOARD_ACCOUNT_METRICS(M),
#undef M
#define M(...)
#define W(...) +1
	BOARD_WORD_COUNT = 0 BOARD_COUNTERS(M, W, P),
#undef M
#undef W
#undef P
};

extern const struct board_metric board_metrics[BOARD_METRIC_COUNT];
extern const struct metric_row board_word_metrics[BOARD_WORD_METRIC_COUNT];
extern const struct board_word board_words[BOARD_WORD_COUNT];
extern const struct board_metric board_tenant_metrics[BOARD_TENANT_METRIC_COUNT];
extern const struct board_metric board_account_metrics[BOARD_ACCOUNT_METRIC_COUNT];

struct board {
	char magic[8];
	uint32_t layout; /* of the program that made it */
	uint32_t size;
	int64_t created_ms; /* Unix time; identifies the board */
	board_counter counters[BOARD_COUNTER_COUNT];
	board_counter refused[REFUSAL_COUNT];
	board_counter frames[BOARD_FRAME_TYPES];
	board_counter disconnects[BOARD_STATUS_MAX]; /* by SPOP status code */
	struct board_histogram decision;
	struct board_histogram recovery; /* of accounts: from out to usable */
	struct board_tenant tenants[BOARD_ROWS];
	struct board_account accounts[BOARD_ROWS];
	struct board_backend backends[BOARD_ROWS];
	struct board_upstream upstreams[BOARD_ROWS];
	_Atomic uint64_t written; /* requests ever put in the ring */
	struct board_request requests[BOARD_REQUESTS];
	_Atomic uint64_t whys_written;
	struct board_why whys[BOARD_WHYS];
	_Atomic uint64_t bans_written;
	struct board_ban bans[BOARD_BANS];
};

/* A memfd with an empty board: descriptor or -errno. */
int board_create(void);
/* False until an agent has counted the leases of the state file: BOARD_LEASES and the gauges of rows say nothing yet. */
bool board_knows_leases(const struct board *b);
/* NULL with the reason. Unmap with board_unmap(). */
struct board *board_map(int fd, bool writable, struct errtext *e);
void board_unmap(struct board *b);

static inline void board_add(board_counter *c, uint64_t n)
{
	atomic_store_explicit(
		c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline void board_set(board_counter *c, uint64_t n)
{
	atomic_store_explicit(c, n, memory_order_relaxed);
}

static inline uint64_t board_get(const board_counter *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

void board_observe_decision(struct board *b, uint64_t ns);
void board_observe_upstream(struct board_histogram *h, uint64_t ms);
/*
 * The account's standing was written at `now_ms`, monotonic: notes the beginning of an outage, and counts one
 * that has ended. The board and so an outage outlive the agent.
 */
void board_time_outage(struct board *b, struct board_account *a, int64_t now_ms);

/* Writer: the row of `id`, made if it is new. NULL, and BOARD_FULL counted, if the table is full. */
struct board_tenant *board_tenant(struct board *b, uint32_t id);
struct board_account *board_account(struct board *b, uint32_t id);
struct board_upstream *board_upstream(struct board *b, uint32_t id);
struct board_backend *board_backend(struct board *b, uint32_t id);

/* Reader: NULL if the agent has not made a row yet. */
const struct board_tenant *board_find_tenant(const struct board *b, uint32_t id);
const struct board_account *board_find_account(const struct board *b, uint32_t id);
const struct board_backend *board_find_backend(const struct board *b, uint32_t id);

/* Writer: puts one request in the ring; `sequence` is set here. */
void board_put_request(struct board *b, const struct board_request *r);
/*
 * Reader: copies request number `n` (0-based). 0; -EAGAIN: not written yet; -ENOENT: overwritten.
 */
int board_read_request(const struct board *b, uint64_t n, struct board_request *ret);
void board_put_why(struct board *b, const struct board_why *w);
int board_read_why(const struct board *b, uint64_t n, struct board_why *ret);
void board_put_ban(struct board *b, const struct board_ban *ban);
int board_read_ban(const struct board *b, uint64_t n, struct board_ban *ret);

#endif
