#include "admin/publish/change.h"

#include "admin/control.h"
#include "admin/publish/publish.h"
#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <ev.h>
#include <stdlib.h>

#define RELOAD_MARGIN_S 0.005
#define RELOAD_BUSY_S 0.1

/* A change whose outcome somebody waits for. */
struct change {
	struct change *next;
	enum change_reach reach;
	struct change_outcome outcome; /* of one that waits for a shared reload: so far */
	struct json_object *options;   /* of `haproxy render`; NULL = another change */
	change_done_fn *done;
	void *context;
};

struct round {
	bool under_way;
	enum change_reach reach;
	uint64_t version;
	int64_t end_ms;		/* monotonic */
	struct change *changes; /* NULL = nobody waits */
};

struct changes {
	struct control *control;
	/* of the next round */
	bool wanted;
	enum change_reach reach;
	struct change *queue; /* oldest first */
	struct change **tail;
	struct round round;
	struct change *waiters; /* in force at the agent; a shared reload is to come */
	ev_timer timer;		/* the end of the round */
	ev_timer reload;	/* that changes share */
};

/* --- the queue --- */

static int add(struct changes *all, const struct change *given)
{
	struct change *change = malloc(sizeof(*change));

	if (!change)
		return -ENOMEM;
	*change = *given;
	*all->tail = change;
	all->tail = &change->next;
	return 0;
}

int change_publish(struct control *c, enum change_reach reach, change_done_fn *done, void *context)
{
	struct changes *all = c->changes;
	const struct change change = {.reach = reach, .done = done, .context = context};

	all->wanted = true;
	if (all->reach < reach)
		all->reach = reach;
	return done ? add(all, &change) : 0;
}

int change_render(
	struct control *c, struct json_object *options, change_done_fn *done, void *context)
{
	const struct change change = {.reach = CHANGE_HAPROXY,
		.options = json_object_get(options),
		.done = done,
		.context = context};
	int error = add(c->changes, &change);

	if (error)
		json_object_put(options);
	return error;
}

static struct change **take_first(struct changes *all, struct change **tail)
{
	struct change *change = all->queue;

	all->queue = change->next;
	if (!all->queue)
		all->tail = &all->queue;
	change->next = NULL;
	*tail = change;
	return &change->next;
}

/* A rendering with new options has a round by itself, because its error is no other change's error. */
static void take_changes(struct changes *all, struct round *r)
{
	struct change **tail = &r->changes;

	if (all->queue && all->queue->options) {
		take_first(all, tail);
		r->reach = CHANGE_HAPROXY;
		return;
	}
	r->reach = all->reach;
	all->reach = CHANGE_AGENT;
	all->wanted = false;
	while (all->queue && !all->queue->options)
		tail = take_first(all, tail);
}

/* --- the end of a round --- */

static void tell(const struct change *change, const struct change_outcome *o)
{
	struct change_outcome own = *o;

	if (change->reach == CHANGE_AGENT) {
		own.haproxy = HAPROXY_UNCHANGED;
		own.haproxy_error.text[0] = '\0';
	}
	if (change->reach < CHANGE_SOON)
		own.haproxy_failed = own.haproxy_unwritten && change->reach == CHANGE_FILES;
	if (change->reach == CHANGE_SOON && own.haproxy_shares) {
		own.haproxy_failed = true;
		errtext_set(&own.haproxy_error, 0,
			"changes within %d s share one reload, which is to come",
			HAPROXY_SYNC_TOGETHER_MS / 1000);
	}
	change->done(change->context, &own);
}

static void end_change(struct change *change, const struct change_outcome *o)
{
	tell(change, o);
	json_object_put(change->options);
	free(change);
}

static void end_changes(struct change *first, const struct change_outcome *o)
{
	struct change *next;

	for (struct change *change = first; change; change = next) {
		next = change->next;
		end_change(change, o);
	}
}

/* Who asked for a change that HAProxy must load hears of it when HAProxy has loaded it. */
static bool waits_for_reload(const struct change *change, const struct change_outcome *o)
{
	return !o->error && o->haproxy_shares && change->reach == CHANGE_HAPROXY &&
		!change->options;
}

