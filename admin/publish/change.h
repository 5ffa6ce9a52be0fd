/*
 * Puts committed changes of the store into force, in rounds. A round renders HAProxy's files when
 * HAProxy may have to know, builds the snapshot, sends it, waits for the agent's acknowledgement (for
 * CHANGE_ACK_MS at most), and then writes the files and reloads HAProxy. HAProxy comes after the agent,
 * so that a new HAProxy process never asks for a generation that the agent does not know.
 *
 * The loop goes on meanwhile: what may block is done on threads (offload.h). Changes that come during a round
 * share the next one. Changes for the agent alone have rounds of their kind, which run beside those for HAProxy.
 */
#ifndef RELAY_ADMIN_PUBLISH_CHANGE_H
#define RELAY_ADMIN_PUBLISH_CHANGE_H

#include "admin/publish/haproxy_sync.h"
#include "common/errtext.h"

#include <stdbool.h>

#define CHANGE_ACK_MS 2000

struct changes;
struct control;

/* Each value includes the ones before it. */
enum change_reach {
	CHANGE_AGENT, /* the agent's snapshot */
	CHANGE_FILES, /* HAProxy's files, too; the reload stays pending */
	CHANGE_SOON,  /* and a reload of HAProxy when its files have changed, shared with others */
	CHANGE_HAPROXY, /* the same, and the outcome is told after that reload */
	CHANGE_NOW,	/* the same, at once: the configuration file was read again */
	CHANGE_RELOAD,	/* or even when they have not */
};

struct change_outcome {
	int error;	       /* 0, or negative: the change is not in force */
	struct errtext reason; /* of `error` */
	enum haproxy_outcome haproxy;
	struct errtext haproxy_error; /* empty: nothing failed */
	bool haproxy_failed;	      /* what was asked for is not in force at HAProxy */
	bool haproxy_unwritten;	      /* because its files could not be rendered or written */
	bool haproxy_shares;	      /* the reload waits for other changes */
	bool acknowledged;	      /* the agent has the change in force */
	struct errtext warning;	      /* empty, or why it is not acknowledged */
};

typedef void change_done_fn(void *context, const struct change_outcome *o);

struct changes *changes_new(struct control *c);
/* Ends all changes that wait, with -EPIPE. */
void changes_free(struct changes *all);

/*
 * To be called after the commit of a change, once for several changes. `done` (NULL = nobody waits) is
 * called at the end of the round, never from here. -ENOMEM: the change is published, but `done` will not
 * be called.
 */
int change_publish(struct control *c, enum change_reach reach, change_done_fn *done, void *context);
/*
 * `haproxy render`: a round that renders with these options. It fails with the error of
 * haproxy_sync_render(). -ENOMEM: nothing will be rendered and `done` will not be called.
 */
int change_render(
	struct control *c, struct json_object *options, change_done_fn *done, void *context);

/*
 * Ends the round if it is complete, and begins the next. To be called before the loop sleeps. Changes that
 * wait for a shared reload end here when control drains.
 */
void changes_run(struct changes *all);
/* Whether a round is under way or wanted. Changes that wait for a shared reload do not count. */
bool changes_busy(const struct changes *all);
/* Tries again what is pending at HAProxy; for a timer. */
void changes_retry(struct changes *all);

#endif
