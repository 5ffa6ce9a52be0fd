#include "admin/upkeep/egress_check.h"

#include "admin/store/sql.h"
#include "admin/upkeep/echo.h"
#include "admin/upkeep/egress_verdict.h"
#include "admin/upkeep/outbound.h"
#include "common/errtext.h"
#include "common/log.h"
#include "common/refusal.h"
#include "common/seam.h"

#include <errno.h>
#include <ev.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define START_S 1.0	 /* HAProxy may still be starting */
#define RETRY_MAX_S 30.0 /* longest retry interval while HAProxy is unreachable */
#define UNSET_S 10.0	 /* recheck for an endpoint; a reload may set it */

struct round;

struct one {
	struct round *round;
	struct egress_subject subject;
	struct outbound_call *call; /* NULL = not sent, or finished */
};

struct round {
	struct egress_check *owner;
	egress_check_fn *tell; /* NULL: no caller waits */
	void *context;
	struct one *ones;
	size_t count, next, done;
	size_t unreached; /* requests that HAProxy did not accept */
	size_t missing;	  /* egresses that HAProxy has no backend for yet */
	size_t judged;	  /* egresses of which the endpoint told the address */
};

struct egress_check {
	struct control *control;
	struct round *rounds[EGRESS_CHECK_ROUNDS];
	struct round *periodic; /* the periodic round, or NULL */
	ev_timer timer;
	double retry_s;
};

/* --- subjects --- */

struct adding {
	struct round *round;
	struct errtext *e;
};

static int add_one(struct row *row, void *context)
{
	const struct adding *a = context;
	struct round *round = a->round;
	struct one *grown = realloc(round->ones, (round->count + 1) * sizeof(*grown));

	if (!grown)
		return errtext_set(a->e, -ENOMEM, "out of memory");
	round->ones = grown;
	struct one *one = &grown[round->count++];
	*one = (struct one){.round = round};
	egress_subject_read(row, &one->subject);
	return 0;
}

static int add_all(struct round *round, struct store *s, const char *name, struct errtext *e)
{
	struct adding a = {round, e};
	int error = sql_each(s, e, add_one, &a,
		"SELECT " EGRESS_SUBJECT " FROM egresses WHERE ?1 IS NULL OR name = ?1"
		" ORDER BY name",
		"t", name);

	if (!error && name && round->count == 0)
		return errtext_set(e, -ENOENT, "there is no egress named \"%s\"", name);
	return error;
}

/* --- rounds --- */

static void round_free(struct round *round)
{
	struct egress_check *k = round->owner;

	for (size_t i = 0; i < EGRESS_CHECK_ROUNDS; i++) {
		if (k->rounds[i] == round)
			k->rounds[i] = NULL;
	}
	if (k->periodic == round)
		k->periodic = NULL;
	free(round->ones);
	free(round);
}

static struct round *round_new(struct egress_check *k, struct errtext *e)
{
	struct round **place = k->rounds;
	struct round *round;

