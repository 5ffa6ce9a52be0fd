/*
 * The schedule of probes: which account is next, and for which reason. Pure: time and randomness
 * are arguments. Times are Unix milliseconds, as on the board.
 *
 *   asked    A command requested it: at once.
 *   urgent   An account that fails or rests: at once, or when its time has come.
 *   paced    An account that is not used, or a long window: with a pause between two.
 *
 * Each lane has its own places, and the probe that was due first takes the next one. So no lane and no
 * account starves another, and an account has at most one probe at a time.
 *
 * A failure of a client's request may be the request's own fault. So a probe is wanted at once, and while
 * probes succeed although clients fail, the pauses double from PROBE_WANTED_GAP_MS to
 * PROBE_WANTED_GAP_MAX_MS. A rest is probed at its half, at half of what is left, and so on, and once more
 * right before its end: an account that works again comes back at once, one that does not stays out.
 *
 * Accounts in a burst cool-down or in a window of the upstream get no probe of their health: the end is
 * known, and a free request shows nothing while a limit is reached. But the end of a long window is a
 * prediction, so a usage page (usage_page.h) is asked again and again until the window ends.
 */
#ifndef RELAY_ADMIN_UPKEEP_PROBE_PLAN_H
#define RELAY_ADMIN_UPKEEP_PROBE_PLAN_H

#include "common/board.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Concurrent probes of each lane; together fewer than OUTBOUND_CALLS_MAX. */
#define PROBE_ASKED_MAX 8
#define PROBE_URGENT_MAX 16
#define PROBE_PACED_MAX 8
#define PROBE_OFFSET_MS 30000	/* longest delay of idle probes after the start */
#define PROBE_SPREAD_MS 10000	/* the same of urgent ones that wait since before the start */
#define PROBE_GAP_MS 60000	/* between two idle probes of an account */
#define PROBE_TRIAL_GAP_MS 2000 /* after a trial that was not sent */
/* Between two early probes: the least, during a short and during a long rest. */
#define PROBE_EARLY_GAP_MS 5000
#define PROBE_EARLY_GAP_LONG_MS 60000
#define PROBE_EARLY_LONG_MS 120000 /* a rest that lasts longer is a long one */
#define PROBE_EARLY_LAST_MS 2000   /* the last early probe is this long before the end */
#define PROBE_PAGE_GAP_MS 600000   /* between two looks at a usage page during a window */
#define PROBE_WANTED_GAP_MS 2000
#define PROBE_WANTED_GAP_MAX_MS 60000
#define PROBE_WANTED_CALM_MS                                                                       \
	120000 /* after this time without a wanted probe the pauses are short again */

/* id, metric label */
#define PROBE_REASONS(X)                                                                           \
	X(ASKED, "asked")     /* by a command */                                                   \
	X(SUSPECT, "suspect") /* requests of clients failed there */                               \
	X(TRIAL, "trial")     /* its circuit is half-open */                                       \
	X(EARLY, "early")     /* it rests after a failed probe */                                  \
	X(WINDOW, "window")   /* the usage page may end a long window */                           \
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
	bool has_page;		  /* its probe is the usage page */
	enum probe_reason reason; /* of the current probe, or of the last one */
	int64_t asked_ms;	  /* a command waits since then; 0 = none */
	int64_t not_before_ms;	  /* earliest next probe, except by command */
	int64_t began_ms;	  /* last probe; 0 = none */
	int64_t known_ms;	  /* first seen by control */
	int64_t jitter_ms;	  /* added to the idle time */
	/* from the last look at the board */
	enum board_standing standing;
	uint64_t epoch; /* of the operator's last reset */
	int64_t until_ms, used_ms;
	bool probe_failed;   /* the last probe, so an open circuit may be probed before its end */
	int64_t wanted_ms;   /* a probe is wanted since then; 0 = not wanted */
	int64_t answered_ms; /* the `wanted_ms` that already had its probe */
	int64_t pending_ms;  /* since when the next wanted probe is due; 0 = it is not */
	int64_t failing_ms;  /* begin of the last probe that was wanted */
	int64_t trial_ms;    /* half-open without a trial since then; 0 = not so */
	int64_t early_ms;    /* time of the next early probe; 0 = none */
	int64_t early_gap_ms;
	int64_t window_ms;     /* end of the upstream's limit that is reached; 0 = none is */
	int64_t page_ms;       /* time of the next look at the usage page; 0 = none */
	uint32_t wanted_count; /* wanted probes in a row that found nothing */
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
enum probe_outcome {
	PROBE_UNSENT, /* it did not reach the upstream */
	PROBE_FAILED, /* no answer, or one that counts against the account */
	PROBE_PASSED,
};

void probe_end(struct probe_account *a, enum probe_outcome outcome);

/* The next probe by the present plan. False: none is planned. */
bool probe_outlook(const struct probe_account *a, const struct probe_pace *pace,
	int64_t *ret_due_ms, enum probe_reason *ret_reason);

#endif
