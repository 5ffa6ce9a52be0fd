/*
 * Keeps HAProxy's files, and HAProxy, in step with the store: model -> render -> check -> generation
 * -> files -> reload. Nothing is written before the first `haproxy render`. After it, every change that
 * HAProxy must know is rendered with the options of that command.
 */
#ifndef RELAY_ADMIN_PUBLISH_HAPROXY_SYNC_H
#define RELAY_ADMIN_PUBLISH_HAPROXY_SYNC_H

#include "common/errtext.h"
#include "common/ip.h"
#include "haproxy/render.h"
#include "haproxy/runtime.h"

#include <json-c/json.h>
#include <stdbool.h>

struct control;
struct haproxy_sync;

enum haproxy_outcome {
	HAPROXY_UNCHANGED,
	HAPROXY_RELOADED,
	HAPROXY_PENDING,
};

const char *haproxy_outcome_name(
	enum haproxy_outcome o); /* "unchanged", "reloaded", "pending reload" */

struct haproxy_report {
	enum haproxy_outcome outcome;
	struct errtext error; /* why it is pending; empty when nothing failed */
	/*
	 * What was asked for is not in force: HAProxy runs without it, or has been used and does not run.
	 * Not before HAProxy is started for the first time: it reads the files then.
	 */
	bool failed;
	bool unwritten; /* the reason is that the files could not be rendered or written */
};

enum haproxy_reload {
	HAPROXY_RELOAD_LATER, /* by an operator, or by the next change */
	HAPROXY_RELOAD_SOON,  /* if changed; changes soon after the last such reload share one */
	HAPROXY_RELOAD_IF_CHANGED,
	HAPROXY_RELOAD_ALWAYS,
};

struct haproxy_sync *haproxy_sync_new(struct control *c, struct errtext *e);
void haproxy_sync_free(struct haproxy_sync *h);

/* `error` is negative: nothing was changed, and `why` is the reason. */
typedef void haproxy_prepared_fn(void *context, int error, const struct errtext *why);
typedef void haproxy_finished_fn(void *context, const struct haproxy_report *report);

/*
 * First half of a change: renders, lets HAProxy check, and commits a new generation to the store when the text
 * is a new one. Then calls `done`, perhaps before it returns. A failure is reported by haproxy_sync_finish(),
 * which the caller calls after it has published the snapshot. Never inside a transaction, and one change at
 * a time. change.h calls both halves.
 */
void haproxy_sync_prepare(struct haproxy_sync *h, haproxy_prepared_fn *done, void *context);
/*
 * First half of `haproxy render`: `options` is a JSON object {out, bind: [..], cert, accept_proxy,
 * trust_forwarded: [..], stats, replay_body, chroot, chroot_found}; missing ones stay as they are, empty ones take
 * their defaults. They are kept for later renderings once HAProxy has accepted the result. -EINVAL with the
 * reason: nothing was changed.
 */
void haproxy_sync_render(struct haproxy_sync *h, struct json_object *options,
	haproxy_prepared_fn *done, void *context);
/* The options in use, borrowed; NULL before the first `haproxy render`. */
struct json_object *haproxy_sync_options(const struct haproxy_sync *h);
/*
 * Each reload leaves an old HAProxy process for some time. The first change reloads at once, and
 * further ones within this time wait for its end and share a reload.
 */
#define HAPROXY_SYNC_TOGETHER_MS 5000

/* Second half of both: writes the files and reloads. Then calls `done`, perhaps before it returns. */
void haproxy_sync_finish(
	struct haproxy_sync *h, enum haproxy_reload when, haproxy_finished_fn *done, void *context);
/* Whether a reload waits for others, and until when; for a timer that calls haproxy_sync_retry(). */
bool haproxy_sync_is_due_later(const struct haproxy_sync *h);
int64_t haproxy_sync_wait_ms(const struct haproxy_sync *h);
/* Whether a HAProxy that is in use lacks something, as far as control knows without asking it. */
bool haproxy_sync_owes(const struct haproxy_sync *h);
/*
 * Retries a pending write or reload and tells the outcome. True: rendering has failed, so the caller starts a
 * change, with a reload if `*ret_reload`; `done` is not called. Never between the two halves of a change.
 */
bool haproxy_sync_retry(
	struct haproxy_sync *h, bool *ret_reload, haproxy_finished_fn *done, void *context);

/* `haproxy check`: runs HAProxy over the files on disk and tells the outcome. 0, or an error at once. */
int haproxy_sync_check(
	struct haproxy_sync *h, haproxy_prepared_fn *done, void *context, struct errtext *e);
/* Asks HAProxy for what haproxy_sync_state() tells. 0, and `done` (NULL = nobody waits) is called; -ENOMEM. */
int haproxy_sync_look(struct haproxy_sync *h, void (*done)(void *context), void *context);
/*
 * The networks of the option trust_forwarded, at most RENDER_TRUSTED_MAX, into `out`. Their number; 0 before
 * the first `haproxy render`.
 */
size_t haproxy_sync_trusted(const struct haproxy_sync *h, struct cidr *out);
/* 0, or -EINVAL with the remedy before the first `haproxy render`. */
int haproxy_sync_is_rendered(const struct haproxy_sync *h, struct errtext *e);

struct haproxy_state {
	uint64_t gen;	 /* 0 = never rendered */
	uint64_t loaded; /* the generation that HAProxy was seen to have; 0 = none */
	bool pending;
	const char *output_dir; /* "" = never rendered */
	const char *error;	/* "" or why the last attempt failed */
	bool answers;		/* `status` is valid */
	struct runtime_status status;
};
/*
 * `haproxy status`, as HAProxy said at the last haproxy_sync_look() or reload; texts are borrowed until the next
 * call of anything here.
 */
void haproxy_sync_state(struct haproxy_sync *h, struct haproxy_state *ret);

#endif
