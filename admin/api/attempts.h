/* The attempts of a request and their evidence, as `requests why` shows them. */
#ifndef RELAY_ADMIN_API_ATTEMPTS_H
#define RELAY_ADMIN_API_ATTEMPTS_H

#include "admin/store/names.h"
#include "common/board.h"

#include <json-c/json.h>
#include <stddef.h>

/*
 * Adds `attempts` and `evidence`, a sentence such as "acme-1: 403; acme-2: 403: the request". The rows
 * come from the agent, so every value is checked.
 */
void attempts_describe(const struct board_attempt *rows, size_t count, const struct names *accounts,
	json_object *o);

#endif