static void end_round(struct changes *all, const struct change_outcome *o)
{
	struct change *next = all->round.changes;

	all->round = (struct round){.under_way = false};
	if (all->control->loop)
		ev_timer_stop(all->control->loop, &all->timer);
	for (struct change *change = next; change; change = next) {
		next = change->next;
		if (!waits_for_reload(change, o)) {
			end_change(change, o);
			continue;
		}
		change->outcome = *o;
		change->next = all->waiters;
		all->waiters = change;
	}
}

/* A reload was tried, or HAProxy was found to have all. */
static void end_waiters(struct changes *all, const struct haproxy_report *report)
{
	bool pending = report->outcome == HAPROXY_PENDING;
	struct change *next = all->waiters;

	all->waiters = NULL;
	for (struct change *change = next; change; change = next) {
		struct change_outcome o = change->outcome;
		next = change->next;
		o.haproxy = pending ? HAPROXY_PENDING : HAPROXY_RELOADED;
		o.haproxy_error = report->error;
		o.haproxy_failed = pending;
		o.haproxy_shares = false;
		end_change(change, &o);
	}
}

static void end_waiters_unless_shared(struct changes *all, const struct haproxy_report *report)
{
	if (!haproxy_sync_is_due_later(all->control->haproxy))
		end_waiters(all, report);
}

static void start_reload_timer(struct changes *all)
{
	const struct haproxy_sync *h = all->control->haproxy;
	struct ev_loop *loop = all->control->loop;

	if (!loop || ev_is_active(&all->reload) || !haproxy_sync_is_due_later(h))
		return;
	ev_timer_set(&all->reload, (double)haproxy_sync_wait_ms(h) / 1000 + RELOAD_MARGIN_S, 0.);
	ev_timer_start(loop, &all->reload);
}

static void finish_haproxy(struct changes *all, struct change_outcome *o)
{
	static const enum haproxy_reload reloads[] = {
		[CHANGE_FILES] = HAPROXY_RELOAD_LATER,
		[CHANGE_SOON] = HAPROXY_RELOAD_SOON,
		[CHANGE_HAPROXY] = HAPROXY_RELOAD_SOON,
		[CHANGE_NOW] = HAPROXY_RELOAD_IF_CHANGED,
		[CHANGE_RELOAD] = HAPROXY_RELOAD_ALWAYS,
	};
	const struct round *r = &all->round;
	bool is_rendering = r->changes && r->changes->options;
	struct haproxy_report report;

	if (r->reach == CHANGE_AGENT)
		return;
	haproxy_sync_finish(all->control->haproxy,
		is_rendering ? HAPROXY_RELOAD_IF_CHANGED : reloads[r->reach], &report);
	start_reload_timer(all);
	end_waiters_unless_shared(all, &report);
	o->haproxy = report.outcome;
	o->haproxy_error = report.error;
	o->haproxy_failed = report.failed;
	o->haproxy_unwritten = report.unwritten;
	o->haproxy_shares = report.outcome == HAPROXY_PENDING && !report.error.text[0] &&
		haproxy_sync_is_due_later(all->control->haproxy);
}

/* The round is over when the agent has answered, or when the time is up. */
static bool is_over(const struct changes *all, struct change_outcome *o)
{
	const struct round *r = &all->round;
	const struct control *c = all->control;
	const char *refusal = publish_refusal(c->publish, r->version);

	o->acknowledged = publish_acknowledged(c->publish) >= r->version;
	if (o->acknowledged)
		return true;
	if (refusal)
		errtext_set(&o->warning, 0, "the agent refused the snapshot: %s", refusal);
	else if (!c->keeper_gone && clock_monotonic_ms() < r->end_ms)
		return false;
	else if (publish_fd(c->publish) < 0)
		errtext_set(&o->warning, 0,
			"the agent is not running; it will have the change when it is back");
	else
		errtext_set(&o->warning, 0, "the agent has not acknowledged the change yet");
	log_event(LOG_LEVEL_WARNING, "change is not in force yet", LOG_INT("version", r->version),
		LOG_STR("reason", o->warning.text));
	return true;
}

/* --- the beginning of a round --- */

