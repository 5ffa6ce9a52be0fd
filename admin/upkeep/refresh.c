#include "admin/upkeep/refresh.h"

#include "admin/control.h"
#include "admin/publish/change.h"
#include "admin/store/notices.h"
#include "admin/store/store.h"
#include "admin/upkeep/outbound.h"
#include "admin/upkeep/refresh_body.h"
#include "admin/upkeep/refresh_gate.h"
#include "admin/upkeep/refresh_journal.h"
#include "admin/upkeep/refresh_list.h"
#include "admin/upkeep/refresh_send.h"
#include "admin/upkeep/refresh_settle.h"
#include "common/board.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/refusal.h"

#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>

#define TICK_S 0.2
#define SCAN_MS 5000	    /* longest time between two scans of the store */
#define STORE_PAUSE_MS 1000 /* pause after an error of the store */
#define RENEWED_PAUSE_MS 1000
#define ALARM_MS 60000 /* between two lines about a token that cannot be saved */

struct refresh {
	struct control *control;
	ev_timer tick;
	struct refresh_list list;
	struct refresh_gates gates;
	struct refresh_waiters waiters;
	uint64_t counts[REFRESH_OUTCOME_COUNT];
	/* from the last scan */
	uint64_t version, changes;
	int64_t scanned_ms;
	bool failed; /* the last store error is in the log already */
	bool draining;
};

static void leave_gate(struct refresh_item *item)
{
	struct refresh *r = item->owner;

	refresh_gate_leave(&r->gates, item->gate, clock_monotonic_ms(),
		(int64_t)r->control->config.health_refresh_pause_ms);
}

/* --- outcomes --- */

static void log_settled(const struct refresh_item *item, const struct refresh_settled *s)
{
	char until[CLOCK_RFC3339_SIZE] = "";

	if (s->expires_ms)
		clock_format_rfc3339(s->expires_ms, until);
	if (s->action.step == REFRESH_COMMIT && s->renewed)
		log_event(LOG_LEVEL_INFO, "token refreshed", LOG_STR("account", item->name),
			LOG_STR("expires_at", until));
	else if (s->action.step == REFRESH_FORGET)
		log_event(LOG_LEVEL_INFO,
			"refresh discarded: the credential was replaced during it",
			LOG_STR("account", item->name));
	else
		log_event(LOG_LEVEL_WARNING, "token refresh failed", LOG_STR("account", item->name),
			LOG_STR("outcome", refresh_outcome_name(s->outcome)),
			LOG_STR("reason", *s->reason ? s->reason : s->fault.text),
			LOG_INT("failures", item->failures),
			LOG_INT("again_in_ms", s->action.pause_ms));
}

/* If the reply has no access token, or an expired one, a growing pause avoids a refresh loop. */
static int64_t pause_of_success(struct refresh_item *item, const struct refresh_settled *s)
{
	bool lasts = !s->expires_ms || s->expires_ms > clock_wall_ms();

	if (!s->renewed) {
		item->owed = true;
		item->useless++;
		return s->action.pause_ms;
	}
	item->owed = false;
	if (!lasts)
		return refresh_useless_pause_ms(REFRESH_EXPIRED_PAUSE_MS, item->useless++);
	item->useless = 0;
	return RENEWED_PAUSE_MS;
}

static void take_success(struct refresh_item *item, const struct refresh_settled *s)
{
	item->failures = item->retries = 0;
	item->generation = -1;
	item->renewed_ms = clock_monotonic_ms();
	item->not_before_ms = item->renewed_ms + pause_of_success(item, s);
}

static void tell_settled(struct refresh_item *item, const struct refresh_settled *s)
{
	static const int errors[REFRESH_OUTCOME_COUNT] = {
		[REFRESH_LOST] = -ETIMEDOUT,
		[REFRESH_NOT_SENT] = -ECONNREFUSED,
		[REFRESH_REFUSED] = -EBUSY,
		[REFRESH_REJECTED] = -EBUSY,
		[REFRESH_KEPT] = -EBUSY,
	};
	struct refresh_waiters *w = &item->owner->waiters;

	if (s->action.step == REFRESH_FORGET)
		refresh_waiters_tell(
			w, item->account, -EBUSY, "the credential was replaced during the refresh");
	else
		refresh_waiters_tell(
			w, item->account, errors[s->outcome], refresh_outcome_text(s->outcome));
}

