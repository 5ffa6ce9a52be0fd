/*
 * Usage as the agent counts it: read from the mapped state file, whose rows are the truth. Nothing is
 * sent for it; a row that changes while it is read shows a value of just before or just after.
 */
#ifndef RELAY_ADMIN_API_USAGE_H
#define RELAY_ADMIN_API_USAGE_H

#include "common/statefile.h"
#include "common/window.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

struct control;
struct request;

/* Maps the state file for as long as control runs; without one (tests) everything reads as unused. */
int usage_open(struct control *c, struct errtext *e);
void usage_close(struct control *c);

/* A copy of the row. False when there is none. */
bool usage_read(
	const struct control *c, enum usage_kind kind, uint32_t id, struct statefile_usage *ret);
/* Requests in progress of a tenant, key or account. */
uint32_t usage_slots(const struct control *c, enum usage_kind kind, uint32_t id);

/*
 * Adds `in_use` and `usage`, one object for each limited window, and for day and month always but for
 * accounts. The limits are those that stand in `o` already (rps, rpm, rph, daily, monthly).
 */
void usage_describe(const struct control *c, enum usage_kind kind, uint32_t id, json_object *o);
/* Adds `quota`: tenants whose day or month stands at 80 % or more. */
int usage_describe_quotas(struct request *r, json_object *o);

#endif
