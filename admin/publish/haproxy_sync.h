/*
 * Keeps HAProxy's files, and HAProxy, in step with the store: model -> render -> check -> generation
 * -> files -> reload. Nothing is written before the first `haproxy render`; after it every change
 * that HAProxy must know is rendered with the options that render was given.
 */
#ifndef RELAY_ADMIN_PUBLISH_HAPROXY_SYNC_H
#define RELAY_ADMIN_PUBLISH_HAPROXY_SYNC_H

#include "common/errtext.h"
#include "haproxy/render.h"
#include "haproxy/runtime.h"

#include <json-c/json.h>

struct control;
struct haproxy_sync;

enum haproxy_outcome {
	HAPROXY_UNCHANGED,
	HAPROXY_RELOADED,
	HAPROXY_PENDING,
};

const char *haproxy_outcome_name(
	enum haproxy_outcome o); /* "unchanged", "reloaded", "pending reload" */

/* What the options of `haproxy render` may be; texts are checked by haproxy_sync_render(). */
struct haproxy_report {
	enum haproxy_outcome outcome;
	struct errtext error; /* why it is pending; empty when nothing failed */
};

struct haproxy_sync *haproxy_sync_new(struct control *c, struct errtext *e);
void haproxy_sync_free(struct haproxy_sync *h);

/*
 * `haproxy render`: `options` is a JSON object {out, bind: [..], cert, accept_proxy,
 * trust_forwarded: [..] or "a,b", stats, haproxy}; missing ones take their defaults. They are kept for later
 * renders once HAProxy has accepted the result. 0; -EINVAL with the reason: nothing was changed.
 */
int haproxy_sync_render(struct haproxy_sync *h, struct json_object *options, bool reload,
	struct haproxy_report *ret, struct errtext *e);
/*
 * First half of a change: renders and checks, and when the text is a new one commits the new
 * generation to the store. To be called before the snapshot is published. Never inside a transaction.
 */
int haproxy_sync_prepare(struct haproxy_sync *h, struct haproxy_report *ret);
/* Second half: writes the files and reloads. After the snapshot was published. */
void haproxy_sync_finish(struct haproxy_sync *h, bool reload, struct haproxy_report *ret);
/* Tries again what is pending; called by a timer. */
void haproxy_sync_retry(struct haproxy_sync *h);

/* `haproxy check`: runs HAProxy over the files on disk. */
int haproxy_sync_check(struct haproxy_sync *h, struct errtext *e);
/* `haproxy reload`: whether or not anything is pending. */
int haproxy_sync_reload(struct haproxy_sync *h, struct haproxy_report *ret, struct errtext *e);

struct haproxy_state {
	uint64_t gen; /* 0 = never rendered */
	bool pending;
	const char *output_dir; /* "" = never rendered */
	const char *error;	/* "" or why the last attempt failed */
	bool answers;		/* `status` is valid */
	struct runtime_status status;
};
/* `haproxy status`; texts are borrowed until the next call of anything here. */
void haproxy_sync_state(struct haproxy_sync *h, struct haproxy_state *ret);

#endif
