/* `egress check`: a round of checks, answered at its end. */
#include "admin/api/deferred.h"
#include "admin/api/handlers.h"
#include "admin/upkeep/egress_check.h"
#include "common/errtext.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct checks {
	struct deferred *deferred;
	json_object *items; /* of the deferred answer */
	size_t count, errors, mismatches;
};

static void put_row(struct checks *c, const struct egress_check_row *row)
{
	json_object *o = json_object_new_object();

	answer_text(o, "name", row->name);
	answer_text(o, "kind", row->kind);
	answer_text(o, "expected", row->expected);
	answer_text(o, "seen", row->seen);
	answer_text(o, "result", row->result);
	answer_text(o, "reason", row->reason);
	json_object_array_add(c->items, o);
	c->count++;
	c->errors += strcmp(row->result, "error") == 0;
	c->mismatches += strcmp(row->result, "mismatch") == 0;
}

static void finish(struct checks *c, int error, const char *reason)
{
	char text[96];

	if (c->mismatches + c->errors) {
		snprintf(text, sizeof(text),
			"of %zu checked, %zu do not match, %zu could not be checked", c->count,
			c->mismatches, c->errors);
		answer_text(deferred_answer(c->deferred), "failed", text);
	}
	deferred_finish(c->deferred, error, reason);
	free(c);
}

static void on_told(
	void *context, const struct egress_check_row *row, int error, const char *reason)
{
	if (row)
		put_row(context, row);
	else
		finish(context, error, reason);
}

int egress_check(struct request *r)
{
	struct checks *c = calloc(1, sizeof(*c));
	struct errtext e = {""};

	if (c)
		c->deferred = deferred_new(r);
	if (!c || !c->deferred) {
		free(c);
		return errtext_set(&r->error, -ENOMEM, "out of memory");
	}
	c->items = answer_items(deferred_answer(c->deferred));
	int error = egress_check_begin(
		r->control->egress_check, request_text(r, "name"), on_told, c, &e);
	if (error)
		finish(c, error, e.text);
	return 0;
}
