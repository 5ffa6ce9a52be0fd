/*
 * When a credential is renewed, and the next step after each outcome of a refresh. Pure: times are
 * arguments. See docs/DESIGN.md.
 */
#ifndef RELAY_ADMIN_UPKEEP_REFRESH_PLAN_H
#define RELAY_ADMIN_UPKEEP_REFRESH_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#define REFRESH_REPEATS_PER_MINUTE 60 /* repetitions a minute apart; then REFRESH_REPEAT_MAX_MS */
#define REFRESH_REPEAT_MAX_MS ((int64_t)15 * 60 * 1000)
#define REFRESH_BACKOFF_MS ((int64_t)5 * 1000)
#define REFRESH_BACKOFF_MAX_MS ((int64_t)5 * 60 * 1000)
#define REFRESH_NOTICE_AFTER 5 /* failures in a row */
/*
 * Refusals that would be the same tomorrow end in REFRESH_LOGIN after this time. Between two of them
 * at most REFRESH_REFUSAL_STEP_MS counts, so it takes at least 73.
 */
#define REFRESH_ENDLESS_MS ((int64_t)24 * 3600 * 1000)
#define REFRESH_REFUSAL_STEP_MS ((int64_t)20 * 60 * 1000)
/*
 * The lifetime of an access token that tells none. An hour is what most token hosts give. If the token
 * lasts longer, a refresh too many does no harm; if it ends earlier, the upstream's 401 asks for one.
 */
#define REFRESH_ASSUMED_LIFETIME_MS ((int64_t)3600 * 1000)
/* After a grant without an access token of use, doubling */
#define REFRESH_KEPT_PAUSE_MS ((int64_t)1000)
#define REFRESH_EXPIRED_PAUSE_MS ((int64_t)60 * 1000)
#define REFRESH_USELESS_MAX_MS ((int64_t)15 * 60 * 1000)

/* Outcome of one send of a refresh token: id, metric label, text */
#define REFRESH_OUTCOMES(X)                                                                        \
	X(GRANTED, "success", "renewed")                                                           \
	/* a new refresh token and no access token of use */                                       \
	X(KEPT, "no_access_token",                                                                 \
		"the reply has no usable access token; its refresh token is kept and used next")   \
	/* the token may be used up */                                                             \
	X(LOST, "unknown", "the token host gave no usable reply; the refresh is repeated")         \
	/* the token host certainly got nothing */                                                 \
	X(NOT_SENT, "not_sent", "the token host cannot be reached; the refresh is retried")        \
	/* the token is still valid */                                                             \
	X(REFUSED, "refused", "the token host rejected the request; the refresh is retried")       \
	/* the token is used up */                                                                 \
	X(REJECTED, "rejected", "the refresh token is rejected: the account needs a login")

enum refresh_outcome {
#define X(id, label, text) REFRESH_##id,
	REFRESH_OUTCOMES(X)
#undef X
		REFRESH_OUTCOME_COUNT
};

const char *refresh_outcome_name(enum refresh_outcome o);
const char *refresh_outcome_text(enum refresh_outcome o);

struct refresh_state {
	uint32_t sends;	    /* of this token with unknown outcome, this one included */
	uint32_t failures;  /* failed outcomes in a row before this one */
	uint32_t retries;   /* those that ended in REFRESH_RETRY since the last REFRESH_REPEAT */
	uint32_t useless;   /* grants in a row, before this one, without an access token of use */
	int64_t refused_ms; /* for how long the token host has refused the same way */
	bool superseded;    /* the account has a newer refresh token */
};

enum refresh_step {
	REFRESH_COMMIT, /* store the tokens, clear the intent */
	REFRESH_FORGET, /* clear the intent: its token was replaced */
	REFRESH_REPEAT, /* keep the intent; send the same token again after the pause */
	REFRESH_RETRY,	/* remove this send from the intent; try again after the pause */
	REFRESH_LOGIN,	/* the account needs a login: never use this token again */
};

struct refresh_action {
	enum refresh_step step;
	int64_t pause_ms;
	bool notice; /* the failures deserve a notice */
};

struct refresh_action refresh_next(const struct refresh_state *s, enum refresh_outcome o);

/* Pause after a grant without an access token of use, when `useless` others came before it. */
int64_t refresh_useless_pause_ms(int64_t first_ms, uint32_t useless);

/* Pause before the same token is sent again after an unknown outcome: 1, 3, 8 s, a minute, ... */
int64_t refresh_repeat_pause_ms(uint32_t sends);

/*
 * Renewal time of an access token: at 60 to 75 % of its lifetime. Account and generation choose the
 * point, so that equal tokens are spread. Unix time. `expires_ms` 0: unknown.
 */
int64_t refresh_due_ms(int64_t updated_ms, int64_t expires_ms, int64_t account, int64_t generation);

#endif