static void take_settled(struct refresh_item *item, const struct refresh_settled *s)
{
	struct refresh *r = item->owner;

	r->counts[s->outcome] += s->action.step != REFRESH_FORGET;
	item->has_reply = false;
	item->not_before_ms = clock_monotonic_ms() + s->action.pause_ms;
	switch (s->action.step) {
	case REFRESH_COMMIT:
		take_success(item, s);
		break;
	case REFRESH_REPEAT:
		item->failures++;
		item->retries = 0;
		break;
	case REFRESH_RETRY:
		item->failures++;
		item->retries++;
		break;
	case REFRESH_FORGET:
	case REFRESH_LOGIN:
		break;
	}
	log_settled(item, s);
	if (s->action.step == REFRESH_COMMIT || s->action.step == REFRESH_LOGIN)
		change_publish(r->control, CHANGE_AGENT, NULL, NULL);
	tell_settled(item, s);
	r->version = UINT64_MAX; /* forces a scan of the store */
}

static void note_store(struct refresh *r, int error, const struct errtext *e)
{
	if (error && !r->failed)
		log_event(LOG_LEVEL_ERROR, "refreshes paused: the store failed",
			LOG_STR("reason", e->text));
	r->failed = error != 0;
}

/* If the store fails, the journal keeps the row, and a later tick tries again. */
static void settle(struct refresh_item *item, enum refresh_outcome outcome)
{
	struct control *c = item->owner->control;
	const struct refresh_account account = {
		item->account, item->name, item->failures, item->retries, item->useless};
	struct refresh_settled settled;
	struct errtext e = {""};
	int error = refresh_settle(c->store, c->vault, &account, outcome, &settled, &e);

	if (!error)
		take_settled(item, &settled);
	else
		item->not_before_ms = clock_monotonic_ms() + STORE_PAUSE_MS;
	note_store(item->owner, error == -ENOENT ? 0 : error, &e);
}

/* --- replies --- */

/* Nothing that the relay tells is louder: with the process, the only copy of a token would go. */
static void alarm_unsaved(struct refresh_item *item, const struct errtext *why)
{
	struct store *s = item->owner->control->store;
	char subject[NOTICES_SUBJECT_SIZE];
	struct errtext message;
	int64_t now_ms = clock_monotonic_ms();

	if (item->alarm_ms > now_ms)
		return;
	item->alarm_ms = now_ms + ALARM_MS;
	errtext_set(&message, 0,
		"the only copy of a refreshed token is in memory, since it cannot be saved: do not stop "
		"or restart the relay before the store takes it; else log in again (%.200s)",
		why->text);
	log_event(LOG_LEVEL_ERROR, "a refreshed token cannot be saved",
		LOG_STR("account", item->name), LOG_STR("reason", message.text));
	notices_raise(s, NOTICE_TOKEN_UNSAVED, notices_subject("account", item->name, subject),
		message.text, NULL);
}

static void end_alarm(struct refresh_item *item)
{
	char subject[NOTICES_SUBJECT_SIZE];

	if (!item->alarm_ms)
		return;
	item->alarm_ms = 0;
	log_event(LOG_LEVEL_INFO, "the refreshed token is saved", LOG_STR("account", item->name));
	notices_resolve(item->owner->control->store, NOTICE_TOKEN_UNSAVED,
		notices_subject("account", item->name, subject), NULL);
}

static void keep_unsaved(struct refresh_item *item, const struct refresh_raw *raw)
{
	if (item->unsaved_status)
		return;
	buffer_append_slice(&item->unsaved, raw->body);
	snprintf(item->unsaved_encoding, sizeof(item->unsaved_encoding), "%s", raw->encoding);
	item->unsaved_ms = raw->arrived_ms;
	item->unsaved_status = raw->status;
}

/* Writes the reply to the journal. While the store fails, the only copy is kept in memory. */
static void save_reply(struct refresh_item *item, const struct refresh_raw *raw)
{
	struct control *c = item->owner->control;
	struct errtext e = {""};
	int error = refresh_journal_reply(c->store, c->vault, item->account, item->parent, raw, &e);

	note_store(item->owner, error == -ENOENT ? 0 : error, &e);
	if (error && error != -ENOENT) {
		keep_unsaved(item, raw);
		alarm_unsaved(item, &e);
		return;
	}
	item->unsaved_status = 0;
	buffer_fini(&item->unsaved);
	end_alarm(item);
	if (!error)
		settle(item, REFRESH_LOST);
}

