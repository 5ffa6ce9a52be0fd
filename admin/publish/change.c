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

enum stage {
	STAGE_IDLE,
	STAGE_PREPARE, /* HAProxy checks the new files */
	STAGE_AGENT,   /* the agent has the snapshot and has not answered yet */
	STAGE_HAPROXY, /* the files are written and HAProxy reloads */
};

struct round {
	enum stage stage;
	enum change_reach reach;
	uint64_t version;
	int64_t end_ms;		/* monotonic */
	struct change *changes; /* NULL = nobody waits */
	struct change_outcome outcome;
};

/* Rounds, one after the other. */
struct lane {
	struct changes *all;
	/* of the next round */
	bool wanted;
	enum change_reach reach;
	struct change *queue; /* oldest first */
	struct change **tail;
	struct round round;
	ev_timer timer; /* the end of the wait for the agent */
};

/* A change for the agent alone does not wait until HAProxy has checked or reloaded. */
struct changes {
	struct control *control;
	struct lane agent;
	struct lane haproxy;
	bool retrying;
	struct change *waiters; /* in force at the agent; a shared reload is to come */
	ev_timer reload;	/* that changes share */
};

/* --- the queue --- */

static int add(struct lane *l, const struct change *given)
{
	struct change *change = malloc(sizeof(*change));

	if (!change)
		return -ENOMEM;
	*change = *given;
	*l->tail = change;
	l->tail = &change->next;
	return 0;
}

int change_publish(struct control *c, enum change_reach reach, change_done_fn *done, void *context)
{
	struct lane *l = reach == CHANGE_AGENT ? &c->changes->agent : &c->changes->haproxy;
	const struct change change = {.reach = reach, .done = done, .context = context};

	l->wanted = true;
	if (l->reach < reach)
		l->reach = reach;
	return done ? add(l, &change) : 0;
}

int change_render(
	struct control *c, struct json_object *options, change_done_fn *done, void *context)
{
	const struct change change = {.reach = CHANGE_HAPROXY,
		.options = json_object_get(options),
		.done = done,
		.context = context};
	int error = add(&c->changes->haproxy, &change);

	if (error)
		json_object_put(options);
	return error;
}

static struct change **take_first(struct lane *l, struct change **tail)
{
	struct change *change = l->queue;

	l->queue = change->next;
	if (!l->queue)
		l->tail = &l->queue;
	change->next = NULL;
	*tail = change;
	return &change->next;
}

