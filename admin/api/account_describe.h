/* The state of an account as fields of an answer. */
#ifndef RELAY_ADMIN_API_ACCOUNT_DESCRIBE_H
#define RELAY_ADMIN_API_ACCOUNT_DESCRIBE_H

#include "admin/store/account_state.h"
#include "admin/upkeep/probe.h"

#include <json-c/json.h>

/*
 * Adds state, standing, until, until_s, circuit, in_use, risk, used, last_used_at, last_success_at.
 */
void account_state_describe(const struct account_facts *f, json_object *o);
/* Adds `results`: how many of each class. */
void account_state_describe_results(const struct account_facts *f, json_object *o);
/* Adds witnesses, brakes, window_until, window_checked_at and `probe`: the last and the next one. */
void account_state_describe_evidence(
	const struct account_facts *f, const struct probe_view *v, json_object *o);

#endif
