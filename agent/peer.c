#include "agent/peer.h"

#include "agent/answer.h"
#include "agent/asking.h"
#include "agent/held.h"
#include "agent/peer_state.h"
#include "agent/waiting.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/seam.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SWEEP_S 0.5

void peer_complain(struct quiet *q, const char *message, const char *why)
{
	if (!quiet_may_speak(q, clock_monotonic_ms()))
		return;
	log_event(LOG_LEVEL_WARNING, message, LOG_STR("reason", why),
		LOG_INT("suppressed", q->suppressed));
	q->suppressed = 0;
}

board_counter *peer_counter(const struct peers *p, enum board_counter_id id)
{
	return &p->agent->board->counters[id];
}

/* --- one connection --- */

static void peer_close(struct peer *c)
{
	struct peers *p = c->peers;

	waiting_forget_owner(p->agent, c);
	unproven_remove(&p->unproven, &c->unproven);
	ev_io_stop(p->agent->loop, &c->io);
	close(c->io.fd);
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	free(c->held);
	free(c->unsent);
	free(c);
	p->count--;
	board_set(peer_counter(p, BOARD_SPOP_CONNECTIONS), p->count);
}

/* Only this function sets the watched events, from the state. */
static void peer_watch(struct peer *c)
{
	struct ev_loop *loop = c->peers->agent->loop;
	int events = c->state == PEER_STALLED ? EV_WRITE : EV_READ;

	if ((c->io.events & (EV_READ | EV_WRITE)) == events)
		return;
	ev_io_stop(loop, &c->io);
	ev_io_set(&c->io, c->io.fd, events);
	ev_io_start(loop, &c->io);
}

static int64_t deadline_of(const struct peer *c, enum peer_state state)
{
	switch (state) {
	case PEER_OPENING:
		return c->prove_by_ms;
	case PEER_SERVING:
		return c->unproven.is_listed ? c->prove_by_ms : INT64_MAX;
	case PEER_STALLED:
		return clock_monotonic_ms() + PEER_STALL_MS;
	case PEER_LINGERING:
		return clock_monotonic_ms() + PEER_LINGER_MS;
	}
	return INT64_MAX;
}

static void peer_set_state(struct peer *c, enum peer_state state)
{
	if (c->state == state)
		return;
	c->state = state;
	c->deadline_ms = deadline_of(c, state);
}

static void peer_prove(struct peer *c)
{
	if (!c->unproven.is_listed)
		return;
	unproven_remove(&c->peers->unproven, &c->unproven);
	c->deadline_ms = deadline_of(c, c->state);
}

/* --- frames --- */

static bool secret_fits(const struct peer *c, const struct question *q)
{
	struct slice secret = agent_secret(c->peers->agent);

	return !c->needs_secret || (secret.n && slice_eq_secret(secret, q->secret));
}

enum told {
	TOLD_ANSWER,
	TOLD_LATER,	  /* the question waits: no ACK now */
	TOLD_NOT_ALLOWED, /* the peer sent no valid secret */
};

static enum told answer_messages(
	struct peer *c, const struct spoe_notify *notify, struct spoe_ack *ack)
{
	struct spoe_notify_walk walk;
	struct spoe_message message;
	struct question question;
	struct room_seat seat = {c, notify->stream_id, notify->frame_id};
	enum told told = TOLD_ANSWER;

	spoe_notify_begin(notify, &walk);
	while (spoe_notify_next_message(&walk, &message)) {
		if (!asking_is_known(message.name))
			continue;
		asking_read(c->peers->agent, message.name, &walk, c->session.frame_max, &question);
		if (!secret_fits(c, &question))
			return TOLD_NOT_ALLOWED;
		peer_prove(c);
		if (!asking_answer(c->peers->agent, message.name, &question, &seat, ack))
			told = TOLD_LATER;
	}
	return c->unproven.is_listed ? TOLD_NOT_ALLOWED : told;
}

enum step {
	STEP_NEXT,
	STEP_FLUSH, /* the output is full: send it, then process the same frame again */
	STEP_CLOSE,
};

static enum step refuse_peer(struct peer *c, struct spoe_writer *out)
{
	peer_complain(&c->peers->secret_quiet, "connection closed: wrong secret", "[spop] secret");
	board_add(peer_counter(c->peers, BOARD_SPOP_REFUSED), 1);
	spoe_disconnect_encode(out, SPOE_STATUS_INVALID, SLICE_LITERAL("not allowed"));
	return STEP_CLOSE;
}

