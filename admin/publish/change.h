/*
 * Puts committed changes of the store into force: builds the snapshot, sends it to the agent, and
 * renders and reloads HAProxy where HAProxy must know.
 */
#ifndef RELAY_ADMIN_PUBLISH_CHANGE_H
#define RELAY_ADMIN_PUBLISH_CHANGE_H

#include "admin/publish/haproxy_sync.h"
#include "common/errtext.h"

#include <stdbool.h>

struct control;

struct change_outcome {
	enum haproxy_outcome haproxy;
	bool acknowledged;	      /* the agent has the change in force */
	struct errtext haproxy_error; /* empty: nothing failed */
	struct errtext warning; /* empty, or what the user should know: not acknowledged, ... */
};

/* Builds the snapshot, sends it, waits (bounded). As change_apply() without HAProxy. */
int change_publish(struct control *c, struct change_outcome *ret, struct errtext *e);
/* For changes of control's own, after their commit: builds and sends the snapshot, waits for nobody. */
void change_announce(struct control *c);

/*
 * To be called after the commit of a change, once for a bulk of changes: publishes, waits for the
 * agent's acknowledgement (bounded), and, when HAProxy may have to know, renders and reloads.
 * `no_reload` leaves the reload pending. 0, or negative when the snapshot could not be built: the
 * change is stored but not in force.
 */
int change_apply(struct control *c, bool haproxy_may_care, bool no_reload,
	struct change_outcome *ret, struct errtext *e);

#endif
