/*
 * One log line for each finished request, as `[log] requests` asks for, with names instead of ids. Control
 * writes them from the board's ring, so the agent does no more than without them, and a store that fails
 * does not hold them up. A control process that was killed may have written the last lines once before.
 */
#ifndef RELAY_ADMIN_UPKEEP_ACCESSLOG_H
#define RELAY_ADMIN_UPKEEP_ACCESSLOG_H

#include "admin/control.h"
#include "admin/store/labels.h"

#include <stdbool.h>
#include <stdint.h>

/* Zeroed and with `control` set, it is ready. */
struct accesslog {
	const struct control *control;
	bool begun;
	uint64_t next; /* place in the ring */
	struct labels names;
};

/* Writes lines for a few milliseconds. True: more are waiting. */
bool accesslog_poll(struct accesslog *a);

#endif
