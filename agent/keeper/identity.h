/*
 * The users of the children: users and groups by name, the directories they own, the drop of
 * privileges.
 */
#ifndef RELAY_AGENT_KEEPER_IDENTITY_H
#define RELAY_AGENT_KEEPER_IDENTITY_H

#include "common/config.h"
#include "common/errtext.h"

#include <stdbool.h>
#include <sys/types.h>

struct identity {
	char name[64];
	uid_t uid;
	gid_t gid;
};

struct identities {
	bool drop; /* started as root: the children change their user */
	struct identity control;
	struct identity agent;
	gid_t admin_group; /* may use the admin socket */
};

/*
 * When not started as root, both children keep the current user. 0, or -EINVAL with the missing
 * name.
 */
int identities_find(const struct config *c, struct identities *ret, struct errtext *e);

/* Makes a directory (and its parents) if missing and gives it to `owner`. 0 or -errno. */
int identity_make_directory(
	const char *path, unsigned mode, const struct identity *owner, struct errtext *e);

/*
 * Only `owner` or root may write to the directory. 0, or a negative errno with the remedy.
 */
int identity_check_private(const char *path, const struct identity *owner, struct errtext *e);

/*
 * In the child, for good: the agent gets no supplementary groups; control keeps those of its user,
 * which let it use HAProxy's sockets. The kernel kills the child when the keeper dies. 0 or -errno.
 */
int identity_become(const struct identity *who, bool drop, bool with_groups);

#endif
