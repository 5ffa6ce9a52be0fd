#include "admin/control.h"
#include "admin/publish/generation.h"
#include "admin/publish/haproxy_sync_parts.h"
#include "admin/publish/offload.h"
#include "common/board.h"
#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <stdlib.h>

/* The second half. */
struct forcing {
	struct haproxy_forcing work; /* first: a job is the whole */
	struct haproxy_sync *owner;
	haproxy_finished_fn *done;
	void *context;
	enum haproxy_reload when;
	bool is_new;
};

/* Until HAProxy starts for the first time, there is no HAProxy that could lack a change. */
static bool was_started(const struct haproxy_sync *h)
{
	const struct board *b = h->control->board;

	return (b && board_get(&b->frames[0])) || haproxy_sync_loaded(h->control->store) > 0;
}

/* A reload failed: whether what was asked for is not in force. */
static bool is_missing(const struct haproxy_sync *h, const struct forcing *f)
{
	switch (f->when) {
	case HAPROXY_RELOAD_ALWAYS:
		return true;
	case HAPROXY_RELOAD_IF_CHANGED:
		return f->work.runs;
	case HAPROXY_RELOAD_SOON:
		return f->is_new && (f->work.runs || was_started(h));
	case HAPROXY_RELOAD_LATER:
		break;
	}
	return false;
}

int64_t haproxy_sync_wait_ms(const struct haproxy_sync *h)
{
	int64_t age_ms = clock_monotonic_ms() - h->reloaded_ms;

	if (!h->reloaded_ms || age_ms >= HAPROXY_SYNC_TOGETHER_MS)
		return 0;
	return HAPROXY_SYNC_TOGETHER_MS - age_ms;
}

bool haproxy_sync_is_due_later(const struct haproxy_sync *h)
{
	return h->pending && !h->failed && !h->deferred && haproxy_sync_wait_ms(h) > 0;
}

/* The files are in place; the timer reloads, for all changes of these seconds. */
static enum haproxy_outcome leave_to_timer(struct haproxy_sync *h, bool is_new)
{
	bool brings_reload = is_new || h->deferred;

	h->deferred = false;
	h->promised |= brings_reload;
	return brings_reload ? HAPROXY_PENDING : HAPROXY_UNCHANGED;
}

static void take_look(struct haproxy_sync *h, const struct haproxy_look *look)
{
	h->look = *look;
	if (h->pending && !h->failed && !h->unwritten && !h->forcing && look->gen &&
		look->gen == generation_current(h->control->store))
		haproxy_sync_mark_loaded(h);
}

/* HAProxy may have started since the files were written. Negative: it does not answer. */
static int take_loaded(struct haproxy_sync *h, const struct forcing *f)
{
	if (f->work.asks && f->work.loaded > 0)
		haproxy_sync_mark_loaded(h);
	if (!f->work.asks || f->work.loaded >= 0)
		return 0;
	haproxy_sync_note(h, &f->work.loaded_why);
	return f->work.loaded;
}

static int take_written(struct haproxy_sync *h, struct forcing *f)
{
	if (!f->work.writes)
		return 0;
	if (f->work.write_error) {
		h->texts = f->work.texts;
		f->work.texts = (struct haproxy_texts){0};
		return f->work.write_error;
	}
	h->unwritten = false;
	h->deferred = false;
	return 0;
}

/* The files are in place. 0, or a negative code with the reason. */
static int take_reloaded(
	struct haproxy_sync *h, const struct forcing *f, struct haproxy_report *ret)
{
	int error = f->work.reload_error;

	if (f->when == HAPROXY_RELOAD_LATER) {
		h->deferred = !h->promised;
		return 0;
	}
	if (!f->work.reloads) {
		ret->outcome = leave_to_timer(h, f->is_new);
		return 0;
	}
	ret->failed = error && is_missing(h, f);
	if (error) {
		ret->error = f->work.why;
		return error;
	}
	haproxy_sync_mark_loaded(h);
	log_event(LOG_LEVEL_INFO, "haproxy reloaded", LOG_INT("gen", f->work.gen));
	if (f->when == HAPROXY_RELOAD_SOON)
		h->reloaded_ms = clock_monotonic_ms();
	ret->outcome = HAPROXY_RELOADED;
	return 0;
}

static void conclude(struct haproxy_sync *h, struct forcing *f, struct haproxy_report *ret)
{
	*ret = (struct haproxy_report){.outcome = HAPROXY_PENDING};
	if (take_loaded(h, f) && f->work.needs_answer) {
		ret->error = f->work.loaded_why;
		return;
	}
	int error = take_written(h, f);
	ret->failed = ret->unwritten = error || h->failed;
	if (error) {
		ret->error = f->work.why;
	} else if (h->failed) {
		ret->error = h->error;
		h->deferred |= f->when == HAPROXY_RELOAD_LATER && !h->promised;
	} else if (!h->pending) {
		h->error.text[0] = '\0';
		ret->outcome = HAPROXY_UNCHANGED;
	} else {
		error = take_reloaded(h, f, ret);
	}
	if (error)
		haproxy_sync_note(h, &ret->error);
}

