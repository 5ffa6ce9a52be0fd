/*
 * A naive model of a limits_world beside an agent's real tables: HAProxy's requests in progress,
 * leases, and the requests admitted in each window. An event is applied to both, then they are
 * compared. Events name requests by number and do nothing if they do not fit, so that any part of a
 * list of events is a list of events too.
 */
#ifndef RELAY_TESTS_AGENT_LIMITS_MODEL_H
#define RELAY_TESTS_AGENT_LIMITS_MODEL_H

#include "agent/healer.h"
#include "limits_world.h"
#include "tables.h"

#define LIMITS_LEASES 64
#define LIMITS_BINDINGS 8192 /* enough that no bucket overflows */
#define LIMITS_REQUESTS 1024
#define LIMITS_CONVERSATIONS 8 /* names; 0 = none */
#define LIMITS_SUBJECTS (LIMITS_TENANTS + LIMITS_KEYS + LIMITS_ACCOUNTS)
#define LIMITS_BACK_MS 900 /* most that the clock is set back */

enum limits_event_type {
	LIMITS_DECIDE,
	LIMITS_AGAIN,	 /* HAProxy asks a second time, with the generation in `gen` */
	LIMITS_FAILED,	 /* its attempt failed: HAProxy asks for another account */
	LIMITS_FAILED_2, /* the same; HAProxy may have asked before */
	LIMITS_ANSWERED, /* its account answered 2xx */
	LIMITS_FOREIGN,	 /* its account could not read the conversation's state */
	LIMITS_END,	 /* with a server */
	LIMITS_UNSENT,
	LIMITS_LOST, /* an end whose record is lost or comes late */
	LIMITS_LATE, /* that record, or a repeated one */
	LIMITS_TIME,
	LIMITS_STEP, /* the clock is set, and no time passes */
	LIMITS_HEAL,
	LIMITS_EXPIRE,
	LIMITS_CRASH,
	LIMITS_EVENT_TYPES,
};

struct limits_event {
	enum limits_event_type type;
	uint32_t n; /* the request */
	uint32_t key, conversation, hard, gen;
	int64_t ms;
};

struct limits_request {
	uint32_t n;
	bool leased, at_haproxy;
	/*
	 * HAProxy has it, but its lease ended by age, or with another request's late record after a
	 * healing
	 */
	bool uncovered;
	struct limits_event asked;
	uint32_t attempt;		    /* 1 = first */
	uint32_t tried[STATEFILE_ATTEMPTS]; /* account ids of earlier attempts */
	bool alt;	  /* HAProxy was told that another account could serve the request */
	bool kept;	  /* its conversation stays with its account */
	bool unsettled;	  /* its account's answer may bind the conversation */
	uint32_t from;	  /* account id that the conversation was bound to; 0 = none */
	int64_t again_ms; /* start of this attempt; 0 = the first */
	uint32_t tenant, account; /* indexes; of the last admission */
	int64_t decided_ms;
	int64_t counted_ms,
		attempted_ms; /* as the clock said then: of the request, of this attempt */
	uint32_t live;	      /* place in `live` + 1 */
};

#define LIMITS_MEMORY 3 /* windows of a kind that are remembered, at most */

struct limits_subject {
	enum usage_kind kind;
	uint32_t id;
	uint32_t limits[USAGE_WINDOW_COUNT]; /* 0 = none */
	uint32_t slots;
	bool shadow;
	bool counted; /* else its requests have no row, because it has no limits */
	uint32_t held;
	struct statefile_window windows[USAGE_WINDOW_COUNT][LIMITS_MEMORY]; /* last counted first */
};

struct limits_binding {
	uint32_t account; /* id, 0 = none */
	int64_t used_ms;
	bool answered, pinned;
	uint32_t before; /* account id, 0 = none */
};

struct limits_model {
	struct limits_world world;
	struct tables tables;
	struct healer healer;
	struct statefile_workers workers;
	int64_t now_ms, latest_ms;
	int64_t wrong_ms;	   /* all steps together */
	struct window_clock clock; /* of now_ms */
	struct limits_request requests[LIMITS_REQUESTS];
	uint32_t live[LIMITS_REQUESTS]; /* places of requests that have a lease or are at HAProxy */
	uint32_t live_count;
	uint32_t leased;
	struct limits_subject subjects[LIMITS_SUBJECTS];
	struct limits_binding bindings[LIMITS_TENANTS][LIMITS_POOLS][LIMITS_CONVERSATIONS];
	struct {
		uint32_t last, count;
	} consecutive[LIMITS_POOLS];
	/* events that happened, to know that the test covers them */
	uint64_t admitted, repeated, refused, full, healed, given_back, moved, kept;
	uint64_t failed_over, failed_unsent, failed_again, given_up, spent;
	uint64_t rebound, pinned, stuck;
	char failure[200]; /* empty = none */
};

void limits_model_init(struct limits_model *m, uint64_t seed);
void limits_model_fini(struct limits_model *m);
/* False when agent and model differ; `failure` has the difference. */
bool limits_model_apply(struct limits_model *m, const struct limits_event *e);
/* Compares everything. */
bool limits_model_check(struct limits_model *m);
/* Ends all requests and reads the gauge; then nothing may be held. */
bool limits_model_finish(struct limits_model *m);

/* --- shared by the model's files --- */

bool limits_fail(struct limits_model *m, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Applies a release of the agent to the model. */
void limits_release(struct limits_model *m, struct limits_request *q, bool never_sent);
void limits_settle(struct limits_model *m, struct limits_request *q);
struct limits_subject *limits_subject(struct limits_model *m, enum usage_kind kind, uint32_t index);
/* The subjects of a request: tenant, key family, account. */
void limits_subjects(
	struct limits_model *m, const struct limits_request *q, struct limits_subject *ret[3]);
uint32_t limits_count(const struct limits_model *m, struct limits_subject *s, enum usage_window w);
/* NULL: the window is not remembered. */
struct statefile_window *limits_window(
	struct limits_subject *s, enum usage_window w, uint32_t number);
/* It is the one counted last now. */
struct statefile_window *limits_window_enter(
	struct limits_subject *s, enum usage_window w, uint32_t number);
uint32_t limits_newest_month(const struct limits_subject *s);
bool limits_check_subject(struct limits_model *m, struct limits_subject *s);
/* Request and question with this number. */
bool limits_decide(struct limits_model *m, struct limits_request *q, uint32_t gen);
/* Chooses another account for it, or none. */
bool limits_fail_over(
	struct limits_model *m, struct limits_request *q, uint32_t gen, bool repeated);
/* Whether a tenant or a key may find no row; accounts and pools have some more. */
bool limits_is_full(const struct limits_model *m);
/* An answer of the request's account: it binds or pins the conversation, or neither. */
bool limits_answer(struct limits_model *m, struct limits_request *q);
bool limits_be_foreign(struct limits_model *m, struct limits_request *q);
bool limits_heal(struct limits_model *m);
/*
 * After a late record: if there are fewer leases than requests, the oldest without a lease is
 * uncovered.
 */
void limits_uncover(struct limits_model *m, const struct limits_request *of);
bool limits_expire(struct limits_model *m);
void limits_id(uint32_t n, uint8_t id[16]);

#endif
