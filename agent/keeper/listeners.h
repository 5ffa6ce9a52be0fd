/* Every listening socket of the relay; the keeper opens them and keeps them open. */
#ifndef RELAY_AGENT_KEEPER_LISTENERS_H
#define RELAY_AGENT_KEEPER_LISTENERS_H

#include "agent/keeper/identity.h"
#include "common/child.h"

struct listeners {
	struct child_listener rows[CHILD_LISTENERS_MAX];
	bool from_systemd[CHILD_LISTENERS_MAX]; /* its path stays when the relay stops */
	uint32_t count;
};

/*
 * Makes the directories of the sockets. Only root (only we, when root has not started the relay) may
 * write there: so nobody else can take a name while the relay is stopped. A directory that somebody else
 * owns or may write is an error.
 */
int listeners_make_directories(
	const struct config *c, const struct identities *ids, struct errtext *e);
/*
 * Opens all or none; takes those that systemd has opened. 0, or a negative errno with the address that
 * failed.
 */
int listeners_open(const struct config *c, const struct identities *ids, struct listeners *ret,
	struct errtext *e);
/* Closes them and removes the socket paths that it made. */
void listeners_close(struct listeners *l);
/* The admin socket. */
int listeners_admin(const struct listeners *l);
/* Copies the listeners of `role`. */
void listeners_for(const struct listeners *l, enum child_role role, struct child_start *start);

#endif
