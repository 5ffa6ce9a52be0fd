/* The exit codes of relayadm, and what it says when a command fails: a text, or with --json the error as JSON. */
#ifndef RELAY_ADMIN_CLI_COMPLAINT_H
#define RELAY_ADMIN_CLI_COMPLAINT_H

#include <json-c/json.h>
#include <stdbool.h>

enum exit_code {
	EXIT_DONE,
	EXIT_REFUSED,
	EXIT_USAGE,
	EXIT_UNREACHABLE,
};

/* Writes the reason to stderr, for JSON as {"error":{"code","message"}} on one line. Returns `code`. */
int complain(bool json, enum exit_code code, const char *text);
/* The same for an answer of the daemon with a status of an error; `body` may be anything, or NULL. */
int complain_of_answer(bool json, long status, json_object *body);
/* The message of such an answer; NULL = it has none. */
const char *complaint_message(json_object *body);
/* The keeper has answered, because control does not. */
bool complaint_is_of_keeper(json_object *body);
/* Stored, but not in force: an answer's `warning`. */
int complain_of_warning(bool json, const char *text);

#endif
