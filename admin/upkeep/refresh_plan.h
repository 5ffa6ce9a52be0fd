/*
 * When a credential is renewed, and what follows from each outcome of a refresh (DESIGN.md
 * "Credentials"). Pure: times are arguments.
 */
#ifndef RELAY_ADMIN_UPKEEP_REFRESH_PLAN_H
#define RELAY_ADMIN_UPKEEP_REFRESH_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#define REFRESH_NEVER INT64_MAX
#define REFRESH_REPEATS_PER_MINUTE 60 /* so many a minute apart, then REFRESH_REPEAT_MAX_MS */
#define REFRESH_REPEAT_MAX_MS ((int64_t)15 * 60 * 1000)
#define REFRESH_BACKOFF_MS ((int64_t)5 * 1000)
#define REFRESH_BACKOFF_MAX_MS ((int64_t)5 * 60 * 1000)
#define REFRESH_NOTICE_AFTER 5 /* failures in a row */

/* What is known of one sending of a refresh token: id, label of the metric, text */
#define REFRESH_OUTCOMES(X)                                                                        \
	X(GRANTED, "success", "renewed")                                                           \
	/* the token may be used up */                                                             \
	X(LOST, "unknown", "its token host gave no usable answer; it is asked again")              \
	/* certainly nothing reached the token host */                                             \
	X(NOT_SENT, "not_sent", "its token host cannot be reached; it is tried again")             \
	/* the token is as good as before */                                                       \
	X(REFUSED, "refused", "its token host refused the request; it is asked again")             \
	/* the token is used up */                                                                 \
	X(REJECTED, "rejected", "its refresh token is refused: it needs a login")

enum refresh_outcome {
#define X(id, label, text) REFRESH_##id,
	REFRESH_OUTCOMES(X)
#undef X
		REFRESH_OUTCOME_COUNT
};

const char *refresh_outcome_name(enum refresh_outcome o);
const char *refresh_outcome_text(enum refresh_outcome o);

struct refresh_state {
	uint32_t sends;	   /* of this token without a known outcome, this one included */
	uint32_t failures; /* outcomes in a row that were no success, this one not included */
	uint32_t retries;  /* those of them that ended in REFRESH_RETRY since the last REPEAT */
	bool superseded;   /* the account has another refresh token by now */
};

enum refresh_step {
	REFRESH_COMMIT, /* write the tokens, clear the intent */
	REFRESH_FORGET, /* clear the intent: it is about a token of the past */
	REFRESH_REPEAT, /* keep the intent; the same token goes again after the pause */
	REFRESH_RETRY,	/* take this sending off the intent; again after the pause */
	REFRESH_LOGIN,	/* the account needs a login: never again with this token */
};

struct refresh_action {
	enum refresh_step step;
	int64_t pause_ms;
	bool notice; /* somebody should know that it goes on failing */
};

struct refresh_action refresh_next(const struct refresh_state *s, enum refresh_outcome o);

/* How long after a send of unknown outcome the same token goes again: 1, 3, 8 s, a minute, ... */
int64_t refresh_repeat_pause_ms(uint32_t sends);

/*
 * When an access token is renewed: at 60 to 75 % of its lifetime, at a point that account and
 * generation choose, so that equal ones do not come at once. Unix time; REFRESH_NEVER without expiry.
 */
int64_t refresh_due_ms(int64_t updated_ms, int64_t expires_ms, int64_t account, int64_t generation);

#endif