/* A rendering with new options has a round by itself, because its error is no other change's error. */
static void take_changes(struct lane *l, struct round *r)
{
	struct change **tail = &r->changes;

	if (l->queue && l->queue->options) {
		take_first(l, tail);
		r->reach = CHANGE_HAPROXY;
		return;
	}
	r->reach = l->reach;
	l->reach = CHANGE_AGENT;
	l->wanted = false;
	while (l->queue && !l->queue->options)
		tail = take_first(l, tail);
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

static void end_round(struct lane *l, const struct change_outcome *o)
{
	struct changes *all = l->all;
	struct change *next = l->round.changes;

	l->round = (struct round){.stage = STAGE_IDLE};
	if (all->control->loop)
		ev_timer_stop(all->control->loop, &l->timer);
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

static void on_finished(void *context, const struct haproxy_report *report)
{
	struct lane *l = context;
	struct changes *all = l->all;
	struct change_outcome o = l->round.outcome;

	start_reload_timer(all);
	end_waiters_unless_shared(all, report);
	o.haproxy = report->outcome;
	o.haproxy_error = report->error;
	o.haproxy_failed = report->failed;
	o.haproxy_unwritten = report->unwritten;
	o.haproxy_shares = report->outcome == HAPROXY_PENDING && !report->error.text[0] &&
		haproxy_sync_is_due_later(all->control->haproxy);
	end_round(l, &o);
}

static void finish(struct lane *l)
{
	static const enum haproxy_reload reloads[] = {
		[CHANGE_FILES] = HAPROXY_RELOAD_LATER,
		[CHANGE_SOON] = HAPROXY_RELOAD_SOON,
		[CHANGE_HAPROXY] = HAPROXY_RELOAD_SOON,
		[CHANGE_NOW] = HAPROXY_RELOAD_IF_CHANGED,
		[CHANGE_RELOAD] = HAPROXY_RELOAD_ALWAYS,
	};
	struct round *r = &l->round;
	bool is_rendering = r->changes && r->changes->options;

	if (r->reach == CHANGE_AGENT) {
		const struct change_outcome o = r->outcome;
		end_round(l, &o);
		return;
	}
	r->stage = STAGE_HAPROXY;
	haproxy_sync_finish(l->all->control->haproxy,
		is_rendering ? HAPROXY_RELOAD_IF_CHANGED : reloads[r->reach], on_finished, l);
}

/* The keeper ends the agent before control: then it answers no more. */
static bool may_answer(const struct control *c)
{
	return !c->keeper_gone && !(c->draining && publish_fd(c->publish) < 0);
}

/* The agent has answered, or the time is up. */
static bool is_answered(struct lane *l)
{
	struct round *r = &l->round;
	struct change_outcome *o = &r->outcome;
	const struct control *c = l->all->control;
	const char *refusal = publish_refusal(c->publish, r->version);

	o->acknowledged = publish_acknowledged(c->publish) >= r->version;
	if (o->acknowledged)
		return true;
	if (refusal)
		errtext_set(&o->warning, 0, "the agent refused the snapshot: %s", refusal);
	else if (may_answer(c) && clock_monotonic_ms() < r->end_ms)
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

static int publish(struct lane *l, struct errtext *e)
{
	struct publish *p = l->all->control->publish;
	int error = publish_build(p, e);

	if (error) {
		log_event(LOG_LEVEL_ERROR, "a change is stored but not in force",
			LOG_STR("reason", e->text));
		return errtext_prefix(e, error, "the change is stored but not in force");
	}
	publish_send(p);
	l->round.version = publish_version(p);
	l->round.end_ms = clock_monotonic_ms() + CHANGE_ACK_MS;
	return 0;
}

static void on_prepared(void *context, int error, const struct errtext *why)
{
	struct lane *l = context;
	struct ev_loop *loop = l->all->control->loop;
	struct change_outcome o = {.error = error, .reason = *why, .haproxy = HAPROXY_UNCHANGED};

	if (!o.error)
		o.error = publish(l, &o.reason);
	if (o.error) {
		end_round(l, &o);
		return;
	}
	l->round.stage = STAGE_AGENT;
	if (!loop)
		return;
	ev_timer_set(&l->timer, (double)CHANGE_ACK_MS / 1000, 0.);
	ev_timer_start(loop, &l->timer);
}

static void begin_round(struct lane *l)
{
	const struct errtext nothing = {""};
	struct haproxy_sync *h = l->all->control->haproxy;
	struct round *r = &l->round;

	*r = (struct round){.stage = STAGE_PREPARE, .outcome.haproxy = HAPROXY_UNCHANGED};
	take_changes(l, r);
	if (r->changes && r->changes->options)
		haproxy_sync_render(h, r->changes->options, on_prepared, l);
	else if (r->reach != CHANGE_AGENT)
		haproxy_sync_prepare(h, on_prepared, l);
	else
		on_prepared(l, 0, &nothing);
}

/* Nobody is left waiting by a relay that stops: the next start reloads HAProxy. */
static void end_at_stop(struct changes *all)
{
	struct haproxy_report report = {.outcome = HAPROXY_PENDING};

	errtext_set(&report.error, 0, "the relay stops; HAProxy is reloaded when it starts again");
	end_waiters(all, &report);
}

static bool is_busy(const struct lane *l)
{
	return l->round.stage != STAGE_IDLE || l->wanted || l->queue;
}

/* Jobs of HAProxy's go on by themselves. */
static void run_lane(struct lane *l)
{
	while (is_busy(l) &&
		!(l->all->retrying && l->round.stage == STAGE_IDLE && l == &l->all->haproxy)) {
		switch (l->round.stage) {
		case STAGE_IDLE:
			begin_round(l);
			break;
		case STAGE_AGENT:
			if (!is_answered(l))
				return;
			finish(l);
			break;
		case STAGE_PREPARE:
		case STAGE_HAPROXY:
			return;
		}
	}
}

void changes_run(struct changes *all)
{
	run_lane(&all->agent);
	run_lane(&all->haproxy);
	if (all->control->draining)
		end_at_stop(all);
}

bool changes_busy(const struct changes *all)
{
	return is_busy(&all->agent) || is_busy(&all->haproxy) || all->retrying;
}

static void on_retried(void *context, const struct haproxy_report *report)
{
	struct changes *all = context;

	all->retrying = false;
	start_reload_timer(all);
	end_waiters_unless_shared(all, report);
}

/* A round that is under way writes the files itself, after the agent's answer and not before. */
void changes_retry(struct changes *all)
{
	bool reload = false;

	if (is_busy(&all->haproxy) || all->retrying)
		return;
	all->retrying = true;
	if (!haproxy_sync_retry(all->control->haproxy, &reload, on_retried, all))
		return;
	all->retrying = false;
	change_publish(all->control, reload ? CHANGE_HAPROXY : CHANGE_FILES, NULL, NULL);
}

/* --- start and end --- */

static void on_reload(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct changes *all = timer->data;

	(void)events;
	if (is_busy(&all->haproxy) || all->retrying) {
		ev_timer_set(timer, RELOAD_BUSY_S, 0.);
		ev_timer_start(loop, timer);
		return;
	}
	changes_retry(all);
}

/* Wakes the loop; it may be some microseconds early, then changes_run() looks again. */
static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct lane *l = timer->data;

	(void)events;
	changes_run(l->all);
	if (l->round.stage == STAGE_AGENT && !ev_is_active(timer)) {
		ev_timer_set(timer, 0.001, 0.);
		ev_timer_start(loop, timer);
	}
}

static void init_lane(struct changes *all, struct lane *l)
{
	l->all = all;
	l->tail = &l->queue;
	ev_timer_init(&l->timer, on_timer, 0., 0.);
	l->timer.data = l;
}

struct changes *changes_new(struct control *c)
{
	struct changes *all = calloc(1, sizeof(*all));

	if (!all)
		return NULL;
	all->control = c;
	init_lane(all, &all->agent);
	init_lane(all, &all->haproxy);
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
	end_round(&all->agent, &o);
	end_changes(all->agent.queue, &o);
	end_round(&all->haproxy, &o);
	end_changes(all->haproxy.queue, &o);
	end_at_stop(all);
	if (all->control->loop)
		ev_timer_stop(all->control->loop, &all->reload);
	free(all);
}
