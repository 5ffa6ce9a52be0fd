/* `relayadm haproxy ...`: change.h and haproxy_sync.h do the work. */
#include "admin/api/deferred.h"
#include "admin/api/handlers.h"
#include "admin/publish/change.h"
#include "admin/publish/haproxy_chroot.h"
#include "admin/publish/haproxy_model.h"
#include "admin/publish/haproxy_sync.h"
#include "common/errtext.h"

#include <errno.h>
#include <stdlib.h>

static void put_state(struct control *c, json_object *o)
{
	struct haproxy_state state;

	haproxy_sync_state(c->haproxy, &state);
	answer_known(o, "generation", state.gen, (int64_t)state.gen);
	answer_flag(o, "pending", state.pending);
	answer_text(o, "output_dir", *state.output_dir ? state.output_dir : NULL);
	answer_text(o, "last_error", *state.error ? state.error : NULL);
	answer_flag(o, "reachable", state.answers);
	bool known = state.answers;
	answer_text(o, "version", known ? state.status.version : NULL);
	answer_known(o, "uptime_s", known, state.status.uptime_s);
	answer_known(o, "workers", known, state.status.workers);
	answer_known(o, "connections", known, (int64_t)state.status.connections);
	answer_known(o, "requests", known, (int64_t)state.status.requests);
	answer_known(o, "dropped_logs", known, (int64_t)state.status.dropped_logs);
}

/* --- render, reload: answered when they are done --- */

typedef void describe_fn(struct control *c, json_object *o);

struct waiting {
	struct control *control;
	struct deferred *deferred;
	describe_fn *describe; /* NULL: the outcome alone */
	struct errtext note;   /* empty = none */
};

static void on_done(void *context, const struct change_outcome *outcome)
{
	struct waiting *w = context;
	json_object *o = deferred_answer(w->deferred);

	if (!outcome->error)
		request_put_outcome(o, outcome);
	if (!outcome->error && w->describe)
		w->describe(w->control, o);
	if (!outcome->error && w->note.text[0])
		answer_text(o, "note", w->note.text);
	deferred_finish(w->deferred, outcome->error, outcome->reason.text);
	free(w);
}

static struct waiting *wait_for(struct request *r, describe_fn *describe)
{
	struct waiting *w = malloc(sizeof(*w));

	if (w)
		*w = (struct waiting){r->control, deferred_new(r), describe, {""}};
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

/* A chroot that an operator gave, now or before, needs no search. */
static bool chroot_is_given(struct request *r)
{
	json_object *before = haproxy_sync_options(r->control->haproxy);
	const char *given = request_text(r, "chroot");

	return given ? *given != '\0' : before && json_object_object_get_ex(before, "chroot", NULL);
}

static int render(struct request *r, describe_fn *describe)
{
	struct waiting *w = wait_for(r, describe);

	if (!w)
		return -ENOMEM;
	if (!chroot_is_given(r))
		haproxy_chroot_add(&r->control->config, r->body, &w->note);
	return end_if_failed(w, change_render(r->control, r->body, on_done, w));
}

int haproxy_render(struct request *r)
{
	return render(r, put_state);
}

int haproxy_reload(struct request *r)
{
	int error = haproxy_sync_is_rendered(r->control->haproxy, &r->error);
	struct waiting *w = error ? NULL : wait_for(r, NULL);

	if (!w)
		return error ? error : -ENOMEM;
	return end_if_failed(w, change_publish(r->control, CHANGE_RELOAD, on_done, w));
}

/* --- options --- */

static void put_text(json_object *o, const char *field, json_object *options)
{
	json_object_object_add(o, field, json_object_get(json_object_object_get(options, field)));
}

static void put_list(json_object *o, const char *field, json_object *options)
{
	json_object *list = json_object_object_get(options, field);

	json_object_object_add(o, field, list ? json_object_get(list) : json_object_new_array());
}

/* null: not given, so that the default counts. */
static void put_options(struct control *c, json_object *o)
{
	json_object *options = haproxy_sync_options(c->haproxy);
	const char *out = options ? haproxy_model_output_dir(&c->config, options) : NULL;

	answer_text(o, "out", out);
	put_list(o, "bind", options);
	put_text(o, "cert", options);
	answer_flag(o, "accept_proxy",
		json_object_get_boolean(json_object_object_get(options, "accept_proxy")));
	put_list(o, "trust_forwarded", options);
	put_text(o, "stats", options);
	put_text(o, "replay_body", options);
	answer_text(o, "chroot", options ? haproxy_model_chroot(options) : NULL);
}

int haproxy_options(struct request *r)
{
	put_options(r->control, r->answer);
	return 0;
}

int haproxy_options_set(struct request *r)
{
	int error = haproxy_sync_is_rendered(r->control->haproxy, &r->error);

	return error ? error : render(r, put_options);
}

/* --- check, status --- */

static void on_checked(void *context, int error, const struct errtext *why)
{
	struct deferred *d = context;

	if (!error)
		answer_text(deferred_answer(d), "check", "good");
	deferred_finish(d, error, why->text);
}

int haproxy_check(struct request *r)
{
	int error = haproxy_sync_is_rendered(r->control->haproxy, &r->error);
	struct deferred *d = error ? NULL : deferred_new(r);

	if (!d)
		return error ? error : errtext_set(&r->error, -ENOMEM, "out of memory");
	error = haproxy_sync_check(r->control->haproxy, on_checked, d, &r->error);
	if (error)
		deferred_finish(d, error, r->error.text);
	return 0;
}

int haproxy_status(struct request *r)
{
	put_state(r->control, r->answer);
	return 0;
}
