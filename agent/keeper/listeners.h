/* Every listening socket of the relay; the keeper opens them and keeps them open. */
#ifndef RELAY_AGENT_KEEPER_LISTENERS_H
#define RELAY_AGENT_KEEPER_LISTENERS_H

#include "agent/keeper/handover.h"
#include "agent/keeper/identity.h"
#include "agent/keeper/inherited.h"
#include "common/child.h"

enum listener_origin {
	LISTENER_OPENED,  /* here */
	LISTENER_TAKEN,	  /* from the keeper before; otherwise the same */
	LISTENER_SYSTEMD, /* its path stays when the relay stops */
};

struct listeners {
	struct child_listener rows[CHILD_LISTENERS_MAX];
	enum listener_origin origins[CHILD_LISTENERS_MAX];
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
 * Opens all or none; takes those that are inherited. 0, or a negative errno with the address that failed.
 */
int listeners_open(const struct config *c, const struct identities *ids,
	struct inherited *inherited, struct listeners *ret, struct errtext *e);
/* Closes them and removes the socket paths that a keeper made. */
void listeners_close(struct listeners *l);
/* The same, but whoever passed sockets keeps them: only what listeners_open() has opened goes. */
void listeners_give_back(struct listeners *l);
/* All of them, for the next program. */
void listeners_hand_over(struct listeners *l, struct handover *h);
/* The admin socket. */
int listeners_admin(const struct listeners *l);
/* Copies the listeners of `role`. */
void listeners_for(const struct listeners *l, enum child_role role, struct child_start *start);

#endif