/*
 * HAProxy's error codes show two cases in which the token host got no request: no connection (or no
 * backend), and a rejection by HAProxy. After any other error the token host may have used the
 * token.
 */
static enum refresh_outcome without_reply(const struct outbound_answer *a)
{
	const char *no_connection = refusal_row(REFUSAL_UPSTREAM_UNREACHABLE)->code;
	bool stopped = *a->code && (strcmp(a->code, no_connection) == 0 || a->status < 500);

	return a->sent && !stopped ? REFRESH_LOST : REFRESH_NOT_SENT;
}

static void on_answer(void *context, const struct outbound_answer *a)
{
	struct refresh_item *item = context;

	item->call = NULL;
	leave_gate(item);
	if (!a->whole || *a->code)
		log_event(LOG_LEVEL_INFO, "refresh reply missing or incomplete",
			LOG_STR("account", item->name), LOG_INT("status", a->status),
			LOG_STR("code", a->code), LOG_STR("reason", a->failure));
	if (a->status && !*a->code)
		save_reply(item,
			&(struct refresh_raw){a->status, a->body, a->encoding, clock_wall_ms(), 0});
	else
		settle(item, without_reply(a));
}

/* --- sending --- */

static int send_it(struct refresh_item *item, const struct refresh_send *s, struct errtext *e)
{
	struct control *c = item->owner->control;
	const struct outbound_request request = {
		.socket = c->config.haproxy_internal_socket.s,
		.method = "POST",
		.target = s->target,
		.headers = {slice_from_str(s->backend), slice_from_str(s->content_type),
			SLICE_LITERAL("Accept: application/json"),
			SLICE_LITERAL("Accept-Encoding: identity"),
			SLICE_LITERAL("User-Agent: spoa-relay")},
		.body = buffer_slice(&s->body),
		.answer_max = REFRESH_BODY_MAX,
		.timeout_ms = REFRESH_TIMEOUT_MS,
		.done = on_answer,
		.context = item,
	};

	return outbound_send(c->outbound, &request, &item->call, e);
}

/* The intent is on disk before the first byte is sent. */
static int intend_and_send(struct refresh_item *item, struct errtext *e)
{
	struct control *c = item->owner->control;
	struct refresh_send s;
	int error = refresh_send_prepare(c, item->account, item->retries, &s, e);

	if (error)
		return error;
	item->parent = s.parent;
	error = refresh_journal_intend(c->store, item->account, s.parent, clock_wall_ms(), e);
	if (!error && send_it(item, &s, e)) {
		leave_gate(item);
		settle(item, REFRESH_NOT_SENT);
	}
	refresh_send_fini(&s);
	return error;
}

/* The access token that is there runs out one day. */
static void tell_postponed(const struct refresh_item *item, const struct errtext *why)
{
	char subject[NOTICES_SUBJECT_SIZE];
	struct errtext message;

	errtext_set(&message, 0, "postponed, since the outcome could not be saved: %s", why->text);
	notices_raise(item->owner->control->store, NOTICE_REFRESH_FAILING,
		notices_subject("account", item->name, subject), message.text, NULL);
}

/* Postpones an account whose intent could not be written. */
static void put_off(struct refresh_item *item, const struct errtext *e)
{
	const struct refresh_state state = {.retries = item->retries++};

	item->not_before_ms =
		clock_monotonic_ms() + refresh_next(&state, REFRESH_NOT_SENT).pause_ms;
	if (!store_is_up(item->owner->control->store))
		tell_postponed(item, e);
	log_event(LOG_LEVEL_WARNING, "token refresh postponed", LOG_STR("account", item->name),
		LOG_STR("reason", e->text), LOG_INT("retries", item->retries));
	refresh_waiters_tell(&item->owner->waiters, item->account, -EBUSY, e->text);
}

/* 0; -EAGAIN: the account has to wait for another one; other errors: the refresh is postponed. */
static int start(struct refresh_item *item, struct errtext *e)
{
	struct refresh *r = item->owner;

	if (r->draining || r->gates.busy >= REFRESH_PARALLEL_MAX ||
		!refresh_gate_enter(&r->gates, item->client, clock_monotonic_ms(), item->repeats))
		return -EAGAIN;
	item->gate = item->client;
	item->asked_ms = 0;
	if (intend_and_send(item, e) == 0)
		return 0;
	leave_gate(item);
	put_off(item, e);
	return -EBUSY;
}

