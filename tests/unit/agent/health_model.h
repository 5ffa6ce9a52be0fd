/*
 * A naive model of health beside real rows: every request that was sent, and the state of each
 * subject. An event is applied to both, then they are compared, and invariants are checked. Events
 * name requests by number and do nothing if they do not fit, so that any part of a list of events
 * is a list of events too.
 */
#ifndef RELAY_TESTS_AGENT_HEALTH_MODEL_H
#define RELAY_TESTS_AGENT_HEALTH_MODEL_H

#include "agent/health.h"

#define HEALTHS_SUBJECTS 4
#define HEALTHS_REQUESTS 128
#define HEALTHS_BACK_MS 900 /* most that the clock is set back */
#define HEALTHS_WINDOW_MS (8 * 24 * 3600 * (int64_t)1000)
#define HEALTHS_RETRY_MS 600000 /* the longest Retry-After */

enum healths_event_type {
	HEALTHS_ASK,	 /* a new request; `ask` is its kind */
	HEALTHS_ASK_TOO, /* the same question again */
	HEALTHS_RESULT,	 /* the first result, a repeated one, or a late one */
	HEALTHS_LEAVE,
	HEALTHS_AVOID,
	HEALTHS_REST,
	HEALTHS_WAKE,
	HEALTHS_CONVICT,
	HEALTHS_TIME,
	HEALTHS_EPOCH,
	HEALTHS_CREDENTIAL,
	HEALTHS_CRASH,
	HEALTHS_EVENT_TYPES,
};

enum healths_ask { HEALTHS_REQUEST, HEALTHS_PROBE, HEALTHS_ASKS };

struct healths_event {
	enum healths_event_type type;
	uint32_t n; /* the request */
	uint32_t subject;
	enum healths_ask ask;
	enum result_class class;
	int64_t ms; /* of the clock; of a result: until when, from now */
	uint32_t random;
};

struct healths_request {
	uint32_t n; /* 0 = none */
	uint32_t subject;
	uint32_t generation, credential; /* its mark */
	uint64_t era;
	bool is_probe;
};

struct healths_trial {
	uint32_t n;
	int64_t until_ms;
};

struct healths_subject {
	struct health_subject told; /* from the snapshot */
	uint64_t era;		    /* changes whenever something changes what may be sent */
	enum circuit circuit;
	int64_t open_until_ms;
	struct healths_trial trials[STATEFILE_PERMITS];
	uint32_t failures, rungs, suspects;
	bool suspended, refused_once, ignored;
	enum result_class why; /* end of the cool-down */
	int64_t cool_until_ms, window_until_ms, used_until_ms;
	uint16_t used;
	uint32_t refused; /* credential */
	int64_t success_ms;
};

struct healths_model {
	struct statefile_health rows[HEALTHS_SUBJECTS];
	struct healths healths;
	struct snapshot_options rules;
	struct healths_subject subjects[HEALTHS_SUBJECTS];
	struct healths_request requests[HEALTHS_REQUESTS];
	int64_t now_ms, latest_ms;
	/* events that happened, to know that the test covers them */
	uint64_t let_out, refused, late, opened, closed, trials, suspended, wanted;
	char failure[200]; /* empty = none */
};

void healths_model_init(struct healths_model *m, uint64_t seed);
void healths_model_fini(struct healths_model *m);
/* False on a difference; `failure` has it. */
bool healths_model_apply(struct healths_model *m, const struct healths_event *e);
/* Long after the last failure every subject is usable again except the suspended ones. */
bool healths_model_finish(struct healths_model *m);
struct health_look healths_model_look(const struct healths_model *m, uint32_t subject);

bool healths_fail(struct healths_model *m, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* --- the naive part --- */

struct health_look healths_expect_look(const struct healths_model *m, uint32_t subject);
void healths_expect_enter(struct healths_model *m, uint32_t subject, uint32_t n);
void healths_expect_leave(struct healths_subject *s, uint32_t n);
/* Whether control is expected to be wanted. */
bool healths_expect_result(
	struct healths_model *m, const struct healths_request *q, const struct healths_event *e);
void healths_expect_avoid(
	struct healths_model *m, const struct healths_request *q, const struct healths_event *e);
void healths_expect_rest(struct healths_subject *s, int64_t until_ms);
void healths_expect_wake(struct healths_subject *s);
void healths_expect_convict(struct healths_model *m, struct healths_subject *s);
void healths_expect_epoch(struct healths_subject *s);

#endif