static void on_forced(struct offload_job *job, bool ran)
{
	struct forcing *f = (struct forcing *)job;
	struct haproxy_sync *h = f->owner;
	struct haproxy_report report;

	if (!ran) {
		f->work.writes = f->work.reloads = f->work.asks = false;
		errtext_set(&f->work.why, 0, "the relay stops");
	}
	h->forcing = false;
	conclude(h, f, &report);
	if (ran)
		take_look(h, &f->work.look);
	f->done(f->context, &report);
	haproxy_texts_fini(&f->work.texts);
	free(f);
}

static bool reloads_now(const struct haproxy_sync *h, enum haproxy_reload when)
{
	return h->pending && !h->failed && when != HAPROXY_RELOAD_LATER &&
		!(when == HAPROXY_RELOAD_SOON && haproxy_sync_wait_ms(h) > 0);
}

static void fill_forcing(struct haproxy_sync *h, struct forcing *f)
{
	const struct control *c = h->control;
	const struct haproxy_place place = haproxy_sync_place(h, h->options);

	f->work.job = (struct offload_job){.work = haproxy_forcing_work, .done = on_forced};
	f->work.config = c->config;
	f->work.gen = generation_current(c->store);
	f->work.connected = c->board && board_get(&c->board->counters[BOARD_SPOP_CONNECTIONS]);
	haproxy_where_set(&f->work.where, &place);
	f->work.needs_answer = f->when == HAPROXY_RELOAD_SOON;
	f->work.writes = h->unwritten;
	f->work.reloads = reloads_now(h, f->when);
	if (!h->unwritten)
		return;
	f->work.texts = h->texts;
	h->texts = (struct haproxy_texts){0};
}

/* Without the options of a rendering there is nothing to bring into force. */
static void report_nothing(haproxy_finished_fn *done, void *context)
{
	const struct haproxy_report report = {.outcome = HAPROXY_UNCHANGED};

	done(context, &report);
}

static void report_no_memory(haproxy_finished_fn *done, void *context)
{
	struct haproxy_report report = {.outcome = HAPROXY_PENDING, .failed = true};

	errtext_set(&report.error, -ENOMEM, "out of memory");
	done(context, &report);
}

void haproxy_sync_finish(
	struct haproxy_sync *h, enum haproxy_reload when, haproxy_finished_fn *done, void *context)
{
	bool asked = when == HAPROXY_RELOAD_ALWAYS;

	if (!h->options) {
		report_nothing(done, context);
		return;
	}
	struct forcing *f = calloc(1, sizeof(*f));
	if (!f) {
		report_no_memory(done, context);
		return;
	}
	f->owner = h;
	f->done = done;
	f->context = context;
	f->when = when;
	f->is_new = h->unwritten || h->failed;
	if (asked && !h->failed)
		h->pending = true;
	f->work.asks = h->pending && !asked && !f->is_new;
	fill_forcing(h, f);
	h->forcing = true;
	offload_run(h->control->worker, &f->work.job);
}

bool haproxy_sync_owes(const struct haproxy_sync *h)
{
	return h->options && (h->pending || h->failed) && was_started(h);
}

bool haproxy_sync_retry(
	struct haproxy_sync *h, bool *ret_reload, haproxy_finished_fn *done, void *context)
{
	*ret_reload = !h->deferred;
	if (h->options && h->failed)
		return true;
	if (h->options && h->pending)
		haproxy_sync_finish(
			h, h->deferred ? HAPROXY_RELOAD_LATER : HAPROXY_RELOAD_SOON, done, context);
	else
		report_nothing(done, context);
	return false;
}

/* --- state --- */

struct looking {
	struct offload_job job;
	struct haproxy_sync *owner;
	struct config config;
	struct haproxy_look look;
	void (*done)(void *context);
	void *context;
};

static void look(struct offload_job *job)
{
	struct looking *l = (struct looking *)job;

	l->look = haproxy_look_now(&l->config);
}

static void on_looked(struct offload_job *job, bool ran)
{
	struct looking *l = (struct looking *)job;

	if (ran)
		take_look(l->owner, &l->look);
	if (l->done)
		l->done(l->context);
	free(l);
}

int haproxy_sync_look(struct haproxy_sync *h, void (*done)(void *context), void *context)
{
	struct looking *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->job = (struct offload_job){.work = look, .done = on_looked};
	l->owner = h;
	l->config = h->control->config;
	l->done = done;
	l->context = context;
	offload_run(h->control->asker, &l->job);
	return 0;
}

void haproxy_sync_state(struct haproxy_sync *h, struct haproxy_state *ret)
{
	if (!h->control->loop)
		haproxy_sync_look(h, NULL, NULL); /* at once */
	*ret = (struct haproxy_state){
		.gen = generation_current(h->control->store),
		.loaded = haproxy_sync_loaded(h->control->store),
		.pending = h->pending || h->failed,
		.output_dir = haproxy_sync_output_dir(h),
		.error = h->error.text,
		.answers = h->look.answers,
		.status = h->look.status,
	};
}