static int prepare_haproxy(struct changes *all, struct errtext *e)
{
	struct haproxy_sync *h = all->control->haproxy;
	const struct round *r = &all->round;

	if (r->changes && r->changes->options)
		return haproxy_sync_render(h, r->changes->options, e);
	if (r->reach != CHANGE_AGENT)
		haproxy_sync_prepare(h); /* a failure is reported by haproxy_sync_finish() */
	return 0;
}

static int begin(struct changes *all, struct errtext *e)
{
	struct publish *p = all->control->publish;
	int error = prepare_haproxy(all, e);

	if (error)
		return error;
	error = publish_build(p, e);
	if (error) {
		log_event(LOG_LEVEL_ERROR, "a change is stored but not in force",
			LOG_STR("reason", e->text));
		return errtext_prefix(e, error, "the change is stored but not in force");
	}
	publish_send(p);
	all->round.version = publish_version(p);
	all->round.end_ms = clock_monotonic_ms() + CHANGE_ACK_MS;
	return 0;
}

static void begin_round(struct changes *all)
{
	struct change_outcome o = {.haproxy = HAPROXY_UNCHANGED};
	struct ev_loop *loop = all->control->loop;

	all->round = (struct round){.under_way = true};
	take_changes(all, &all->round);
	o.error = begin(all, &o.reason);
	if (o.error) {
		end_round(all, &o);
	} else if (loop) {
		ev_timer_set(&all->timer, (double)CHANGE_ACK_MS / 1000, 0.);
		ev_timer_start(loop, &all->timer);
	}
}

/* Nobody is left waiting by a relay that stops: the next start reloads HAProxy. */
static void end_at_stop(struct changes *all)
{
	struct haproxy_report report = {.outcome = HAPROXY_PENDING};

	errtext_set(&report.error, 0, "the relay stops; HAProxy is reloaded when it starts again");
	end_waiters(all, &report);
}

static void run_rounds(struct changes *all)
{
	while (changes_busy(all)) {
		struct change_outcome o = {.haproxy = HAPROXY_UNCHANGED};
		if (!all->round.under_way) {
			begin_round(all);
			continue;
		}
		if (!is_over(all, &o))
			return;
		finish_haproxy(all, &o);
		end_round(all, &o);
	}
}

void changes_run(struct changes *all)
{
	run_rounds(all);
	if (all->control->draining)
		end_at_stop(all);
}

bool changes_busy(const struct changes *all)
{
	return all->round.under_way || all->wanted || all->queue;
}

/* A round that is under way writes the files itself, after the agent's answer and not before. */
void changes_retry(struct changes *all)
{
	struct haproxy_report report;
	bool reload = false;

	if (changes_busy(all))
		return;
	if (haproxy_sync_retry(all->control->haproxy, &reload, &report))
		change_publish(all->control, reload ? CHANGE_HAPROXY : CHANGE_FILES, NULL, NULL);
	else
		end_waiters_unless_shared(all, &report);
}

/* --- start and end --- */

static void on_reload(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct changes *all = timer->data;

	(void)events;
	if (changes_busy(all)) {
		ev_timer_set(timer, RELOAD_BUSY_S, 0.);
		ev_timer_start(loop, timer);
		return;
	}
	changes_retry(all);
	start_reload_timer(all);
}

/* Wakes the loop; it may be some microseconds early, then changes_run() looks again. */
static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct changes *all = timer->data;

	(void)events;
	changes_run(all);
	if (all->round.under_way && !ev_is_active(timer)) {
		ev_timer_set(timer, 0.001, 0.);
		ev_timer_start(loop, timer);
	}
}

struct changes *changes_new(struct control *c)
{
	struct changes *all = calloc(1, sizeof(*all));

	if (!all)
		return NULL;
	all->control = c;
	all->tail = &all->queue;
	ev_timer_init(&all->timer, on_timer, 0., 0.);
	all->timer.data = all;
	ev_timer_init(&all->reload, on_reload, 0., 0.);
	all->reload.data = all;
	return all;
}

void changes_free(struct changes *all)
{
	struct change_outcome o = {.error = -EPIPE};

	if (!all)
		return;
	errtext_set(&o.reason, 0, "the relay stops");
	end_round(all, &o);
	end_changes(all->queue, &o);
	end_at_stop(all);
	if (all->control->loop)
		ev_timer_stop(all->control->loop, &all->reload);
	free(all);
}
