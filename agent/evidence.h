/*
 * Evidence: whom a failure is charged to (docs/HEALTH.md, "Evidence"). Pure: time is an argument. In
 * the agent's memory: a new agent begins without it.
 *
 *   rows      what one requester, a key family, met at one account: a shun, which prefers other
 *             accounts, and a brake, which keeps its requests away. Also requests that are not
 *             failed over, because two accounts refused them alike.
 *   accounts  what several requesters met at an account: witnesses, refusals with Retry-After,
 *             broken streams; and whether control should probe it.
 *
 * The rows of a tenant are in an eighth of the buckets, so no tenant fills the table.
 */
#ifndef RELAY_AGENT_EVIDENCE_H
#define RELAY_AGENT_EVIDENCE_H

#include "common/board.h"
#include "common/slice.h"

#include <stdbool.h>
#include <stdint.h>

#define EVIDENCE_ROWS 16384
#define EVIDENCE_WAYS 8 /* rows of a bucket */
#define EVIDENCE_BUCKETS (EVIDENCE_ROWS / EVIDENCE_WAYS)
#define EVIDENCE_SHARE (EVIDENCE_BUCKETS / 8) /* buckets of one tenant */

#define EVIDENCE_SHUN_MIN_MS 5000
#define EVIDENCE_SHUN_MAX_MS 300000
#define EVIDENCE_BRAKE_MAX_MS 30000
#define EVIDENCE_BRAKE_ALONE_MS 10000 /* in a pool of one */
#define EVIDENCE_TRIAL_MS 30000	      /* a trial without a result ends after this */
#define EVIDENCE_SETTLED_MS 30000
#define EVIDENCE_WITNESS_MS 60000 /* how long a testimony counts */
#define EVIDENCE_WITNESSES 2	  /* that take an account out */
#define EVIDENCE_BROKEN_MS 10000  /* between broken streams that belong together */
#define EVIDENCE_REPORT_MS 5000	  /* the longest rest on one key's report */
#define EVIDENCE_RENEWAL_MS                                                                        \
	600000 /* between renewals that clients' 401s ask for while others are served */
#define EVIDENCE_SILENCE_MS 3600000 /* until the report of a tenant counts again in a shared pool */

struct evidence_row {
	uint32_t tenant;   /* 0 = free */
	uint32_t family;   /* 0: the tenant's report was used; silence until `until_ms` */
	uint32_t account;  /* 0: a request that is not failed over */
	uint32_t detail;   /* of an account: the trial, by its id; else the request's hash */
	int64_t until_ms;  /* Unix time: end of the shun, of the silence, of the other row */
	uint32_t brake_ms; /* low bits of the Unix time at which the brake or its trial ends */
	uint8_t shun_step;
	uint8_t failures;   /* in a row, of the classes that brake */
	uint8_t brake_step; /* 0 = no brake */
	uint8_t class;	    /* enum board_evidence: of the last failure */
};

/* A key family and its tenant. */
struct evidence_requester {
	uint32_t tenant, family;
};

/* What a requester said about an account. */
struct evidence_report {
	struct evidence_requester who;
	int64_t at_ms; /* Unix time; 0 = none */
};

struct evidence_account {
	uint32_t account;     /* 0 = unused */
	uint32_t epoch;	      /* of the operator's last reset */
	uint8_t wanted_class; /* enum board_evidence: why a probe is wanted */
	uint8_t probe_class;  /* enum board_evidence: of the last probe */
	uint8_t pad[2];
	uint32_t brakes;	       /* in force at the last count */
	int64_t wanted_ms;	       /* a probe is wanted since then; 0 = not wanted */
	int64_t probe_ms;	       /* of the last probe's result; 0 = none */
	int64_t cleared_ms;	       /* of the last success of anybody */
	int64_t renewal_ms;	       /* a client's 401 asked for a new credential; 0 = never */
	struct evidence_report served; /* that success */
	struct evidence_report witnesses[EVIDENCE_WITNESSES];
	struct evidence_report refused; /* by 429 with Retry-After */
	struct evidence_report broken;	/* a stream */
};

struct evidence {
	struct evidence_row *rows;
	struct evidence_account *accounts; /* beside the rows of the health table */
	uint32_t account_count;
	uint32_t used; /* rows */
};

