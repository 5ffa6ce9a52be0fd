#include "agent/peer.h"

#include "agent/allowed.h"
#include "agent/answer.h"
#include "agent/asking.h"
#include "agent/held.h"
#include "agent/unproven.h"
#include "agent/waiting.h"
#include "common/acceptor.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/quiet.h"
#include "common/seam.h"
#include "spoe/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SWEEP_S 0.5
#define ACCEPT_PAUSE_S 0.1

enum peer_state {
	PEER_OPENING, /* no HELLO yet */
	PEER_SERVING,
	PEER_STALLED,	/* an answer is unsent; nothing is read meanwhile */
	PEER_LINGERING, /* everything is sent; waiting for the peer to close */
};

struct peer {
	struct peers *peers;
	struct peer *next, **link; /* list of all */
	ev_io io;
	enum peer_state state;
	bool closing;	   /* close after the unsent bytes; answer no more */
	bool needs_secret; /* it connected over TCP */
	struct unproven unproven;
	int64_t prove_by_ms; /* monotonic: until the HELLO, over TCP until the secret */
	int64_t deadline_ms; /* monotonic; INT64_MAX = none */
	struct spoe_session session;
	uint8_t *held; /* input of an incomplete frame; NULL = none */
	size_t held_n, held_size;
	uint8_t *unsent; /* PEER_WRITE_SIZE; NULL = none */
	size_t unsent_n, unsent_at;
};

struct listener {
	struct peers *peers;
	ev_io io;
	bool is_local;
};

struct peers {
	struct agent *agent;
	struct peer *all;
	uint32_t count;
	struct unproven_list unproven;
	struct allowed allowed;
	struct listener listeners[CHILD_LISTENERS_MAX];
	uint32_t listener_count;
	ev_timer sweep;
	ev_timer resume_accept;
	struct acceptor acceptor;
	struct quiet refused_quiet, broken_quiet, secret_quiet, stalled_quiet, accept_quiet;
	uint8_t input[PEER_READ_SIZE];
	uint8_t output[PEER_WRITE_SIZE];
};

static void complain(struct quiet *q, const char *message, const char *why)
{
	if (!quiet_may_speak(q, clock_monotonic_ms()))
		return;
	log_event(LOG_LEVEL_WARNING, message, LOG_STR("reason", why),
		LOG_INT("suppressed", q->suppressed));
	q->suppressed = 0;
}

static board_counter *counter(const struct peers *p, enum board_counter_id id)
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
	board_set(counter(p, BOARD_SPOP_CONNECTIONS), p->count);
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
	complain(&c->peers->secret_quiet, "connection closed: wrong secret", "[spop] secret");
	board_add(counter(c->peers, BOARD_SPOP_REFUSED), 1);
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
			board_add(counter(c->peers, BOARD_SPOP_REFUSED), 1);
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
	complain(&c->peers->broken_quiet, "connection closed: protocol error",
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

/* --- accepting --- */

/* Makes room. False: there is none to close. */
static bool close_unproven(struct peers *p, struct unproven *u)
{
	if (!u)
		return false;
	board_add(counter(p, BOARD_SPOP_REFUSED), 1);
	complain(&p->secret_quiet, "connection closed: no HELLO or no secret",
		"too many connections");
	unproven_remove(&p->unproven, u);
	peer_close((struct peer *)((char *)u - offsetof(struct peer, unproven)));
	return true;
}

static void peer_new(struct listener *l, int fd)
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
	board_set(counter(p, BOARD_SPOP_CONNECTIONS), p->count);
	close_unproven(p, unproven_excess(&p->unproven, &c->unproven));
}

static void accept_peer(struct listener *l, int fd)
{
	struct peers *p = l->peers;
	const char *why = NULL;

	if (p->count >= PEERS_MAX && !close_unproven(p, p->unproven.oldest))
		why = "too many connections";
	else if (l->is_local && !allowed_peer(&p->allowed, fd))
		why = "user is not in [spop] allow_users";
	if (!why) {
		peer_new(l, fd);
		return;
	}
	close(fd);
	board_add(counter(p, BOARD_SPOP_REFUSED), 1);
	complain(&p->refused_quiet, "connection rejected", why);
}

static void drop_peer(struct peers *p)
{
	board_add(counter(p, BOARD_SPOP_REFUSED), 1);
	complain(&p->accept_quiet, "connection closed", strerror(EMFILE));
}

/* The listener may stay readable, so stop watching it for a moment. */
static void pause_accepting(struct peers *p, int error)
{
	complain(&p->accept_quiet, "cannot accept connections", strerror(-error));
	for (uint32_t i = 0; i < p->listener_count; i++)
		ev_io_stop(p->agent->loop, &p->listeners[i].io);
	ev_timer_again(p->agent->loop, &p->resume_accept);
}

static void on_resume_accept(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct peers *p = timer->data;

	(void)events;
	ev_timer_stop(loop, timer);
	for (uint32_t i = 0; i < p->listener_count; i++)
		ev_io_start(loop, &p->listeners[i].io);
}

static void on_listener(struct ev_loop *loop, ev_io *io, int events)
{
	struct listener *l = io->data;

	(void)loop;
	(void)events;
	for (int i = 0; i < PEER_ACCEPTS_PER_WAKE; i++) {
		int fd = acceptor_accept(&l->peers->acceptor, io->fd);
		if (fd >= 0)
			accept_peer(l, fd);
		else if (fd == -EMFILE)
			drop_peer(l->peers);
		else if (fd != -EAGAIN)
			pause_accepting(l->peers, fd);
		if (fd < 0 && fd != -EMFILE)
			return;
	}
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
			board_add(counter(p, BOARD_SPOP_STALLED), 1);
			complain(&p->stalled_quiet, "connection closed",
				"HAProxy does not read its answers");
		}
		peer_close(c);
	}
}

static void listen_on(struct peers *p, const struct child_listener *from)
{
	struct listener *l = &p->listeners[p->listener_count++];

	l->peers = p;
	l->is_local = address_is_local(&from->address);
	ev_io_init(&l->io, on_listener, from->fd, EV_READ);
	l->io.data = l;
	ev_io_start(p->agent->loop, &l->io);
}

struct peers *peers_new(struct agent *a)
{
	struct peers *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->agent = a;
	allowed_init(&p->allowed, a->start->config);
	acceptor_init(&p->acceptor, a->start->keeper_fd);
	for (uint32_t i = 0; i < a->start->listener_count; i++) {
		if (a->start->listeners[i].what == CHILD_SOCKET_SPOP)
			listen_on(p, &a->start->listeners[i]);
	}
	ev_timer_init(&p->sweep, on_sweep, SWEEP_S, SWEEP_S);
	ev_timer_init(&p->resume_accept, on_resume_accept, 0, ACCEPT_PAUSE_S);
	p->sweep.data = p->resume_accept.data = p;
	ev_timer_start(a->loop, &p->sweep);
	board_set(counter(p, BOARD_SPOP_CONNECTIONS), 0);
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
	for (uint32_t i = 0; i < p->listener_count; i++)
		ev_io_stop(p->agent->loop, &p->listeners[i].io);
	ev_timer_stop(p->agent->loop, &p->sweep);
	ev_timer_stop(p->agent->loop, &p->resume_accept);
	acceptor_fini(&p->acceptor);
	free(p);
}

uint32_t peers_count(const struct peers *p)
{
	return p->count;
}
