#include "admin/api/bulk.h"

#include "admin/api/deferred.h"
#include "admin/store/store.h"
#include "common/clock.h"
#include "common/errtext.h"
#include "common/log.h"

#include <errno.h>
#include <ev.h>
#include <stdlib.h>
#include <string.h>

struct waiter {
	struct waiter *next;
	void (*wake)(void *context);
	void *context;
};

struct bulk {
	struct control *control;
	ev_timer timer;
	bool busy;
	struct request request; /* with copies of what it reads */
	char *name;
	struct buffer document;
	struct store *aside;
	bool begun;
	unsigned beginnings;
	struct waiter *waiters;
	struct waiter **tail;
};

/* --- taking a request --- */

static int copy_request(struct bulk *b, struct request *r)
{
	b->name = r->name ? strdup(r->name) : NULL;
	if (r->name && !b->name)
		return -ENOMEM;
	buffer_init(&b->document, COMMAND_DOCUMENT_MAX);
	buffer_append_slice(&b->document, r->document);
	return buffer_error(&b->document);
}

static void drop_copies(struct bulk *b)
{
	free(b->name);
	buffer_fini(&b->document);
	b->name = NULL;
}

int bulk_take(struct bulk *b, struct request *r)
{
	if (copy_request(b, r) || !deferred_new(r)) {
		drop_copies(b);
		return errtext_set(&r->error, -ENOMEM, "out of memory");
	}
	b->request = (struct request){
		.control = r->control,
		.command = r->command,
		.name = b->name,
		.body = json_object_get(r->body),
		.document = buffer_slice(&b->document),
		.answer = json_object_new_object(),
		.deferred = r->deferred,
		.uid = r->uid,
	};
	b->busy = true;
	b->begun = false;
	b->beginnings = 0;
	ev_timer_set(&b->timer, 0., 0.);
	ev_timer_start(b->control->loop, &b->timer);
	return 0;
}

/* --- the end --- */

static void wake_all(struct bulk *b)
{
	struct waiter *next;

	for (struct waiter *w = b->waiters; w; w = next) {
		next = w->next;
		b->waiters = next;
		w->wake(w->context);
		free(w);
	}
	b->tail = &b->waiters;
}

static void end(struct bulk *b, int error)
{
	struct request *r = &b->request;

	store_close(b->aside);
	b->aside = NULL;
	b->busy = false;
	if (error)
		deferred_finish(r->deferred, error, r->error.text);
	else
		request_publish(r);
	request_forget(r);
	json_object_put(r->body);
	json_object_put(r->answer);
	drop_copies(b);
	wake_all(b);
}

/* --- steps --- */

static int take_steps(struct bulk *b, int64_t until_ns)
{
	struct request *r = &b->request;
	int rc = b->begun ? 0 : request_begin(r);

	b->begun = true;
	if (!rc)
		rc = request_step(r, until_ns);
	return rc == 1 ? rc : request_end(r, rc);
}

/* On the connection aside, which handlers take for the store. */
static int work_aside(struct bulk *b)
{
	struct store *store = b->control->store;

	b->control->store = b->aside;
	int rc = take_steps(b, clock_monotonic_ns() + BULK_STEP_NS);
	b->control->store = store;
	return rc;
}

/* -EAGAIN: it begins again. */
static int work(struct bulk *b)
{
	bool is_aside = b->beginnings < BULK_BEGINNINGS;

	if (!b->begun)
		b->beginnings++;
	if (is_aside && !b->aside && store_open_aside(b->control->store, &b->aside, NULL))
		is_aside = false;
	if (!is_aside)
		return take_steps(b, 0);
	int rc = work_aside(b);
	return store_is_lost(b->aside) ? -EAGAIN : rc;
}

static void begin_again(struct bulk *b)
{
	log_event(LOG_LEVEL_DEBUG, "a change of many parts begins again: another change came first",
		LOG_STR("noun", b->request.command->noun), LOG_INT("beginnings", b->beginnings));
	request_forget(&b->request);
	b->begun = false;
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct bulk *b = timer->data;
	int rc = work(b);

	(void)events;
	if (rc == -EAGAIN)
		begin_again(b);
	else if (rc != 1) {
		end(b, rc);
		return;
	}
	ev_timer_set(timer, 0., 0.);
	ev_timer_start(loop, timer);
}

/* --- waiting --- */

bool bulk_is_busy(const struct bulk *b)
{
	return b && b->busy;
}

int bulk_wait(struct bulk *b, void (*wake)(void *context), void *context)
{
	struct waiter *w = malloc(sizeof(*w));

	if (!w)
		return -ENOMEM;
	*w = (struct waiter){NULL, wake, context};
	*b->tail = w;
	b->tail = &w->next;
	return 0;
}

/* --- start and end --- */

struct bulk *bulk_new(struct control *c)
{
	struct bulk *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->control = c;
	b->tail = &b->waiters;
	ev_timer_init(&b->timer, on_timer, 0., 0.);
	b->timer.data = b;
	return b;
}

void bulk_free(struct bulk *b)
{
	if (!b)
		return;
	ev_timer_stop(b->control->loop, &b->timer);
	if (b->busy) {
		errtext_set(&b->request.error, -EPIPE, "the relay stops");
		end(b, -EPIPE);
	}
	wake_all(b);
	free(b);
}
