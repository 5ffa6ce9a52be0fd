/* `accounts check`: asks the account now and tells what was seen. */
#include "admin/api/deferred.h"
#include "admin/api/handlers.h"
#include "admin/upkeep/probe.h"
#include "common/errtext.h"

#include <errno.h>

static void on_told(void *context, int error, const char *reason, const struct probe_told *told)
{
	struct deferred *d = context;

	if (told) {
		json_object *o = deferred_answer(d);
		answer_text(o, "name", told->name);
		json_object_object_add(o, "status",
			told->status ? json_object_new_int((int32_t)told->status) : NULL);
		answer_number(o, "took_ms", told->took_ms);
		answer_text(o, "reason", told->reason);
		answer_text(o, "class", told->result);
		answer_text(o, "state", told->state);
	}
	deferred_finish(d, error, reason);
}

int accounts_check(struct request *r)
{
	struct errtext e = {""};
	int64_t id = 0;
	int error = noun_subject(r, &noun_account, &id);

	if (error)
		return error;
	struct deferred *d = deferred_new(r);
	if (!d)
		return errtext_set(&r->error, -ENOMEM, "out of memory");
	error = probe_ask(r->control->probe, id, on_told, d, &e);
	if (error)
		deferred_finish(d, error, e.text);
	return 0;
}
