/*
 * The rules of evidence, written a second time in the dumbest way, beside the real core: every key,
 * account and request of a town. An event is applied to both, then they are compared. Events name
 * requests by number and do nothing if they do not fit.
 */
#ifndef RELAY_TESTS_AGENT_RULES_MODEL_H
#define RELAY_TESTS_AGENT_RULES_MODEL_H

#include "town.h"

#define RULES_PATHS 2
#define RULES_REQUESTS 48
#define RULES_FINE (-2)
#define RULES_UNSEEN (-1)

enum rules_event_type {
	RULES_DECIDE,
	RULES_AGAIN,  /* HAProxy took its answer back */
	RULES_ANSWER, /* the head of its answer, or all of it */
	RULES_END,
	RULES_LEAVE, /* its client left */
	RULES_BREAK, /* its stream broke */
	RULES_PROBE,
	RULES_TIME,
	RULES_RESET, /* by the operator */
	RULES_CRASH,
	RULES_EVENT_TYPES,
};

struct rules_event {
	enum rules_event_type type;
	uint32_t n;   /* the request */
	uint32_t key; /* or account, of RULES_PROBE and RULES_RESET */
	uint32_t path;
	enum result_class class; /* RESULT_CLASS_COUNT = unseen */
	bool retry;		 /* the answer tells when to retry */
	int64_t ms;
};

/* What a key met at an account. */
struct rules_met {
	int64_t shun_until_ms, brake_until_ms;
	uint32_t shuns, failures, brakes;
	uint32_t trial; /* request; 0 = none */
};

struct rules_said {
	uint32_t key; /* + 1; 0 = nobody */
	int64_t at_ms;
};

struct rules_account {
	bool wanted;
	int64_t cleared_ms;
	struct rules_said witnesses[TOWN_KEYS]; /* by key */
	struct rules_said served, refused, broken;
};

struct rules_attempt {
	uint32_t account;
	int class; /* RULES_FINE, RULES_UNSEEN, or of enum result_class */
	bool same; /* another account refused likewise */
	bool told; /* it made a witness */
};

struct rules_request {
	uint32_t n; /* 0 = none */
	struct town_request q;
	uint32_t path, attempts;
	struct rules_attempt attempt[STATEFILE_ATTEMPTS];
	int64_t began_ms, again_ms;
};

struct rules_model {
	struct town t;
	struct rules_met met[TOWN_KEYS][TOWN_ACCOUNTS];
	int64_t settled_until_ms[TOWN_KEYS][RULES_PATHS];
	int64_t silent_until_ms[TOWN_KEYS]; /* by key; of all keys of its tenant */
	struct rules_account accounts[TOWN_ACCOUNTS];
	struct rules_request requests[RULES_REQUESTS];
	/* what this event is expected to do to the account's row; then compared */
	bool convicts[TOWN_ACCOUNTS], wakes[TOWN_ACCOUNTS];
	int64_t rests_until_ms[TOWN_ACCOUNTS];
	uint64_t allowed, refused, moved, braked, shunned, acquitted, convicted, rested, cleared;
	char failure[200];
};

void rules_model_init(struct rules_model *m, uint64_t seed);
void rules_model_fini(struct rules_model *m);
/* False on a difference; `failure` has it. */
bool rules_model_apply(struct rules_model *m, const struct rules_event *e);

/* --- the naive part --- */

void rules_expect_enter(struct rules_model *m, const struct rules_request *r);
void rules_expect_leave(struct rules_model *m, const struct rules_request *r);
void rules_expect_success(struct rules_model *m, struct rules_request *r, bool late);
void rules_expect_failure(struct rules_model *m, struct rules_request *r,
	const struct rules_event *e, bool taken_back, bool late);
void rules_expect_break(struct rules_model *m, const struct rules_request *r);
void rules_expect_reset(struct rules_model *m, uint32_t account);
void rules_expect_crash(struct rules_model *m);
bool rules_is_braked(const struct rules_model *m, uint32_t key, uint32_t account, uint32_t n);
bool rules_is_shunned(const struct rules_model *m, uint32_t key, uint32_t account);
uint32_t rules_witnesses(const struct rules_model *m, uint32_t account);

#endif
