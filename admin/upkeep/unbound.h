/*
 * Egresses with a source address that this machine does not have. HAProxy finds out when it checks their
 * servers; the agent sees only that connections fail. Read every few seconds, on the thread.
 */
#ifndef RELAY_ADMIN_UPKEEP_UNBOUND_H
#define RELAY_ADMIN_UPKEEP_UNBOUND_H

#include "admin/publish/offload.h"
#include "common/buffer.h"
#include "common/config.h"

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

struct control;

struct unbound {
	struct offload_job job; /* first: a reading in progress, which has copies */
	struct config config;
	struct buffer found;
	int error;
	struct control *control;
	struct buffer backends; /* uint32_t ids, of the last reading */
	ev_timer timer;
};

void unbound_start(struct unbound *u, struct control *c);
/* After the offload has ended. */
void unbound_stop(struct unbound *u);
/* HAProxy cannot connect through this backend. `u` NULL: nothing is known. */
bool unbound_has(const struct unbound *u, uint32_t backend);

#endif
