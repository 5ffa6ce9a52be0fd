/*
 * One call of the admin API for its handler: the row that was matched, a body that has passed the
 * row's check, and the answer. Handlers return 0 or a negative errno code with a text in `error`;
 * the code becomes the status: -EINVAL 400, -ENOENT 404, -EEXIST and -EBUSY 409, others 500 or
 * 503. A handler of a row that `changes` runs inside a transaction of the store. After it, the
 * transaction is committed and published, or rolled back.
 */
#ifndef RELAY_ADMIN_API_REQUEST_H
#define RELAY_ADMIN_API_REQUEST_H

#include "admin/command/command.h"
#include "admin/control.h"
#include "common/buffer.h"

#include <sys/types.h>

#define REQUEST_CHANGED_SIZE 2048

struct change_outcome;
struct deferred;
struct request;

/*
 * What is left of a change of many parts, or of a long list of `items`, set by its handler: each step makes some of
 * it and returns 1 while there is more, else as a handler. The steps may be done between other work (bulk.h,
 * server_stream.h). A change may be given up and begun again by another call of the handler.
 */
struct request_rest {
	int (*step)(struct request *r, void *state); /* NULL = nothing is left */
	void (*free)(void *state);
	void *state;
};

struct request {
	struct control *control;
	const struct command *command;
	const char *name;      /* the text in the place of {} in the path; NULL = none */
	json_object *body;     /* an object, never NULL */
	struct slice document; /* of a COMMAND_DOCUMENT argument, not parsed yet */
	json_object *answer;   /* an object, never NULL; the handler fills it */
	struct buffer bytes;   /* the answer of ANSWER_FILE */
	struct request_rest rest;
	json_object *audited; /* lines of a change of many things (audit.h); NULL = none */
	json_object *before;  /* the subject of a change that is under way (audit.h); NULL = none */
	bool may_stream;      /* request_run() may leave `rest` of a list to be done */
	bool unchanged;	      /* set by a handler of a change that changed nothing */
	struct deferred *deferred; /* set by deferred_new(): the answer comes later */
	uid_t uid;
	struct errtext error;
	char changed[REQUEST_CHANGED_SIZE]; /* by a change, for the log */
};

typedef int request_fn(struct request *r);

/* The handler of a row. */
request_fn *request_handler(enum command_id id);
/*
 * Runs the handler: transaction, publication, log line. Returns the HTTP status; `answer` may hold
 * an error.
 */
unsigned request_run(struct request *r);
/*
 * A change in parts, for bulk.h: begins its transaction in the store of `control` and calls the handler; takes
 * steps until the end or until this time (monotonic ns, 0 = none) and returns 1 while there is more; commits it,
 * or rolls it back after an `error` or if nothing has changed; forgets all that was made so far; publishes what
 * was committed, and finishes `deferred`. Results are as those of a handler.
 */
int request_begin(struct request *r);
int request_step(struct request *r, int64_t until_ns);
int request_end(struct request *r, int error);
void request_forget(struct request *r);
int request_publish(struct request *r);
/* The HTTP status of a handler's result; puts an error into `answer`. */
unsigned request_status(struct request *r, int error);
/*
 * Adds `haproxy`, after a failed reload `haproxy_error` and `failed`, and `warning` when the agent does not
 * have the change.
 */
void request_put_outcome(json_object *o, const struct change_outcome *outcome);
/* Fills `answer` with an error in the form of the API and returns `status`. */
unsigned request_refuse(struct request *r, unsigned status, const char *message);

/* Body fields, whose types the row's check has checked. NULL, `otherwise` or false when absent. */
bool request_has(const struct request *r, const char *field);
const char *request_text(const struct request *r, const char *field);
int64_t request_number(const struct request *r, const char *field, int64_t otherwise);
double request_share(const struct request *r, const char *field, double otherwise);
bool request_flag(const struct request *r, const char *field);
json_object *request_value(const struct request *r, const char *field);
uint64_t request_duration(const struct request *r, const char *field, uint64_t otherwise_ms);

/* Answers: an unknown value is null. Texts: NULL and empty = null. Times are Unix milliseconds, 0 = null; durations 0 = "0". */
void answer_text(json_object *o, const char *field, const char *text);
void answer_slice(json_object *o, const char *field, struct slice text);
void answer_number(json_object *o, const char *field, int64_t n);
void answer_known(json_object *o, const char *field, bool known, int64_t n);
void answer_flag(json_object *o, const char *field, bool value);
void answer_time(json_object *o, const char *field, int64_t wall_ms);
void answer_duration(json_object *o, const char *field, uint64_t ms);
/* "a,b" as an array of strings. */
void answer_list(json_object *o, const char *field, struct slice comma_separated);
/* An empty array under `items`, to be filled. */
json_object *answer_items(json_object *o);

#endif
