/*
 * Usage as the agent counts it, read from the rows of the mapped state file. A row that changes
 * during the reading shows its value before or after the change.
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

/* Maps the state file until usage_close(); without one (tests) everything reads as unused. */
int usage_open(struct control *c, struct errtext *e);
void usage_close(struct control *c);

/*
 * Gives the state file more rows when few are free; to be called once a second. The agent takes them
 * within a second. 0, -EFBIG when the file has its full size, or -errno.
 */
int usage_make_room(struct control *c);

/* A copy of the row. -ENOENT when there is none, -EBADMSG when its check fails. */
int usage_read(
	const struct control *c, enum usage_kind kind, uint32_t id, struct statefile_usage *ret);
/* Requests in progress of a tenant, key or account. */
uint32_t usage_slots(const struct control *c, enum usage_kind kind, uint32_t id);

/*
 * Adds `in_use` and `usage`: one object for each limited window, and, except for accounts, always
 * for day and month. The limits are the fields of `o` (rps, rpm, rph, daily, monthly, concurrency).
 * A tenant or key without any limit is not counted: what it has used is null, as is a damaged count.
 */
void usage_describe(const struct control *c, enum usage_kind kind, uint32_t id, json_object *o);
/* Adds `quota`: tenants that have used 80 % or more of their day or month. */
int usage_describe_quotas(struct request *r, json_object *o);

#endif
