/*
 * Egresses with a source address that this machine does not have. HAProxy finds out when it checks their
 * servers; the agent sees only that connections fail. Read every few seconds, in bounded time.
 */
#ifndef RELAY_ADMIN_UPKEEP_UNBOUND_H
#define RELAY_ADMIN_UPKEEP_UNBOUND_H

#include "common/buffer.h"

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

struct control;

struct unbound {
	struct control *control;
	struct buffer backends; /* uint32_t ids */
	ev_timer timer;
};

void unbound_start(struct unbound *u, struct control *c);
void unbound_stop(struct unbound *u);
/* HAProxy cannot connect through this backend. `u` NULL: nothing is known. */
bool unbound_has(const struct unbound *u, uint32_t backend);

#endif