/* A decision that is too large for the negotiated frame becomes a refusal. */
static int write_ack(struct peer *c, struct spoe_writer *out, const struct spoe_notify *notify)
{
	struct spoe_ack ack;

	spoe_session_ack(&c->session, &ack, out, notify);
	answer_write_refusal(REFUSAL_NO_ACCOUNT, &ack);
	return spoe_ack_end(&ack);
}

static enum step step_notify(
	struct peer *c, const struct spoe_notify *notify, struct spoe_writer *out)
{
	struct spoe_ack ack;

	/* check the room before deciding, because a decision counts */
	if (spoe_writer_left(out) < SPOE_READ_MAX)
		return STEP_FLUSH;
	size_t mark = spoe_writer_used(out);
	spoe_session_ack(&c->session, &ack, out, notify);
	enum told told = answer_messages(c, notify, &ack);
	if (told != TOLD_ANSWER)
		spoe_writer_rewind(out, mark);
	if (told == TOLD_NOT_ALLOWED)
		return refuse_peer(c, out);
	if (told == TOLD_LATER)
		return STEP_NEXT;
	int error = spoe_ack_end(&ack);
	if (error)
		error = write_ack(c, out, notify);
	return error ? STEP_CLOSE : STEP_NEXT;
}

static void count_frame(struct peer *c, const struct spoe_event *event)
{
	static const enum spoe_event_type types[] = {
		SPOE_EVENT_HELLO, SPOE_EVENT_NOTIFY, SPOE_EVENT_DISCONNECT, SPOE_EVENT_SKIPPED};
	struct board *b = c->peers->agent->board;

	for (size_t i = 0; i < BOARD_FRAME_TYPES; i++) {
		if (types[i] == event->type)
			board_add(&b->frames[i], 1);
	}
}

static void count_disconnect(struct peer *c, unsigned status)
{
	struct board *b = c->peers->agent->board;

	board_add(&b->disconnects[status < BOARD_STATUS_MAX ? status : BOARD_STATUS_MAX - 1], 1);
}

static bool engine_is_full(const struct peer *c)
{
	struct slice engine = c->session.peer.engine_id;
	uint32_t others = 0;

	if (!engine.n || !(c->session.peer.capabilities & SPOE_CAP_ASYNC))
		return false;
	for (const struct peer *o = c->peers->all; o; o = o->next)
		others += o->state != PEER_OPENING && !o->closing &&
			slice_eq(o->session.peer.engine_id, engine);
	return others >= PEERS_PER_ENGINE;
}

static enum step step_event(struct peer *c, const struct spoe_event *event, struct spoe_writer *out)
{
	switch (event->type) {
	case SPOE_EVENT_HELLO:
		if (engine_is_full(c)) {
			board_add(peer_counter(c->peers, BOARD_SPOP_REFUSED), 1);
			spoe_disconnect_encode(
				out, SPOE_STATUS_RESOURCE, SLICE_LITERAL("enough connections"));
			return STEP_CLOSE;
		}
		if (!c->needs_secret)
			peer_prove(c);
		peer_set_state(c, PEER_SERVING);
		return spoe_session_hello(&c->session, out) ? STEP_CLOSE : STEP_NEXT;
	case SPOE_EVENT_NOTIFY:
		return step_notify(c, &event->notify, out);
	case SPOE_EVENT_DISCONNECT:
		count_disconnect(c, (unsigned)event->disconnect.code);
		spoe_session_disconnect(&c->session, out);
		return STEP_CLOSE;
	case SPOE_EVENT_SKIPPED:
		return STEP_NEXT;
	}
	return STEP_CLOSE;
}

static enum step step_broken(struct peer *c, struct spoe_writer *out)
{
	peer_complain(&c->peers->broken_quiet, "connection closed: protocol error",
		spoe_status_text(c->session.status));
	count_disconnect(c, (unsigned)c->session.status);
	spoe_session_disconnect(&c->session, out);
	return STEP_CLOSE;
}

/* Answers the frames of `in` into `out`; `*ret_used` bytes are done. */
static enum step step_input(
	struct peer *c, struct slice in, struct spoe_writer *out, size_t *ret_used)
{
	struct spoe_event event;
	size_t consumed;

	*ret_used = 0;
	for (;;) {
		enum spoe_answer answer = spoe_session_next(&c->session, in, &consumed, &event);
		if (answer == SPOE_BAD)
			return step_broken(c, out);
		if (answer == SPOE_MORE) {
			*ret_used += consumed;
			return STEP_NEXT;
		}
		enum step step = step_event(c, &event, out);
		if (step == STEP_FLUSH)
			return step;
		count_frame(c, &event);
		*ret_used += consumed;
		in = slice_skip(in, consumed);
		if (step == STEP_CLOSE)
			return step;
	}
}