	while (place < k->rounds + EGRESS_CHECK_ROUNDS && *place)
		place++;
	if (place == k->rounds + EGRESS_CHECK_ROUNDS) {
		errtext_set(e, -EBUSY, "%d checks are in progress already", EGRESS_CHECK_ROUNDS);
		return NULL;
	}
	round = calloc(1, sizeof(*round));
	if (!round) {
		errtext_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	round->owner = k;
	*place = round;
	return round;
}

static void arm(struct egress_check *k, double seconds)
{
	ev_timer_stop(k->control->loop, &k->timer);
	ev_timer_set(&k->timer, seconds, 0.);
	ev_timer_start(k->control->loop, &k->timer);
}

/* If no egress could be checked because HAProxy is down or not yet reloaded, the next round follows soon. */
static void plan_next(struct egress_check *k, bool soon)
{
	uint64_t every_ms = k->control->config.health_echo_every_ms;

	if (soon) {
		arm(k, k->retry_s);
		k->retry_s = k->retry_s * 2 < RETRY_MAX_S ? k->retry_s * 2 : RETRY_MAX_S;
		return;
	}
	k->retry_s = START_S;
	if (every_ms)
		arm(k, (double)every_ms / 1000);
}

static void round_finish(struct round *round)
{
	if (round->tell)
		round->tell(round->context, NULL, 0, NULL);
	if (round == round->owner->periodic)
		plan_next(round->owner, !round->judged && round->unreached + round->missing);
	round_free(round);
}

/* --- one egress --- */

static void tell_row(
	struct one *one, const struct egress_verdict *v, const char *result, const char *reason)
{
	struct round *round = one->round;
	const struct egress_check_row row = {
		.name = one->subject.name,
		.kind = one->subject.kind,
		.expected = v && *v->expected ? v->expected : NULL,
		.seen = v ? v->seen : NULL,
		.result = result,
		.reason = *reason ? reason : NULL,
	};

	if (round->tell)
		round->tell(round->context, &row, 0, NULL);
	round->done++;
}

static void tell_error(struct one *one, const char *reason)
{
	const struct egress_check *k = one->round->owner;

	/* a round that is repeated soon has said it before */
	if (one->round == k->periodic && !one->round->unreached && k->retry_s == START_S)
		log_event(LOG_LEVEL_WARNING, "egress could not be checked",
			LOG_STR("egress", one->subject.name), LOG_STR("reason", reason));
	tell_row(one, NULL, "error", reason);
}

static void judge(struct one *one, const struct ip *seen)
{
	struct control *c = one->round->owner->control;
	struct egress_verdict v;
	struct errtext e = {""};
	bool on_demand = one->round->tell != NULL;
	int error = egress_verdict_find(c->store, &one->subject, seen, &v, &e);

	if (!error)
		error = egress_verdict_keep(c, &one->subject, &v, on_demand, &e);
	if (error) {
		tell_error(one, e.text);
		return;
	}
	one->round->judged++;
	tell_row(one, &v, v.matches ? "ok" : "mismatch", v.reason.text);
}

/* HAProxy has no backend for this egress. */
static bool is_missing(const struct outbound_answer *a)
{
	return strcmp(a->code, refusal_row(REFUSAL_NO_ACCOUNT)->code) == 0;
}

static bool is_node(const struct egress_subject *subject)
{
	return strcmp(subject->kind, "node") == 0;
}

/* Describes a failed request; empty if the endpoint answered. */
static void explain(
	const struct egress_subject *subject, const struct outbound_answer *a, struct errtext *e)
{
	if (is_missing(a) && is_node(subject))
		errtext_set(e, 0,
			"a node egress can only be checked with an https echo_url that has a host name");
	else if (is_missing(a))
		errtext_set(e, 0, "HAProxy has no backend for this egress yet");
	else if (*a->code)
		errtext_set(e, 0, "HAProxy answered %s", a->code);
	else if (a->status && a->status != 200)
		errtext_set(e, 0, "the echo endpoint answered %u", a->status);
	else if (!a->whole)
		errtext_set(e, 0, "%s", *a->failure ? a->failure : "no answer");
}

static void advance(struct round *round);

static void on_answer(void *context, const struct outbound_answer *a)
{
	struct one *one = context;
	struct round *round = one->round;
	struct errtext why = {""};
	struct ip seen;

	one->call = NULL;
	explain(&one->subject, a, &why);
	if (!a->sent)
		round->unreached++;
	/* a node may never have one: the endpoint must be https with a host name */
	if (is_missing(a) && !is_node(&one->subject))
		round->missing++;
	if (why.text[0] || echo_parse(a->body, &seen, &why))
		tell_error(one, why.text);
	else
		judge(one, &seen);
	advance(round);
}

static int send_one(struct one *one, struct errtext *e)
{
	struct control *c = one->round->owner->control;
	char backend[80];
	char target[CONFIG_TEXT_MAX];
	struct slice path;
	int error = echo_target(c->config.health_echo_url.s, &path, e);

	if (error)
		return error;
	snprintf(target, sizeof(target), "%.*s", (int)path.n, path.p);
	int n = snprintf(backend, sizeof(backend), SEAM_HEADER_BACKEND ": " SEAM_BACKEND_ECHO,
		one->subject.id);
	const struct outbound_request request = {
		.socket = c->config.haproxy_internal_socket.s,
		.method = "GET",
		.target = target,
		.headers = {{backend, (size_t)n},
			SLICE_LITERAL("Accept: application/json, text/plain"),
			SLICE_LITERAL("User-Agent: spoa-relay")},
		.timeout_ms = EGRESS_CHECK_MS,
		.done = on_answer,
		.context = one,
	};
	return outbound_send(c->outbound, &request, &one->call, e);
}

/* Sends waiting requests up to the limit. After the last answer it ends and frees the round. */
static void advance(struct round *round)
{
	while (round->next < round->count && round->next - round->done < EGRESS_CHECK_PARALLEL) {
		struct one *one = &round->ones[round->next++];
		struct errtext e = {""};
		if (send_one(one, &e))
			tell_error(one, e.text);
	}
	if (round->done == round->count)
		round_finish(round);
}

static struct round *begin(
	struct egress_check *k, const char *name, int *ret_error, struct errtext *e)
{
	struct round *round;
	struct slice target;
	int error = 0;

