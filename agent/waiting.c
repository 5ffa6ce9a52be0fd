#include "agent/waiting.h"

#include "agent/answer.h"
#include "agent/decision.h"
#include "agent/peer.h"
#include "agent/timekeeper.h"
#include "common/seam.h"

#include <stdlib.h>

#define TRIES_PER_RUN 256 /* decisions */
#define TRIES_FOR_ONE 8	  /* failed decisions for the same slots or accounts in one turn */
#define BLOCKED_MAX 32	  /* different slots and accounts per turn */
#define COALESCE_S 0.001  /* between runs */
#define IDLE_S 0.5	  /* longest pause */

struct waiting {
	struct agent *agent;
	ev_timer timer;
	ev_prepare before;
};

static void show_count(const struct agent *a)
{
	board_set(&a->board->counters[BOARD_WAITING], a->room.count);
}

static void leave(struct agent *a, struct waiter *w)
{
	room_remove(&a->room, w);
	show_count(a);
}

/* --- one waiter --- */

struct reply {
	struct agent *agent;
	struct waiter *waiter;
	struct decide_verdict *verdict;
	int64_t now_ms;
};

static void write_reply(void *context, struct spoe_ack *ack)
{
	struct reply *r = context;

	agent_answer_waiter(r->agent, &r->waiter->request, r->verdict, r->now_ms, ack);
}

static void write_draining(void *context, struct spoe_ack *ack)
{
	(void)context;
	answer_write_refusal(REFUSAL_DRAINING, ack);
}

static void stay(struct agent *a, struct waiter *w, const struct decide_verdict *v)
{
	room_set_reason(&a->room, w, v->wait_for, v->wait_what);
	w->wake_ms = w->answer_ms;
	if (v->until_ms < w->wake_ms)
		w->wake_ms = v->until_ms;
	if (v->wake_ms && v->wake_ms < w->wake_ms)
		w->wake_ms = v->wake_ms;
}

/* True: the request was answered and left the room. */
static bool try(struct agent *a, struct waiter *w, int64_t now_ms)
{
	struct decide_verdict verdict;
	struct reply reply = {a, w, &verdict, now_ms};

	if (!a->snapshot || !peer_can_answer(w->seat.owner))
		return false;
	agent_decide(a, &w->request, now_ms, &verdict);
	if (verdict.action == DECIDE_WAIT && now_ms < w->answer_ms) {
		stay(a, w, &verdict);
		return false;
	}
	struct room_seat seat = w->seat;
	peer_answer(seat.owner, seat.stream_id, seat.frame_id, write_reply, &reply);
	leave(a, w);
	return true;
}

/* --- all waiters --- */

/*
 * Reasons that kept requests of this tenant waiting in this turn: further requests with the same
 * reason are not tried.
 */
struct blocked {
	struct {
		enum room_reason reason;
		uint32_t what;
		uint32_t tries;
	} rows[BLOCKED_MAX];
	uint32_t count;
};

static uint32_t *tries_of(struct blocked *b, const struct waiter *w)
{
	for (uint32_t i = 0; i < b->count; i++) {
		if (b->rows[i].reason == w->reason && b->rows[i].what == w->what)
			return &b->rows[i].tries;
	}
	if (b->count == BLOCKED_MAX)
		return NULL;
	b->rows[b->count].reason = w->reason;
	b->rows[b->count].what = w->what;
	b->rows[b->count].tries = 0;
	return &b->rows[b->count++].tries;
}

static bool is_worth_a_try(struct blocked *b, const struct waiter *w, bool released, int64_t now_ms)
{
	if (now_ms >= w->wake_ms)
		return true;
	if (!released || w->reason == ROOM_FOR_PACE)
		return false;
	const uint32_t *tries = tries_of(b, w);
	return tries && *tries < TRIES_FOR_ONE;
}

/* Answers the tenant's oldest request that can go. True when one was answered. */
static bool serve_tenant(struct agent *a, struct room_queue *q, bool released, uint32_t *budget)
{
	int64_t now = timekeeper_now(a);
	struct blocked blocked = {.count = 0};
	struct waiter *next;

	for (struct waiter *w = q->first; w && *budget; w = next) {
		next = w->next;
		if (!is_worth_a_try(&blocked, w, released, now))
			continue;
		--*budget;
		if (try(a, w, now))
			return true;
		uint32_t *tries = tries_of(&blocked, w);
		if (tries)
			++*tries;
	}
	return false;
}

