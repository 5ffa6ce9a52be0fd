/*
 * Health of accounts and backends (docs/HEALTH.md): breaker, ladder, cool-downs, and the limits that
 * the upstream reports. Rows of the state file. Pure apart from the table: time and randomness are
 * arguments. A subject without a row is healthy.
 *
 *   breaker   counts network, server and overload failures in a row. Opens at the threshold; after the
 *             recovery time it is half-open for the configured number of trials, each with a permit.
 *   ladder    counts refusals in a row: 403, and 401 if no new credential helps. 2: five minutes,
 *             3: thirty minutes, 5: suspended until the operator resumes the account.
 *   burst     Retry-After, else 1 s doubling to 60 s, with jitter.
 *   window    until exactly the time that the upstream named.
 *   suspect   HAProxy took an attempt back, and the reason is unknown. 1 s doubling to 30 s, with
 *             jitter, until an answer arrives; control probes the account at once.
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

#define HEALTH_LADDER_2_MS (5 * 60 * (int64_t)1000)
#define HEALTH_LADDER_3_MS (30 * 60 * (int64_t)1000)
#define HEALTH_LADDER_SUSPENDED 5
#define HEALTH_BURST_MIN_MS 1000
#define HEALTH_BURST_MAX_MS 60000
#define HEALTH_SUSPECT_MIN_MS 1000
#define HEALTH_SUSPECT_MAX_MS 30000
#define HEALTH_PASS_OVER_MS 5000 /* longer than a client's pause before it retries */
#define HEALTH_LOGIN_MS 60000	 /* time for the renewal of a refused credential */
#define HEALTH_PERMIT_MS 60000	 /* a trial without a result gives its permit back after this */

struct healths {
	struct statefile_health *rows; /* of the state file */
	struct idindex index;
	uint32_t sweep;
	uint64_t full; /* how often no row was free */
};

/* 0 or -ENOMEM. */
int healths_init(struct healths *h, struct statefile_health *rows, uint32_t count);
void healths_fini(struct healths *h);

/* The operator's settings of an account or backend; from the snapshot. */
struct health_subject {
	enum health_kind kind;
	uint32_t id;
	uint32_t epoch;
	uint32_t credential; /* generation of the current one; 0 for backends */
	bool refreshable;
};

/* NULL: healthy. A row of another epoch does not count. */
const struct statefile_health *health_find(
	const struct healths *h, const struct health_subject *subject);
/* Creates the row, or clears it for a new epoch; NULL when all rows are taken. */
struct statefile_health *health_of(
	struct healths *h, const struct health_subject *subject, int64_t now_ms);

struct health_look {
	enum board_standing standing;
	bool trial;  /* of USABLE: as the trial of a half-open circuit, with a permit */
	bool watch;  /* the first request after a failure: HAProxy reports the head of its answer */
	bool barred; /* its circuit admits no request, even if another reason lasts longer */
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
	/*
	 * A probe costs the upstream nothing and its limits do not apply: success ends no window
	 * and no burst, and a denial counts only if the account is suspect or was denied before.
	 */
	bool is_probe;
};

/* True when control may have to act: suspended, or a credential was refused. */
bool health_result(struct statefile_health *row, const struct health_subject *subject,
	const struct snapshot_options *rules, const struct health_event *event, int64_t now_ms,
	uint64_t random);
/* HAProxy took an attempt back, and the reason is unknown. */
void health_suspect(struct statefile_health *row, const struct snapshot_options *rules,
	const uint8_t id[16], uint32_t generation, int64_t now_ms, uint64_t random);

/* No connection was possible and the account has other egresses: use them for a moment. */
void health_avoid(
	struct statefile_health *row, uint32_t generation, int64_t now_ms, uint64_t random);
/* The client was told to send its request again and must get another account: avoid this one. */
void health_pass_over(struct statefile_health *row, int64_t now_ms, uint64_t random);
/* The egress explains the account's failure: the suspicion ends. */
void health_excuse(struct statefile_health *row);

/* The used share of the upstream's limits, 0..1. */
double health_used(const struct statefile_health *row, int64_t now_ms);

#endif
