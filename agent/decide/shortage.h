/*
 * Why no account of the pool can serve a request now, and when the first of them can
 * (docs/LIMITS.md, "When no account is free"). Pure.
 */
#ifndef RELAY_AGENT_DECIDE_SHORTAGE_H
#define RELAY_AGENT_DECIDE_SHORTAGE_H

#include "common/board.h"
#include "common/refusal.h"

#include <stdbool.h>
#include <stdint.h>

/* Why a member of the pool is out for this request. */
enum shortage_cause {
	SHORTAGE_NONE,	  /* it is not: another one was meant */
	SHORTAGE_PERSON,  /* until somebody acts: suspended, without a credential */
	SHORTAGE_WINDOW,  /* a window of the upstream, its own limit per hour */
	SHORTAGE_LIMIT,	  /* its own limit per minute, its slots, a burst */
	SHORTAGE_CIRCUIT, /* rests after failures, its credential is being renewed */
	SHORTAGE_PROBE,	  /* failed its probe */
	SHORTAGE_BRAKE,	  /* for this key or this request alone */
	SHORTAGE_CAUSE_COUNT
};

/* The cause behind the reason of a candidate. */
enum shortage_cause shortage_cause(enum board_reason reason);

/* All members that were noted. Zeros: none. */
struct shortage {
	uint32_t counts[SHORTAGE_CAUSE_COUNT]; /* by cause */
	enum shortage_cause first; /* the first that ends; NONE: only persons end them */
	int64_t end_ms;		   /* when it ends, Unix time; an estimate unless `exact` */
	bool exact;
	int64_t known_ms; /* the earliest end that is known; 0 = none */
	bool any_time;	  /* a slot may be released at any time */
};

/* `end_ms`: when the cause ends, 0 = unknown. */
void shortage_note(struct shortage *s, enum shortage_cause cause, int64_t end_ms, int64_t now_ms);
/* Whether all members that were noted are at a limit. */
bool shortage_is_limits_only(const struct shortage *s);
/* The refusal for all of them together. */
enum refusal shortage_refusal(const struct shortage *s, int64_t now_ms);

#endif
