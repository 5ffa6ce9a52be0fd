/* Which users' processes may talk to the agent on this machine; the kernel says who they are. */
#ifndef RELAY_AGENT_ALLOWED_H
#define RELAY_AGENT_ALLOWED_H

#include "common/config.h"

#include <stdbool.h>
#include <sys/types.h>

struct allowed {
	uid_t uids[CONFIG_USERS_MAX + 3];
	size_t count;
};

/*
 * Users of [spop] allow_users, or haproxy and root, and the agent's user. Unknown names are logged
 * and skipped.
 */
void allowed_init(struct allowed *a, const struct config *c);
bool allowed_uid(const struct allowed *a, uid_t uid);
/* Asks the kernel for the peer of a connected Unix socket. */
bool allowed_peer(const struct allowed *a, int fd);

#endif
