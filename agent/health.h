/*
 * Health of accounts and of ways out (H1, H2; DESIGN.md "Health"): breaker, ladder, cool-downs, the
 * upstream's own limits. Rows of the state file; pure but for the table: time and randomness are
 * arguments. A row that is not there is healthy.
 *
 *   breaker   counts network, server and overload failures in a row. Opens at the threshold; after the
 *             recovery time it is half-open for as many trials at once as are set, each a lease.
 *   ladder    counts refusals in a row: 403, and 401 where no new credential helps. 2: five minutes,
 *             3: thirty, 5: suspended until the operator resumes it.
 *   burst     Retry-After, else 1 s doubling to 60 s, with jitter.
 *   window    until exactly the time that the upstream named.
 *   suspect   an attempt that HAProxy took back: nobody saw why. 1 s doubling to 30 s, with jitter, until
 *             an answer is seen; control probes it at once.
 *
 * `generation` rises whenever any of these changes what may be sent. What was let out under an older one
 * tells nothing new about the present one, so that ten answers to one failure count once.
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
#define HEALTH_PASS_OVER_MS 5000 /* a client's own retry comes sooner */
#define HEALTH_LOGIN_MS 60000	 /* a refused credential is renewed meanwhile */
#define HEALTH_PERMIT_MS 60000	 /* a trial that has not answered by then locks nothing */

struct healths {
	struct statefile_health *rows; /* of the state file */
	struct idindex index;
	uint32_t sweep;
	uint64_t full; /* how often no row was free */
};

/* 0 or -ENOMEM. */
int healths_init(struct healths *h, struct statefile_health *rows, uint32_t count);
void healths_fini(struct healths *h);

/* What the operator has said of it since; from the snapshot. */
struct health_subject {
	enum health_kind kind;
	uint32_t id;
	uint32_t epoch;
	uint32_t credential; /* generation of the present one; 0 for backends */
	bool refreshable;
};

/* NULL: healthy. A row of another epoch is none. */
const struct statefile_health *health_find(
	const struct healths *h, const struct health_subject *subject);
/* Made, or cleared, when it is new; NULL when all rows are taken. */
struct statefile_health *health_of(
	struct healths *h, const struct health_subject *subject, int64_t now_ms);

struct health_look {
	enum board_standing standing;
	bool trial;	  /* of USABLE: as a half-open circuit's trial, with a permit */
	bool watch;	  /* the first after a failure: its answer is wanted early */
	bool barred;	  /* its circuit lets nobody in, whatever keeps it longer */
	int64_t until_ms; /* when the standing ends; 0 = not known */
};

/* How it stands now. `row` may be NULL. */
struct health_look health_look(const struct statefile_health *row,
	const struct health_subject *subject, const struct snapshot_health *rules, int64_t now_ms);

/* Request `id` goes there: takes a permit where one is needed. Only where health_look() says USABLE. */
void health_enter(struct statefile_health *row, const struct snapshot_health *rules,
	const uint8_t id[16], int64_t now_ms);
/* Request `id` ended without a word on the account: gives back its permit. */
void health_leave(struct statefile_health *row, const uint8_t id[16]);

struct health_event {
	const uint8_t *id;
	uint32_t generation; /* under which it was let out */
	uint32_t credential; /* which it was given */
	const struct result *result;
	/*
	 * A cheap question of control's own, which the limits of an upstream do not mean: its success ends no
	 * window and no burst, and its denial says something only where others were denied or lost before.
	 */
	bool is_probe;
};

/* True when control may have to act: suspended, or a credential was refused. */
bool health_result(struct statefile_health *row, const struct health_subject *subject,
	const struct snapshot_health *rules, const struct health_event *event, int64_t now_ms,
	uint64_t random);
/* An attempt was taken back by HAProxy and nobody saw why. */
void health_suspect(struct statefile_health *row, const struct snapshot_health *rules,
	const uint8_t id[16], uint32_t generation, int64_t now_ms, uint64_t random);

/* No connection came about, and its other ways out are to be taken: this one is left for a moment. */
void health_avoid(
	struct statefile_health *row, uint32_t generation, int64_t now_ms, uint64_t random);
/* The client was told to send its request again, to another account: this one must not get it. */
void health_pass_over(struct statefile_health *row, int64_t now_ms, uint64_t random);
/* What an account was suspected of was its way out. */
void health_excuse(struct statefile_health *row);

/* How full the upstream's own limits are, 0..1. */
double health_used(const struct statefile_health *row, int64_t now_ms);

#endif
