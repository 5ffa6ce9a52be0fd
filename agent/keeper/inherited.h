/*
 * Sockets that systemd has opened and passes at the start (sd_listen_fds(3)). A socket unit holds them
 * while the relay is stopped or restarted: nobody else can take their names, and what arrives waits.
 */
#ifndef RELAY_AGENT_KEEPER_INHERITED_H
#define RELAY_AGENT_KEEPER_INHERITED_H

#include "common/address.h"

#include <stdint.h>

#define INHERITED_MAX 32

struct inherited {
	int fds[INHERITED_MAX]; /* -1 = taken */
	uint32_t count;
};

/* Takes what the environment names, and removes it from the environment. */
void inherited_init(struct inherited *i);
/* The socket with this address, type and state, which the caller then owns; -1 = there is none. */
int inherited_take(struct inherited *i, const struct address *a);
/* Closes the sockets that nobody took, and logs that. */
void inherited_fini(struct inherited *i);

#endif