/* --- sending --- */

static bool hold_unsent(struct peer *c, const uint8_t *p, size_t n)
{
	if (!c->unsent)
		c->unsent = malloc(PEER_WRITE_SIZE);
	if (!c->unsent)
		return false;
	memcpy(c->unsent, p, n);
	c->unsent_n = n;
	c->unsent_at = 0;
	peer_set_state(c, PEER_STALLED);
	return true;
}

/* False: close the connection. */
static bool peer_send(struct peer *c, const uint8_t *p, size_t n)
{
	size_t sent = 0;

	while (sent < n) {
		ssize_t written = send(c->io.fd, p + sent, n - sent, MSG_NOSIGNAL);
		if (written >= 0)
			sent += (size_t)written;
		else if (errno == EAGAIN)
			return hold_unsent(c, p + sent, n - sent);
		else if (errno != EINTR)
			return false;
	}
	return true;
}

/* Not larger than what came: a peer that stops within a frame must not cost a whole buffer. */
static bool grow_held(struct peer *c, size_t n)
{
	if (n <= c->held_size)
		return true;
	uint8_t *larger = realloc(c->held, n);
	if (!larger)
		return false;
	c->held = larger;
	c->held_size = n;
	return true;
}

static bool hold_input(struct peer *c, struct slice in)
{
	if (in.n == 0) {
		free(c->held);
		c->held = NULL;
		c->held_n = c->held_size = 0;
		return true;
	}
	if (!grow_held(c, in.n))
		return false;
	memmove(c->held, in.p, in.n);
	c->held_n = in.n;
	return true;
}

static void start_linger(struct peer *c)
{
	c->closing = true;
	if (c->state == PEER_STALLED)
		return; /* unsent bytes go first */
	shutdown(c->io.fd, SHUT_WR);
	peer_set_state(c, PEER_LINGERING);
}

/* Answers and sends until the input is used up or the peer stops reading. False: close. */
static bool peer_process(struct peer *c, struct slice in)
{
	struct peers *p = c->peers;
	enum step step = STEP_FLUSH;

	while (step == STEP_FLUSH && c->state != PEER_STALLED) {
		struct spoe_writer out;
		size_t used;
		spoe_writer_init(&out, p->output, sizeof(p->output));
		step = step_input(c, in, &out, &used);
		in = slice_skip(in, used);
		if (!peer_send(c, p->output, spoe_writer_used(&out)))
			return false;
	}
	if (step == STEP_CLOSE) {
		start_linger(c);
		return true;
	}
	return hold_input(c, in);
}

/* --- late answers --- */

bool peer_can_answer(const struct peer *c)
{
	return c->state == PEER_SERVING && !c->closing;
}

void peer_answer(
	struct peer *c, uint64_t stream_id, uint64_t frame_id, peer_write_fn *write, void *context)
{
	struct peers *p = c->peers;
	const struct spoe_notify notify = {.stream_id = stream_id, .frame_id = frame_id};
	struct spoe_writer out;
	struct spoe_ack ack;

	spoe_writer_init(&out, p->output, sizeof(p->output));
	spoe_session_ack(&c->session, &ack, &out, &notify);
	write(context, &ack);
	if (spoe_ack_end(&ack) && write_ack(c, &out, &notify))
		return;
	peer_send(c, p->output, spoe_writer_used(&out));
	peer_watch(c);
}

/* --- events of the loop --- */

