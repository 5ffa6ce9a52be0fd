/*
 * Health of accounts and backends (docs/HEALTH.md): what takes them out for everybody. Rows of the
 * state file. Pure apart from the table: time and randomness are arguments. A subject without a row
 * is healthy.
 *
 *   backend   its breaker counts failed connections in a row. It opens at the threshold; after the
 *             recovery time it is half-open for the configured number of trials, each with a permit.
 *   account   out by a failed probe, by two witnesses (evidence.h), by a window of the upstream, or
 *             for a moment by a 429 with Retry-After. Clients' answers alone do nothing else: what a
 *             failure means for its own key is in evidence.h.
 *             ladder: refused probes in a row (401, 403): 5 min, 5 min, 30 min, then suspended until
 *             the operator resumes the account.
 *             circuit: other failed probes open it for half the recovery time up to all of it, two
 *             witnesses for all of it. Control's probe is the trial of the half-open circuit; clients
 *             are it where there is no probe, or when none comes.
 *
 * `generation` rises whenever one of these changes. A result counts only if its request was sent under
 * the present generation, so that ten results of one failure count once.
 */
#ifndef RELAY_AGENT_HEALTH_H
#define RELAY_AGENT_HEALTH_H

#include "agent/idindex.h"
#include "common/board.h"
#include "common/result.h"
#include "common/snapshot.h"
#include "common/statefile.h"

#include <stdbool.h>
#include <stdint.h>

#define HEALTH_LADDER_SHORT_MS (5 * 60 * (int64_t)1000)
#define HEALTH_LADDER_LONG_MS (30 * 60 * (int64_t)1000)
#define HEALTH_LADDER_LONG 3 /* the third refused probe in a row */
#define HEALTH_LADDER_SUSPENDED 4
#define HEALTH_AVOID_MIN_MS 1000
#define HEALTH_AVOID_MAX_MS 30000
#define HEALTH_TRUST_MS 10000	   /* a credential that served somebody so lately is good */
#define HEALTH_PERMIT_MS 60000	   /* a trial without a result gives its permit back after this */
#define HEALTH_PROBE_WAIT_MS 15000 /* no probe came for so long: clients are the trial */

struct healths {
	struct statefile_health *rows; /* of the state file */
	struct idindex index;
	uint32_t sweep;
	uint32_t *open; /* rows that may be changing */
	uint32_t open_count;
	uint64_t full; /* how often no row was free */
};

/* 0 or -ENOMEM. */
int healths_init(struct healths *h, struct statefile_health *rows, uint32_t count);
void healths_fini(struct healths *h);
/* Ends all changes of rows from health_of(), before the agent waits for its next work. */
void healths_seal(struct healths *h);

/*
 * The wall clock has moved by `step_ms` to `now_ms`: all times move with it, and no end is later than its
 * longest legal length from now.
 */
void healths_shift(struct healths *h, int64_t step_ms, int64_t now_ms);

/* The operator's settings of an account or backend; from the snapshot. */
struct health_subject {
	enum health_kind kind;
	uint32_t id;
	uint32_t epoch;
	uint32_t credential; /* generation of the current one; 0 for backends */
	bool refreshable;
	bool probed; /* control probes it */
};

/* NULL: healthy. A row of another epoch does not count. */
const struct statefile_health *health_find(
	const struct healths *h, const struct health_subject *subject);
/* Where the row is, of any epoch; IDINDEX_NONE = there is none. */
uint32_t health_place(const struct healths *h, const struct health_subject *subject);
/*
 * The row, to be changed until healths_seal(). It is made, or cleared for a new epoch. NULL when all rows
 * are taken.
 */
struct statefile_health *health_of(
	struct healths *h, const struct health_subject *subject, int64_t now_ms);

struct health_look {
	enum board_standing standing;
	bool trial; /* of USABLE: as the trial of a half-open circuit, with a permit */
	bool watch; /* the first request after a failure: HAProxy reports the head of its answer */
	bool probe; /* its half-open circuit waits for a probe, even if another reason lasts longer */
	int64_t until_ms; /* end of the standing; 0 = unknown */
};

/* The standing at this time. `row` may be NULL. */
struct health_look health_look(const struct statefile_health *row,
	const struct health_subject *subject, const struct snapshot_options *rules, int64_t now_ms);

/* Sends request `id` there: takes a permit if one is needed. Only if health_look() says USABLE. */
void health_enter(struct statefile_health *row, const struct snapshot_options *rules,
	const uint8_t id[16], int64_t now_ms);
/* Request `id` ended without a result for the account: gives back its permit. */
void health_leave(struct statefile_health *row, const uint8_t id[16]);

struct health_event {
	const uint8_t *id;
	uint32_t generation; /* under which the request was sent */
	uint32_t credential; /* generation of the credential that was sent */
	const struct result *result;
};

/* A connection to the backend was made, or not. */
void health_connect(struct statefile_health *row, const struct snapshot_options *rules,
	const struct health_event *event, bool connected, int64_t now_ms);
/* No connection was possible and the account has other egresses: use them for a moment. */
void health_avoid(
	struct statefile_health *row, uint32_t generation, int64_t now_ms, uint64_t random);

/*
 * The answer of an account to a client. True when control may have to act: a credential that it can
 * renew was refused. `renews`: a client's 401 may ask for that.
 */
bool health_answer(struct statefile_health *row, const struct health_subject *subject,
	const struct health_event *event, bool renews, int64_t now_ms);
/* A 429 without a window: the account rests until then. */
void health_rest(struct statefile_health *row, uint32_t generation, int64_t until_ms);
/* That rest ends. */
void health_wake(struct statefile_health *row);
/* Two witnesses: the circuit opens. */
void health_convict(
	struct statefile_health *row, const struct snapshot_options *rules, int64_t now_ms);
/*
 * The answer of an account to control's probe. A probe costs the upstream nothing and its limits do
 * not apply, so its success ends no window and no rest. `suspected`: somebody failed there since the
 * last success. Else a 403 may only mean that this credential may not be probed. True as above, and
 * when the account is suspended.
 */
bool health_probe(struct statefile_health *row, const struct health_subject *subject,
	const struct snapshot_options *rules, const struct health_event *event, bool suspected,
	int64_t now_ms, uint64_t random);

/* What the provider's usage page says about an account. */
struct health_usage {
	uint16_t used;	       /* of the fullest limit, in 1/65535 */
	int64_t used_until_ms; /* when that limit resets; Unix time, 0 = unknown */
	int64_t until_ms;      /* a limit is reached until then; 0 = none is */
	int64_t window_ms;     /* end of the window that the page ends; 0 = none */
};

/* Sets, moves or ends the window. True if it changed. */
bool health_learn(struct statefile_health *row, const struct health_usage *u, int64_t now_ms);
/* End of the upstream's limit that is reached; 0 = none is. `row` may be NULL. */
int64_t health_window_ms(const struct statefile_health *row, int64_t now_ms);

/* A probe that does not count was answered like this. */
void health_note_refusal(struct statefile_health *row, enum result_class class);

/* The used share of the upstream's limits, 0..1. */
double health_used(const struct statefile_health *row, int64_t now_ms);

#endif
