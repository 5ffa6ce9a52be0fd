/*
 * Log lines on stderr (sink.h): one JSON object per line, after a priority in the journal, or text on a
 * terminal. The log is the only global variable of the product. Fields never hold keys, tokens, bodies or
 * queries.
 *
 *   log_event(LOG_LEVEL_INFO, "snapshot accepted", LOG_INT("version", v), LOG_STR("from", s));
 */
#ifndef RELAY_COMMON_LOG_H
#define RELAY_COMMON_LOG_H

#include "common/slice.h"

#include <stdbool.h>
#include <stdint.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

/* Which requests have a line: `[log] requests`. */
enum log_requests {
	LOG_REQUESTS_OFF,
	LOG_REQUESTS_ERRORS,
	LOG_REQUESTS_ALL,
};

enum log_field_type {
	LOG_FIELD_END,
	LOG_FIELD_NULL,
	LOG_FIELD_STR,
	LOG_FIELD_SLICE,
	LOG_FIELD_INT,
	LOG_FIELD_ERRNO,
};

struct log_field {
	enum log_field_type type;
	const char *name;
	struct slice text;
	int64_t number;
};

#define LOG_STR(name, s) ((struct log_field){LOG_FIELD_STR, (name), slice_from_str(s), 0})
#define LOG_SLICE(name, s) ((struct log_field){LOG_FIELD_SLICE, (name), (s), 0})
#define LOG_INT(name, n) ((struct log_field){LOG_FIELD_INT, (name), {NULL, 0}, (int64_t)(n)})
/* Not known. */
#define LOG_NULL(name) ((struct log_field){LOG_FIELD_NULL, (name), {NULL, 0}, 0})
/* A positive or negative errno value, written as its text. */
#define LOG_ERROR_CODE(e) ((struct log_field){LOG_FIELD_ERRNO, "error", {NULL, 0}, (int64_t)(e)})

/* `role` is "keeper", "control", "agent" or a tool's name; kept by pointer. Opens stderr. */
void log_init(const char *role, enum log_level level);
/* In a child: what log_init() opened stays open. */
void log_set_role(const char *role);
void log_set_level(enum log_level level);
/* Would a line of this level be written? Saves formatting on hot paths. */
bool log_is_on(enum log_level level);
/* Lines that were not written since log_init(), of all processes that share its stderr. */
uint64_t log_dropped(void);
/* 0 or -EINVAL. Names: error, warning, info, debug. */
int log_level_parse(struct slice name, enum log_level *ret);

/* Names: off, errors, all. */
int log_requests_parse(struct slice name, enum log_requests *ret);
const char *log_requests_name(enum log_requests r);

void log_write(enum log_level level, const char *message, const struct log_field *fields);
/* A line with a separate switch: written as information at any level. */
void log_always(const char *message, const struct log_field *fields);
#define log_event(level, message, ...)                                                             \
	log_write((level), (message), (const struct log_field[]){__VA_ARGS__, {0}})

#endif
