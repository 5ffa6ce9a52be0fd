/* Every listening socket of the relay; the keeper opens them and keeps them open. */
#ifndef RELAY_AGENT_KEEPER_LISTENERS_H
#define RELAY_AGENT_KEEPER_LISTENERS_H

#include "agent/keeper/identity.h"
#include "common/child.h"

struct listeners {
	struct child_listener rows[CHILD_LISTENERS_MAX];
	uint32_t count;
};

/* All or none: 0, or a negative errno with the address that failed. */
int listeners_open(const struct config *c, const struct identities *ids, struct listeners *ret,
	struct errtext *e);
/* Closes them and removes socket paths. */
void listeners_close(struct listeners *l);
/* Copies the listeners of `role`. */
void listeners_for(const struct listeners *l, enum child_role role, struct child_start *start);

#endif
