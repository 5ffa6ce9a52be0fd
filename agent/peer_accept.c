/* Accepting connections of HAProxy: from when on, and which. */
#include "agent/peer_state.h"

#include "common/clock.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define ACCEPT_PAUSE_S 0.1
#define NO_SNAPSHOT_S 2.0

static void accept_peer(struct listener *l, int fd)
{
	struct peers *p = l->peers;
	const char *why = NULL;

	if (p->count >= PEERS_MAX && !peer_close_unproven(p, p->unproven.oldest))
		why = "too many connections";
	else if (l->is_local && !allowed_peer(&p->allowed, fd))
		why = "user is not in [spop] allow_users";
	if (!why) {
		peer_new(l, fd);
		return;
	}
	close(fd);
	board_add(peer_counter(p, BOARD_SPOP_REFUSED), 1);
	peer_complain(&p->refused_quiet, "connection rejected", why);
}

static void drop_peer(struct peers *p)
{
	board_add(peer_counter(p, BOARD_SPOP_REFUSED), 1);
	peer_complain(&p->accept_quiet, "connection closed", strerror(EMFILE));
}

void peer_accept_stop(struct peers *p)
{
	ev_timer_stop(p->agent->loop, &p->resume_accept);
	for (uint32_t i = 0; i < p->listener_count; i++)
		ev_io_stop(p->agent->loop, &p->listeners[i].io);
}

void peers_accept(struct peers *p)
{
	ev_timer_stop(p->agent->loop, &p->resume_accept);
	for (uint32_t i = 0; i < p->listener_count; i++)
		ev_io_start(p->agent->loop, &p->listeners[i].io);
}

/* The listener may stay readable, so stop watching it for a moment. */
static void pause_accepting(struct peers *p, int error)
{
	peer_complain(&p->accept_quiet, "cannot accept connections", strerror(-error));
	peer_accept_stop(p);
	ev_timer_again(p->agent->loop, &p->resume_accept);
}

static void on_resume_accept(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	peers_accept(timer->data);
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

static void listen_on(struct peers *p, const struct child_listener *from)
{
	struct listener *l = &p->listeners[p->listener_count++];

	l->peers = p;
	l->is_local = address_is_local(&from->address);
	ev_io_init(&l->io, on_listener, from->fd, EV_READ);
	l->io.data = l;
}

/* HAProxy asks for two seconds: until then a question may wait for the first snapshot. */
static void accept_when_ready(struct peers *p)
{
	if (p->agent->snapshot) {
		peers_accept(p);
		return;
	}
	ev_timer_set(&p->resume_accept, NO_SNAPSHOT_S, ACCEPT_PAUSE_S);
	ev_timer_start(p->agent->loop, &p->resume_accept);
}

void peer_accept_start(struct peers *p)
{
	const struct child_start *start = p->agent->start;

	allowed_init(&p->allowed, start->config);
	acceptor_init(&p->acceptor, start->keeper_fd);
	for (uint32_t i = 0; i < start->listener_count; i++) {
		if (start->listeners[i].what == CHILD_SOCKET_SPOP)
			listen_on(p, &start->listeners[i]);
	}
	ev_timer_init(&p->resume_accept, on_resume_accept, 0, ACCEPT_PAUSE_S);
	p->resume_accept.data = p;
	accept_when_ready(p);
}
