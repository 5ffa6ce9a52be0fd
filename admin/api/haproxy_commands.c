/* `relayadm haproxy ...`: change.h and haproxy_sync.h do the work. */
#include "admin/api/deferred.h"
#include "admin/api/handlers.h"
#include "admin/publish/change.h"
#include "admin/publish/haproxy_chroot.h"
#include "admin/publish/haproxy_sync.h"
#include "common/errtext.h"

#include <errno.h>
#include <stdlib.h>

static void put_state(struct control *c, json_object *o)
{
	struct haproxy_state state;

	haproxy_sync_state(c->haproxy, &state);
	answer_number(o, "generation", (int64_t)state.gen);
	answer_flag(o, "pending", state.pending);
	answer_text(o, "output_dir", *state.output_dir ? state.output_dir : NULL);
	answer_text(o, "last_error", *state.error ? state.error : NULL);
	answer_flag(o, "reachable", state.answers);
	if (!state.answers)
		return;
	answer_text(o, "version", state.status.version);
	answer_number(o, "uptime_s", state.status.uptime_s);
	answer_number(o, "workers", state.status.workers);
	answer_number(o, "connections", (int64_t)state.status.connections);
	answer_number(o, "requests", (int64_t)state.status.requests);
	answer_number(o, "dropped_logs", (int64_t)state.status.dropped_logs);
}

/* --- render, reload: answered when they are done --- */

struct waiting {
	struct control *control;
	struct deferred *deferred;
	bool with_state;
	struct errtext note; /* empty = none */
};

static void on_done(void *context, const struct change_outcome *outcome)
{
	struct waiting *w = context;
	json_object *o = deferred_answer(w->deferred);

	if (!outcome->error)
		request_put_outcome(o, outcome);
	if (!outcome->error && w->with_state)
		put_state(w->control, o);
	if (!outcome->error && w->note.text[0])
		answer_text(o, "note", w->note.text);
	deferred_finish(w->deferred, outcome->error, outcome->reason.text);
	free(w);
}

static struct waiting *wait_for(struct request *r, bool with_state)
{
	struct waiting *w = malloc(sizeof(*w));

	if (w)
		*w = (struct waiting){r->control, deferred_new(r), with_state, {""}};
	if (w && w->deferred)
		return w;
	free(w);
	errtext_set(&r->error, -ENOMEM, "out of memory");
	return NULL;
}

static int end_if_failed(struct waiting *w, int error)
{
	const struct change_outcome o = {.error = error, .reason = {"out of memory"}};

	if (error)
		on_done(w, &o);
	return 0;
}

int haproxy_render(struct request *r)
{
	struct waiting *w = wait_for(r, true);

	if (!w)
		return -ENOMEM;
	haproxy_chroot_add(&r->control->config, r->body, &w->note);
	return end_if_failed(w, change_render(r->control, r->body, on_done, w));
}

int haproxy_reload(struct request *r)
{
	int error = haproxy_sync_is_rendered(r->control->haproxy, &r->error);
	struct waiting *w = error ? NULL : wait_for(r, false);

	if (!w)
		return error ? error : -ENOMEM;
	return end_if_failed(w, change_publish(r->control, CHANGE_RELOAD, on_done, w));
}

/* --- check, status --- */

int haproxy_check(struct request *r)
{
	int error = haproxy_sync_check(r->control->haproxy, &r->error);

	if (!error)
		answer_text(r->answer, "check", "good");
	return error;
}

int haproxy_status(struct request *r)
{
	put_state(r->control, r->answer);
	return 0;
}
