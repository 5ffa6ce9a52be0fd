#include "admin/api/deferred.h"

#include "common/errtext.h"

#include <stdlib.h>

struct deferred {
	struct request request; /* only what an answer needs */
	unsigned status;
	bool done;
	bool released;
	deferred_wake_fn *wake; /* NULL = nobody waits */
	void *context;
};

struct deferred *deferred_new(struct request *r)
{
	struct deferred *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->request.control = r->control;
	d->request.command = r->command;
	d->request.answer = r->answer;
	r->answer = json_object_new_object();
	r->deferred = d;
	return d;
}

static void deferred_free(struct deferred *d)
{
	buffer_fini(&d->request.bytes);
	json_object_put(d->request.answer);
	free(d);
}

json_object *deferred_answer(struct deferred *d)
{
	return d->request.answer;
}

void deferred_put_answer(struct deferred *d, json_object *answer)
{
	json_object_put(d->request.answer);
	d->request.answer = answer;
}

void deferred_put_bytes(struct deferred *d, struct buffer *bytes)
{
	d->request.bytes = *bytes;
	*bytes = (struct buffer){0};
}

void deferred_finish(struct deferred *d, int error, const char *reason)
{
	if (d->released) {
		deferred_free(d);
		return;
	}
	if (error)
		errtext_set(&d->request.error, error, "%s", reason);
	d->status = request_status(&d->request, error);
	d->done = true;
	if (d->wake)
		d->wake(d->context);
}

void deferred_wait(struct deferred *d, deferred_wake_fn *wake, void *context)
{
	d->wake = wake;
	d->context = context;
}

bool deferred_is_done(const struct deferred *d)
{
	return d->done;
}

unsigned deferred_take(struct deferred *d, json_object **ret_answer)
{
	*ret_answer = d->request.answer;
	d->request.answer = NULL;
	return d->status;
}

void deferred_take_rest(struct deferred *d, struct request *r)
{
	r->command = d->request.command;
	r->bytes = d->request.bytes;
	d->request.bytes = (struct buffer){0};
}

void deferred_release(struct deferred *d)
{
	if (!d)
		return;
	d->wake = NULL;
	d->released = true;
	if (d->done)
		deferred_free(d);
}