static bool peer_read(struct peer *c)
{
	struct peers *p = c->peers;
	size_t before = c->held_n;

	if (before)
		memcpy(p->input, c->held, before);
	ssize_t n = recv(c->io.fd, p->input + before, sizeof(p->input) - before, 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	return peer_process(c, (struct slice){(const char *)p->input, before + (size_t)n});
}

/* Reads only to see the end of the connection. */
static bool peer_drain(struct peer *c)
{
	ssize_t n = recv(c->io.fd, c->peers->input, sizeof(c->peers->input), 0);

	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static bool peer_write(struct peer *c)
{
	ssize_t n =
		send(c->io.fd, c->unsent + c->unsent_at, c->unsent_n - c->unsent_at, MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	c->unsent_at += (size_t)n;
	if (c->unsent_at < c->unsent_n)
		return true;
	free(c->unsent);
	c->unsent = NULL;
	c->unsent_n = c->unsent_at = 0;
	peer_set_state(c, PEER_SERVING);
	if (c->closing) {
		start_linger(c);
		return true;
	}
	struct slice held = {(const char *)c->held, c->held_n};
	return c->held_n == 0 || peer_process(c, held);
}

static bool peer_step(struct peer *c)
{
	switch (c->state) {
	case PEER_OPENING:
	case PEER_SERVING:
		return peer_read(c);
	case PEER_STALLED:
		return peer_write(c);
	case PEER_LINGERING:
		return peer_drain(c);
	}
	return false;
}

static void on_peer(struct ev_loop *loop, ev_io *io, int events)
{
	struct peer *c = io->data;

	(void)loop;
	(void)events;
	if (peer_step(c))
		peer_watch(c);
	else
		peer_close(c);
}

/* --- all connections --- */

bool peer_close_unproven(struct peers *p, struct unproven *u)
{
	if (!u)
		return false;
	board_add(peer_counter(p, BOARD_SPOP_REFUSED), 1);
	peer_complain(&p->secret_quiet, "connection closed: no HELLO or no secret",
		"too many connections");
	unproven_remove(&p->unproven, u);
	peer_close((struct peer *)((char *)u - offsetof(struct peer, unproven)));
	return true;
}

void peer_new(struct listener *l, int fd)
{
	struct peers *p = l->peers;
	struct peer *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return;
	}
	c->peers = p;
	c->needs_secret = !l->is_local;
	c->state = PEER_OPENING;
	c->prove_by_ms = c->deadline_ms = clock_monotonic_ms() + PEER_HELLO_MS;
	unproven_add(&p->unproven, &c->unproven, fd);
	spoe_session_init(&c->session, SEAM_ACK_MAX);
	c->next = p->all;
	c->link = &p->all;
	if (c->next)
		c->next->link = &c->next;
	p->all = c;
	ev_io_init(&c->io, on_peer, fd, EV_READ);
	c->io.data = c;
	ev_io_start(p->agent->loop, &c->io);
	p->count++;
	board_set(peer_counter(p, BOARD_SPOP_CONNECTIONS), p->count);
	peer_close_unproven(p, unproven_excess(&p->unproven, &c->unproven));
}

static void on_sweep(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct peers *p = timer->data;
	int64_t now = clock_monotonic_ms();
	struct peer *next;

	(void)loop;
	(void)events;
	for (struct peer *c = p->all; c; c = next) {
		next = c->next;
		if (now < c->deadline_ms)
			continue;
		if (c->state == PEER_STALLED) {
			board_add(peer_counter(p, BOARD_SPOP_STALLED), 1);
			peer_complain(&p->stalled_quiet, "connection closed",
				"HAProxy does not read its answers");
		}
		peer_close(c);
	}
}

struct peers *peers_new(struct agent *a)
{
	struct peers *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->agent = a;
	ev_timer_init(&p->sweep, on_sweep, SWEEP_S, SWEEP_S);
	p->sweep.data = p;
	ev_timer_start(a->loop, &p->sweep);
	peer_accept_start(p);
	board_set(peer_counter(p, BOARD_SPOP_CONNECTIONS), 0);
	return p;
}

void peers_free(struct peers *p)
{
	if (!p)
		return;
	struct peer *next;
	for (struct peer *c = p->all; c; c = next) {
		next = c->next;
		peer_close(c);
	}
	peer_accept_stop(p);
	ev_timer_stop(p->agent->loop, &p->sweep);
	acceptor_fini(&p->acceptor);
	free(p);
}

/* A killed agent's questions are asked again, so a connection that sends without an end may be cut. */
static void answer_last(struct peer *c)
{
	char first;

	for (int i = 0; i < PEER_LAST_READS && c->state == PEER_SERVING; i++) {
		if (recv(c->io.fd, &first, 1, MSG_PEEK | MSG_DONTWAIT) <= 0 || !peer_read(c))
			return;
	}
}

static bool leave_peer(struct peer *c)
{
	const struct room *room = &c->peers->agent->room;

	if (room_has_owner(room, c))
		return false;
	answer_last(c);
	if (room_has_owner(room, c))
		return false;
	peer_close(c);
	return true;
}

bool peers_leave(struct peers *p)
{
	struct peer *next;
	uint32_t closed = 0;

	peer_accept_stop(p);
	if (p->leave_step == 0)
		p->leave_step = p->count / PEER_LEAVE_STEPS + 1;
	for (struct peer *c = p->all; c && closed < p->leave_step; c = next) {
		next = c->next;
		closed += leave_peer(c);
	}
	return closed > 0;
}
