/*
 * Descriptors that are passed at the start, in the way of systemd (sd_listen_fds(3)): by systemd, whose socket
 * unit holds sockets while the relay is stopped, or by the keeper that this program replaces (handover.h). Their
 * names tell the two apart.
 */
#ifndef RELAY_AGENT_KEEPER_INHERITED_H
#define RELAY_AGENT_KEEPER_INHERITED_H

#include "common/address.h"

#include <stdbool.h>
#include <stdint.h>

#define INHERITED_MAX 32
#define INHERITED_NAME_MAX 64
#define INHERITED_FIRST_FD 3 /* SD_LISTEN_FDS_START */

/*
 * Names of what a keeper passes. A number follows each but the first: of a snapshot its version, behind its format
 * and a dash. The newest snapshot comes first.
 */
#define INHERITED_LISTENER "relay-listener" /* a socket that a keeper has opened */
#define INHERITED_BOARD "relay-board-"
#define INHERITED_SNAPSHOT "relay-snapshot-"
#define INHERITED_KEYBASE "relay-keybase-"
#define INHERITED_RESTARTS "relay-restarts-"

struct inherited {
	int fds[INHERITED_MAX]; /* -1 = taken */
	char names[INHERITED_MAX][INHERITED_NAME_MAX];
	uint32_t count;
	bool is_for_other; /* a keeper has passed them to another process, the parent of this one */
};

/* Takes what the environment names, and removes it from the environment. */
void inherited_init(struct inherited *i);
/* True if a keeper has passed the descriptors. */
bool inherited_from_keeper(const struct inherited *i);
/*
 * The socket with this address, type and state, which the caller then owns; -1 = there is none. `ret_ours`: a
 * keeper has opened it, so its path goes when the relay stops.
 */
int inherited_take(struct inherited *i, const struct address *a, bool *ret_ours);
/* The first descriptor with this name and a number, which the caller then owns; -1 = there is none. */
int inherited_take_named(struct inherited *i, const char *name, uint64_t *ret_number);
/* Closes what nobody took, and logs sockets among it. */
void inherited_fini(struct inherited *i);

#endif
