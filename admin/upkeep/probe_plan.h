/*
 * The schedule of probes: which account is next, and for which reason. Pure: time and randomness
 * are arguments. Times are Unix milliseconds, as on the board.
 *
 *   urgent   A command requested it, or HAProxy took an answer back, so its status is unknown.
 *            Immediate, a few at once.
 *   paced    All others: one at a time with a pause between two, earliest due time first.
 *
 * Accounts in a burst cool-down or at an upstream limit window are never probed: the end is known
 * exactly, and free probes do not count against the limit, so they would show nothing.
 */
#ifndef RELAY_ADMIN_UPKEEP_PROBE_PLAN_H
#define RELAY_ADMIN_UPKEEP_PROBE_PLAN_H

#include "common/board.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROBE_URGENT_MAX 5	 /* concurrent urgent probes */
#define PROBE_PACED_MAX 16	 /* concurrent paced probes */
#define PROBE_OFFSET_MS 30000	 /* longest delay of idle probes after the start */
#define PROBE_GAP_MS 60000	 /* between two early or idle probes of an account */
#define PROBE_TRIAL_GAP_MS 2000	 /* after a trial that was not sent */
#define PROBE_EARLY_MIN_MS 60000 /* shorter remaining cool-downs get no early probe */
/* Between two probes for suspicion; doubles while suspicions continue. */
#define PROBE_SUSPECT_GAP_MS 1000
#define PROBE_SUSPECT_GAP_MAX_MS 60000
#define PROBE_SUSPECT_CALM_MS 120000

/* id, metric label */
#define PROBE_REASONS(X)                                                                           \
	X(ASKED, "asked")     /* by a command */                                                   \
	X(SUSPECT, "suspect") /* HAProxy took an answer back; status unknown */                    \
	X(TRIAL, "trial")     /* the circuit breaker's recovery time is over */                    \
	X(EARLY, "early")     /* half of a long cool-down is over */                               \
	X(IDLE, "idle")	      /* not used for a long time */

enum probe_reason {
#define X(id, label) PROBE_##id,
	PROBE_REASONS(X)
#undef X
		PROBE_REASON_COUNT
};

const char *probe_reason_name(enum probe_reason r);

struct probe_account {
	uint32_t id;
	bool wanted; /* probes without a command are allowed */
	bool under_way;
	enum probe_reason reason; /* of the current probe, or of the last one */
	int64_t asked_ms;	  /* a command waits since then; 0 = none */
	int64_t not_before_ms;	  /* earliest next probe, except by command */
	int64_t began_ms;	  /* last probe; 0 = none */
	int64_t known_ms;	  /* first seen by control */
	int64_t jitter_ms;	  /* added to the idle time */
	/* from the last look at the board */
	enum board_standing standing;
	int64_t until_ms, used_ms;
	int64_t suspect_ms;  /* a probe is wanted since then; 0 = not wanted */
	int64_t answered_ms; /* the `suspect_ms` that already had its probe */
	int64_t trial_ms;    /* half-open without a trial since then; 0 = not so */
	int64_t early_ms;    /* time of the early probe; 0 = none */
	uint32_t suspicions; /* in a row */
};

struct probe_pace {
	int64_t start_ms; /* no idle probe before this time */
	int64_t idle_ms;  /* 0 = no idle probes */
	int64_t pause_ms;
	int64_t last_ms; /* start of the last paced probe */
};

/* Takes the account's state from the board. `row` NULL: the agent has no state yet. */
void probe_observe(struct probe_account *a, const struct board_account *row, int64_t now_ms);

/* False: no probe is due. */
bool probe_next(struct probe_account *const *accounts, size_t count, const struct probe_pace *pace,
	int64_t now_ms, size_t *ret_at, enum probe_reason *ret_reason);

void probe_begin(struct probe_account *a, struct probe_pace *pace, enum probe_reason reason,
	int64_t now_ms, uint64_t random);
/* `heard`: the upstream answered, or timed out. */
void probe_end(struct probe_account *a, bool heard);

#endif
