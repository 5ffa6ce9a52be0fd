/*
 * The control process: store, vault, secrets, everything slow, the admin API. It decides nothing about
 * a request; what the agent must know goes out as a snapshot after every change.
 */
#ifndef RELAY_ADMIN_CONTROL_H
#define RELAY_ADMIN_CONTROL_H

#include "admin/publish/haproxy_sync.h"
#include "admin/store/credential.h"
#include "admin/store/history.h"
#include "admin/store/secrets.h"
#include "admin/store/store.h"
#include "admin/store/vault.h"
#include "common/board.h"
#include "common/channel.h"
#include "common/child.h"
#include "common/config.h"
#include "common/errtext.h"
#include "common/statefile.h"

#include <stdbool.h>
#include <stdint.h>

struct ev_loop;
struct egress_check;
struct outbound;
struct probe;
struct publish;
struct refresh;
struct server;

struct control {
	struct ev_loop *loop;
	const struct child_start *start;
	struct config config; /* the one in force */
	struct store *store;
	struct vault *vault;
	struct secrets secrets;
	const struct board *board;
	struct publish *publish;
	struct haproxy_sync *haproxy;
	struct outbound *outbound; /* control's own requests; NULL = none (tests) */
	struct refresh *refresh;   /* NULL = none (tests) */
	struct probe *probe;	   /* likewise */
	struct egress_check *egress_check;
	struct statefile statefile; /* mapped, for reading usage; block NULL = none */
	struct history history;
	int64_t started_ms;				    /* Unix time */
	struct channel_process processes[CHILD_ROLE_COUNT]; /* as the keeper last said */
	int keeper_fd;					    /* -1 = none (tests) */
	int reload_fd;	  /* a new configuration's text, to be taken; -1 = none */
	bool keeper_gone; /* nothing is left to serve for */
	bool draining;
};

struct control_outcome {
	enum haproxy_outcome haproxy;
	bool acknowledged;	      /* the agent has the change in force */
	struct errtext haproxy_error; /* empty: nothing failed */
	struct errtext warning; /* empty, or what the user should know: not acknowledged, ... */
};

/* Builds the snapshot, sends it, waits (bounded). As control_changed() without HAProxy. */
int control_publish(struct control *c, struct control_outcome *ret, struct errtext *e);
/* For changes of control's own, after their commit: builds and sends the snapshot, waits for nobody. */
void control_announce(struct control *c);

/*
 * To be called after the commit of a change, once for a bulk of changes: publishes, waits for the
 * agent's acknowledgement (bounded), and, when HAProxy may have to know, renders and reloads.
 * `no_reload` leaves the reload pending. 0, or negative when the snapshot could not be built: the
 * change is stored but not in force.
 */
int control_changed(struct control *c, bool haproxy_may_care, bool no_reload,
	struct control_outcome *ret, struct errtext *e);

#endif
