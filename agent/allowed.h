/* Which users' processes may talk to the agent on Unix sockets; the kernel tells who they are. */
#ifndef RELAY_AGENT_ALLOWED_H
#define RELAY_AGENT_ALLOWED_H

#include "common/config.h"

#include <stdbool.h>
#include <sys/types.h>

struct allowed {
	uid_t uids[CONFIG_USERS_MAX + 3];
	size_t count;
};

/* Names of [spop] allow_users, or haproxy, root and ourselves. Unknown names are logged and left out. */
void allowed_init(struct allowed *a, const struct config *c);
bool allowed_uid(const struct allowed *a, uid_t uid);
/* Asks the kernel for the peer of a connected Unix socket. */
bool allowed_peer(const struct allowed *a, int fd);

#endif
