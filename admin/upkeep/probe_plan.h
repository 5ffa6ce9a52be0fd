/*
 * Which account is probed next, and why (H5). Pure: time and randomness are arguments; times are Unix
 * milliseconds, as on the board.
 *
 *   urgent   a person asks, or an attempt was taken back and nobody saw why: at once, a few at a time
 *   paced    all others: one after the other with a pause between them, the longest due first
 *
 * A burst's rest and a window of the upstream's own limit are never probed: their ends are exact, and
 * what a probe asks for is outside of that limit, so that its answer would tell nothing.
 */
#ifndef RELAY_ADMIN_UPKEEP_PROBE_PLAN_H
#define RELAY_ADMIN_UPKEEP_PROBE_PLAN_H

#include "common/board.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROBE_URGENT_MAX 5	 /* under way at once */
#define PROBE_PACED_MAX 16	 /* likewise, the urgent ones not counted */
#define PROBE_OFFSET_MS 30000	 /* after the start, at most so long nobody is probed for idling */
#define PROBE_GAP_MS 60000	 /* from one early or idle probe of an account to its next */
#define PROBE_TRIAL_GAP_MS 2000	 /* a trial that did not even get out */
#define PROBE_EARLY_MIN_MS 60000 /* what is left of a cool-down that is worth an early probe */
/* From one suspicion's probe to the next one's; doubles while suspicions go on. */
#define PROBE_SUSPECT_GAP_MS 1000
#define PROBE_SUSPECT_GAP_MAX_MS 60000
#define PROBE_SUSPECT_CALM_MS 120000

/* id, label of the metric */
#define PROBE_REASONS(X)                                                                           \
	X(ASKED, "asked")     /* by a person */                                                    \
	X(SUSPECT, "suspect") /* an attempt was taken back and nobody saw why */                   \
	X(TRIAL, "trial")     /* the circuit's recovery time is over */                            \
	X(EARLY, "early")     /* half of a long cool-down is over */                               \
	X(IDLE, "idle")	      /* not used for long */

enum probe_reason {
#define X(id, label) PROBE_##id,
	PROBE_REASONS(X)
#undef X
		PROBE_REASON_COUNT
};

const char *probe_reason_name(enum probe_reason r);

struct probe_account {
	uint32_t id;
	bool wanted; /* may be probed without being asked for */
	bool under_way;
	enum probe_reason reason; /* of the one under way, or of the last one */
	int64_t asked_ms;	  /* a person waits since then; 0 = none */
	int64_t not_before_ms;	  /* not even urgently, unless a person asks */
	int64_t began_ms;	  /* the last one; 0 = none */
	int64_t known_ms;	  /* since when control knows it */
	int64_t jitter_ms;	  /* on top of the idle time */
	/* what was last seen on the board */
	enum board_standing standing;
	int64_t until_ms, used_ms;
	int64_t suspect_ms;  /* since when an answer is wanted; 0 = it is not */
	int64_t answered_ms; /* the `suspect_ms` that has had its probe */
	int64_t trial_ms;    /* since when it waits for a trial; 0 = it does not */
	int64_t early_ms;    /* when to probe early; 0 = not */
	uint32_t suspicions; /* in a row */
};

struct probe_pace {
	int64_t start_ms; /* nobody is probed for idling before it */
	int64_t idle_ms;  /* 0 = nobody is */
	int64_t pause_ms;
	int64_t last_ms; /* when a paced one last began */
};

/* Takes what the board says. `row` NULL: the agent knows nothing of it yet. */
void probe_observe(struct probe_account *a, const struct board_account *row, int64_t now_ms);

/* False: none is due. */
bool probe_next(struct probe_account *const *accounts, size_t count, const struct probe_pace *pace,
	int64_t now_ms, size_t *ret_at, enum probe_reason *ret_reason);

void probe_begin(struct probe_account *a, struct probe_pace *pace, enum probe_reason reason,
	int64_t now_ms, uint64_t random);
/* `heard`: an answer of the upstream came, or its silence did. */
void probe_end(struct probe_account *a, bool heard);

#endif