/* --- schedule --- */

static void save_again(struct refresh *r)
{
	for (size_t i = 0; i < r->list.count; i++) {
		struct refresh_item *item = r->list.items[i];
		if (item->unsaved_status)
			save_reply(item,
				&(struct refresh_raw){item->unsaved_status,
					buffer_slice(&item->unsaved), item->unsaved_encoding,
					item->unsaved_ms, 0});
	}
}

static bool is_scan_due(const struct refresh *r)
{
	const struct control *c = r->control;

	return r->version != store_version(c->store) ||
		r->changes != board_get(&c->board->counters[BOARD_HEALTH_CHANGES]) ||
		clock_monotonic_ms() - r->scanned_ms >= SCAN_MS;
}

static void scan(struct refresh *r)
{
	struct control *c = r->control;
	struct errtext e = {""};
	/* a clock that is wrong for a moment must not renew all tokens at once */
	const struct refresh_clock at = {
		step_settled_ms(&c->clock.settled, clock_pair()), clock_monotonic_ms()};
	uint64_t changes = board_get(&c->board->counters[BOARD_HEALTH_CHANGES]);
	uint64_t version = store_version(c->store);
	int error = refresh_list_scan(&r->list, r, c->store, c->board, at, &e);

	note_store(r, error, &e);
	r->version = version;
	r->changes = changes;
	r->scanned_ms = at.now_ms;
}

static void run(struct refresh *r)
{
	struct errtext e = {""};
	size_t n = 0;
	struct refresh_item **due = refresh_list_due(&r->list, clock_monotonic_ms(), &n);

	for (size_t i = 0; i < n; i++) {
		if (due[i]->has_reply)
			settle(due[i], REFRESH_LOST);
		else
			start(due[i], &e);
	}
	free(due);
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct refresh *r = timer->data;

	(void)loop;
	(void)events;
	save_again(r);
	refresh_waiters_end(&r->waiters, clock_monotonic_ms(), -ETIMEDOUT,
		"the refresh has no outcome yet and continues in the background");
	if (is_scan_due(r))
		scan(r);
	if (refresh_list_next_ms(&r->list) <= clock_monotonic_ms())
		run(r);
}

int refresh_ask(struct refresh *r, int64_t account, const char **ret_word, struct errtext *e)
{
	scan(r);
	struct refresh_item *item = refresh_list_find(&r->list, account);

	if (!item)
		return errtext_set(e, -ENOENT, "the account has no token refresh");
	if (item->call || item->unsaved_status) {
		*ret_word = "running";
		return 0;
	}
	if (item->has_reply)
		settle(item, REFRESH_LOST);
	if (!item->asked_ms)
		item->asked_ms = clock_monotonic_ms();
	int error = start(item, e);
	if (error && error != -EAGAIN)
		return errtext_prefix(e, -EBUSY, "the token refresh cannot start now");
	*ret_word = error ? "waiting" : "started";
	return 0;
}

int refresh_wait(struct refresh *r, int64_t account, refresh_told_fn *told, void *context)
{
	return refresh_waiters_add(
		&r->waiters, account, clock_monotonic_ms() + REFRESH_WAIT_MS, told, context);
}

size_t refresh_unsaved(const struct refresh *r)
{
	size_t n = 0;

	for (size_t i = 0; r && i < r->list.count; i++)
		n += r->list.items[i]->unsaved_status != 0;
	return n;
}

uint64_t refresh_count(const struct refresh *r, enum refresh_outcome o)
{
	return r ? r->counts[o] : 0;
}

/* --- start and end --- */

struct refresh *refresh_new(struct control *c)
{
	struct refresh *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->control = c;
	ev_timer_init(&r->tick, on_tick, 0, TICK_S);
	r->tick.data = r;
	ev_timer_start(c->loop, &r->tick);
	return r;
}

bool refresh_drain(struct refresh *r)
{
	r->draining = true;
	return r->gates.busy > 0 || refresh_unsaved(r);
}

void refresh_free(struct refresh *r)
{
	if (!r)
		return;
	ev_timer_stop(r->control->loop, &r->tick);
	for (size_t i = 0; i < r->list.count; i++)
		if (r->list.items[i]->call)
			outbound_cancel(r->list.items[i]->call);
	refresh_list_fini(&r->list);
	refresh_waiters_end(&r->waiters, INT64_MAX, -EPIPE, "the relay is stopping");
	free(r);
}