	if (!k->control->config.health_echo_url.s[0])
		error = errtext_set(e, -EINVAL,
			"[health] echo_url is not set: the check needs an endpoint that returns the client IP");
	if (!error)
		error = echo_target(k->control->config.health_echo_url.s, &target, e);
	*ret_error = error;
	if (error)
		return NULL;
	round = round_new(k, e);
	*ret_error = -EBUSY;
	if (!round)
		return NULL;
	*ret_error = add_all(round, k->control->store, name, e);
	if (!*ret_error)
		return round;
	round_free(round);
	return NULL;
}

/* --- timer --- */

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct egress_check *k = timer->data;
	struct errtext e = {""};
	int error;

	(void)loop;
	(void)events;
	if (!k->control->config.health_echo_url.s[0]) {
		arm(k, UNSET_S);
		return;
	}
	struct round *round = begin(k, NULL, &error, &e);
	if (!round) {
		log_event(LOG_LEVEL_WARNING, "egress check failed", LOG_STR("reason", e.text));
		plan_next(k, true);
		return;
	}
	k->periodic = round;
	advance(round);
}

struct egress_check *egress_check_new(struct control *c)
{
	struct egress_check *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->control = c;
	k->retry_s = START_S;
	ev_timer_init(&k->timer, on_timer, START_S, 0.);
	k->timer.data = k;
	ev_timer_start(c->loop, &k->timer);
	return k;
}

void egress_check_free(struct egress_check *k)
{
	if (!k)
		return;
	ev_timer_stop(k->control->loop, &k->timer);
	for (size_t i = 0; i < EGRESS_CHECK_ROUNDS; i++) {
		struct round *round = k->rounds[i];
		if (!round)
			continue;
		for (size_t n = 0; n < round->next; n++) {
			if (round->ones[n].call)
				outbound_cancel(round->ones[n].call);
		}
		if (round->tell)
			round->tell(round->context, NULL, -EPIPE, "the relay is stopping");
		round_free(round);
	}
	free(k);
}

int egress_check_begin(struct egress_check *k, const char *name, egress_check_fn *tell,
	void *context, struct errtext *e)
{
	int error;
	struct round *round = begin(k, name, &error, e);

	if (!round)
		return error;
	round->tell = tell;
	round->context = context;
	advance(round);
	return 0;
}
