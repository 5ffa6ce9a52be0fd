/* `relayadm vault`: renews the keys of the vault, and shows them by their ids. */
#include "admin/api/deferred.h"
#include "admin/api/handlers.h"
#include "admin/upkeep/vault_rotation.h"
#include "common/errtext.h"
#include "common/log.h"

#include <errno.h>
#include <stdlib.h>

static int describe(struct control *c, json_object *o, struct errtext *e)
{
	const char *fault = vault_rotation_fault(c->rotation);
	struct vault_status status;
	int error = vault_get_status(c->vault, c->store, &status, e);

	if (error)
		return error;
	answer_text(o, "key_file", c->config.key_file.s);
	answer_text(o, "key_id", status.key_id);
	answer_number(o, "data_key", status.version);
	answer_text(o, "rotation", !status.is_rotating ? "none" : *fault ? "waits" : "running");
	answer_text(o, "reason", fault);
	answer_number(o, "values", status.values);
	answer_number(o, "values_left", status.left);
	answer_time(o, "rotated_at", status.rotated_ms);
	return 0;
}

int vault_show(struct request *r)
{
	return describe(r->control, r->answer, &r->error);
}

struct waiting {
	struct control *control;
	struct deferred *deferred;
};

static void on_told(void *context, int error, const char *reason)
{
	struct waiting *w = context;
	struct errtext e = {""};

	errtext_set(&e, error, "%s", reason);
	if (!error)
		error = describe(w->control, deferred_answer(w->deferred), &e);
	deferred_finish(w->deferred, error, e.text);
	free(w);
}

int vault_rotate(struct request *r)
{
	struct waiting *w = calloc(1, sizeof(*w));
	struct errtext e = {""};

	if (w)
		*w = (struct waiting){r->control, deferred_new(r)};
	if (!w || !w->deferred) {
		free(w);
		return errtext_set(&r->error, -ENOMEM, "out of memory");
	}
	int error = vault_rotation_begin(
		r->control->rotation, request_flag(r, "keep_key_file"), on_told, w, &e);
	if (error)
		on_told(w, error, e.text);
	else
		log_event(LOG_LEVEL_INFO, "change", LOG_STR("noun", "vault"),
			LOG_STR("verb", "rotate"), LOG_INT("uid", r->uid));
	return 0;
}