/* `healths`: rows of the health table. 0 or -ENOMEM. */
int evidence_init(struct evidence *e, uint32_t healths);
void evidence_fini(struct evidence *e);

/* The wall clock has moved by `step_ms`: all times move with it. */
void evidence_shift(struct evidence *e, int64_t step_ms, int64_t now_ms);

/* --- one requester at one account --- */

/* NULL: it met nothing there. */
const struct evidence_row *evidence_find(
	const struct evidence *e, struct evidence_requester who, uint32_t account);
/* Rows may be NULL. */
bool evidence_shuns(const struct evidence_row *row, int64_t now_ms);
/* End of the brake for request `id`, Unix time; 0 = it may go. The trial itself may go. */
int64_t evidence_brake_end(const struct evidence_row *row, const uint8_t id[16], int64_t now_ms);
/* The next request is the trial after a brake. */
bool evidence_is_trial(const struct evidence_row *row);

/* Request `id` is sent there: the trial after a brake, if there was one. */
void evidence_enter(struct evidence *e, struct evidence_requester who, uint32_t account,
	const uint8_t id[16], int64_t now_ms);
/* It ended without a result. */
void evidence_leave(struct evidence *e, struct evidence_requester who, uint32_t account,
	const uint8_t id[16], int64_t now_ms);
/* A request failed over from there. */
void evidence_shun(struct evidence *e, struct evidence_requester who, uint32_t account,
	enum board_evidence class, int64_t now_ms);

struct evidence_brake {
	uint32_t threshold; /* failures in a row; 0 = never */
	int64_t max_ms;
};
/* Request `id` failed there, with a class that brakes. */
void evidence_fail(struct evidence *e, struct evidence_requester who, uint32_t account,
	const uint8_t id[16], enum board_evidence class, struct evidence_brake brake,
	int64_t now_ms);
/* Takes back what one failed request did to its requester. `failed`: its class brakes. */
void evidence_acquit(struct evidence *e, struct evidence_requester who, uint32_t account,
	bool failed, int64_t now_ms);
void evidence_succeed(struct evidence *e, struct evidence_requester who, uint32_t account);

/* --- requests that are not failed over --- */

uint32_t evidence_request(struct slice method, struct slice path);
bool evidence_is_settled(
	const struct evidence *e, struct evidence_requester who, uint32_t request, int64_t now_ms);
void evidence_settle(
	struct evidence *e, struct evidence_requester who, uint32_t request, int64_t now_ms);
void evidence_unsettle(struct evidence *e, struct evidence_requester who, uint32_t request);

/* --- several requesters at one account --- */

/*
 * The memory of the account with this row of the health table. Cleared for another account, and for
 * another epoch together with what all keys met there.
 */
struct evidence_account *evidence_account(
	struct evidence *e, uint32_t row, uint32_t account, uint32_t epoch);
void evidence_want(struct evidence_account *a, enum board_evidence class, int64_t now_ms);
/* A request succeeded there. */
void evidence_clear(struct evidence_account *a, struct evidence_requester who, int64_t now_ms);
/* A probe succeeded. */
void evidence_clear_all(struct evidence_account *a, int64_t now_ms);
/* True: this testimony is the last one that was needed. `shared`: of two tenants. */
bool evidence_testify(
	struct evidence_account *a, struct evidence_requester who, bool shared, int64_t now_ms);
uint32_t evidence_witnesses(const struct evidence_account *a, int64_t now_ms);
/*
 * A 429 shows that the account rests until `until_ms`: how long it does on the report of this
 * requester; 0 = not at all.
 */
int64_t evidence_rest(struct evidence *e, struct evidence_account *a, struct evidence_requester who,
	bool shared, int64_t until_ms, int64_t now_ms);
/* True: a client's 401 may ask for a new credential. Not often while others are served. */
bool evidence_renew(struct evidence_account *a, int64_t now_ms);
/* True: streams of different requesters broke, one soon after the other. */
bool evidence_break(struct evidence_account *a, struct evidence_requester who, int64_t now_ms);
/* Counts the brakes in force into the accounts. */
typedef struct evidence_account *evidence_find_fn(void *context, uint32_t account);
void evidence_count_brakes(
	struct evidence *e, evidence_find_fn *find, void *context, int64_t now_ms);

#endif