/* Tenants take turns, one request each, until a whole round answers none. */
static void run(struct agent *a)
{
	bool released = a->room_is_stale;
	uint32_t budget = TRIES_PER_RUN;
	uint32_t idle_turns = 0;

	a->room_is_stale = false;
	while (a->room.first && budget) {
		struct room_queue *q = a->room.first;
		uint32_t tenant = q->tenant;
		bool served = serve_tenant(a, q, released, &budget);
		/* the queue may have gone with its last waiter */
		if (a->room.first && a->room.first->tenant == tenant)
			room_pass_turn(&a->room);
		idle_turns = served ? 0 : idle_turns + 1;
		if (idle_turns >= a->room.tenants)
			return;
	}
	if (a->room.first)
		a->room_is_stale |= released;
}

static double seconds_to_next(struct agent *a)
{
	int64_t now = timekeeper_now(a);
	int64_t next = now + (int64_t)(IDLE_S * 1000);

	for (const struct room_queue *q = a->room.first; q; q = q->next) {
		for (const struct waiter *w = q->first; w; w = w->next) {
			if (w->wake_ms < next)
				next = w->wake_ms;
		}
	}
	return next > now ? (double)(next - now) / 1000 : COALESCE_S;
}

static void schedule(struct waiting *w, double seconds)
{
	ev_timer_stop(w->agent->loop, &w->timer);
	ev_timer_set(&w->timer, seconds, 0);
	ev_timer_start(w->agent->loop, &w->timer);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct waiting *w = timer->data;

	(void)loop;
	(void)events;
	run(w->agent);
	if (w->agent->room.count && !w->agent->room_is_stale)
		schedule(w, seconds_to_next(w->agent));
}

/* Before the loop sleeps: released slots wake waiting requests, a batch at a time. */
static void on_before(struct ev_loop *loop, ev_prepare *prepare, int events)
{
	struct waiting *w = prepare->data;

	(void)events;
	if (!w->agent->room_is_stale)
		return;
	if (w->agent->room.count == 0) {
		w->agent->room_is_stale = false;
		return;
	}
	if (!ev_is_active(&w->timer) || ev_timer_remaining(loop, &w->timer) > COALESCE_S)
		schedule(w, COALESCE_S);
}

/* --- interface --- */

bool waiting_add(struct agent *a, const struct decide_request *r, const struct decide_verdict *v,
	const struct room_seat *seat, int64_t now_ms)
{
	struct waiter *w = room_add(&a->room, r, v->tenant->id, seat);

	if (!w)
		return false;
	w->request.seated = true;
	w->request.since_ms = v->since_ms;
	w->answer_ms = now_ms + SEAM_WAIT_MS;
	stay(a, w, v);
	a->room_is_stale = true;
	show_count(a);
	return true;
}

void waiting_forget(struct agent *a, const uint8_t id[16])
{
	struct waiter *w = room_find(&a->room, id);

	if (w)
		leave(a, w);
}

void waiting_forget_owner(struct agent *a, const void *owner)
{
	if (a->room.count == 0)
		return;
	room_remove_owner(&a->room, owner);
	show_count(a);
}

void waiting_refuse_all(struct agent *a)
{
	while (a->room.first) {
		struct waiter *w = a->room.first->first;
		struct room_seat seat = w->seat;
		leave(a, w);
		if (peer_can_answer(seat.owner))
			peer_answer(seat.owner, seat.stream_id, seat.frame_id, write_draining, a);
	}
}

/* As after SEAM_WAIT_MS. */
static void write_wait(void *context, struct spoe_ack *ack)
{
	const struct reply *r = context;

	answer_write(r->agent, r->verdict, r->now_ms, ack);
	answer_write_name(&r->waiter->request, ack);
}

void waiting_send_back_all(struct agent *a)
{
	while (a->room.first) {
		struct waiter *w = a->room.first->first;
		struct decide_verdict wait = {
			.action = DECIDE_WAIT, .since_ms = w->request.since_ms};
		struct reply reply = {a, w, &wait, clock_wall_ms()};
		const struct room_seat *seat = &w->seat;
		if (peer_can_answer(seat->owner))
			peer_answer(
				seat->owner, seat->stream_id, seat->frame_id, write_wait, &reply);
		leave(a, w);
	}
}

struct waiting *waiting_new(struct agent *a)
{
	struct waiting *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->agent = a;
	ev_timer_init(&w->timer, on_timer, IDLE_S, 0);
	ev_prepare_init(&w->before, on_before);
	w->timer.data = w->before.data = w;
	ev_prepare_start(a->loop, &w->before);
	show_count(a);
	return w;
}

void waiting_free(struct waiting *w)
{
	if (!w)
		return;
	ev_timer_stop(w->agent->loop, &w->timer);
	ev_prepare_stop(w->agent->loop, &w->before);
	free(w);
}
