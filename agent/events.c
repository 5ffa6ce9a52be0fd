#include "agent/events.h"

#include "agent/allowed.h"
#include "agent/ending.h"
#include "agent/held.h"
#include "agent/senders.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/quiet.h"
#include "common/record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BATCHES_PER_WAKE 8
#define DRAIN_BATCHES 4096
/*
 * Once there was a record, the socket is read and not watched, until it is empty after TIMER_S: whenever
 * something else has woken the agent and PAUSE_S are over, else by a timer. So the records of a busy HAProxy
 * wake the agent seldom. The kernel keeps what arrives meanwhile. Records are read before the questions that
 * came with them. So a request is decided with the end of its client's request before.
 */
#define PAUSE_S 0.0002
#define TIMER_S 0.002
#define SECRET_PAUSE_S 0.05 /* until the first snapshot brings the secret */

union control_space {
	struct cmsghdr align;
	char space[CMSG_SPACE(sizeof(uint32_t)) + CMSG_SPACE(sizeof(struct ucred))];
};

#define SECRETS_KEPT 8 /* a power of two */

struct secret {
	uint64_t gen;
	char text[RECORD_SECRET_SIZE]; /* empty = not made yet */
};

struct events {
	struct agent *agent;
	ev_io io;
	ev_timer poll; /* runs while the socket is not watched */
	ev_check before;
	double read_s; /* last time, as ev_now() */
	ev_timer sweep;
	bool is_local;
	struct allowed allowed;
	struct senders senders;		     /* over UDP */
	struct secret secrets[SECRETS_KEPT]; /* of generations, by their last digits */
	struct quiet forged_quiet, bad_quiet, lost_quiet;
	struct mmsghdr messages[EVENTS_BATCH];
	struct iovec iovs[EVENTS_BATCH];
	union control_space controls[EVENTS_BATCH];
	struct sockaddr_storage froms[EVENTS_BATCH];
	char buffers[EVENTS_BATCH][RECORD_MAX];
};

static board_counter *counter(const struct events *e, enum board_counter_id id)
{
	return &e->agent->board->counters[id];
}

static void complain(struct quiet *q, const char *message, uint64_t n)
{
	if (!quiet_may_speak(q, clock_monotonic_ms()))
		return;
	log_event(LOG_LEVEL_WARNING, message, LOG_INT("count", n),
		LOG_INT("suppressed", q->suppressed));
	q->suppressed = 0;
}

/* --- one record --- */

static void refuse(struct events *e, enum board_counter_id id, struct quiet *q, const char *message)
{
	board_add(counter(e, id), 1);
	complain(q, message, board_get(counter(e, id)));
}

/* A secret of the configuration serves all generations. */
static struct slice secret_of(struct events *e, struct slice datagram)
{
	struct slice stored = agent_secret(e->agent);
	uint64_t gen = 0;

	if (!(e->agent->snapshot->head->flags & SNAPSHOT_SECRET_BY_GEN))
		return stored;
	record_claimed_gen(datagram, &gen);
	struct secret *secret = &e->secrets[gen % SECRETS_KEPT];
	if (!secret->text[0] || secret->gen != gen) {
		if (record_secret(stored, gen, secret->text))
			return stored; /* which no record carries */
		secret->gen = gen;
	}
	return slice_from_str(secret->text);
}

static void refuse_sender(struct events *e, const char *message)
{
	refuse(e, BOARD_EVENTS_FORGED, &e->forged_quiet, message);
}

/* The sender is looked up last: only for who knows the secret. */
static void take_record(struct events *e, const struct record *r, const struct sockaddr *from)
{
	int64_t now_ms = clock_monotonic_ms();

	if (!generations_live(&e->agent->generations, r->gen, now_ms)) {
		refuse_sender(e, "end record rejected: no process of its generation runs");
		return;
	}
	switch (senders_judge(&e->senders, from, now_ms)) {
	case SENDERS_ALLOWED:
		ending_take(e->agent, r);
		break;
	case SENDERS_REFUSED:
		refuse_sender(e, "end record rejected: its sender is not in [spop] allow_users");
		break;
	case SENDERS_GONE:
		if (!ending_take_unproven(e->agent, r))
			refuse_sender(e, "end record rejected: its sender is gone");
		break;
	}
}

static void take_datagram(struct events *e, struct slice datagram, const struct sockaddr *from)
{
	struct slice secret = e->is_local ? (struct slice){NULL, 0} : secret_of(e, datagram);
	struct record record;

	switch (record_parse(datagram, secret, &record)) {
	case RECORD_OK:
		if (e->is_local)
			ending_take(e->agent, &record);
		else
			take_record(e, &record, from);
		break;
	case RECORD_EARLY:
		ending_count_early(e->agent, &record);
		break;
	case RECORD_OTHER:
		break;
	case RECORD_BAD:
		refuse(e, BOARD_EVENTS_BAD, &e->bad_quiet, "datagram rejected: not an end record");
		break;
	case RECORD_FORGED:
		refuse(e, BOARD_EVENTS_FORGED, &e->forged_quiet,
			"end record rejected: wrong secret");
		break;
	}
}

/* --- the socket --- */

/* The keeper keeps both the socket and the board: the next agent must not count the same losses again. */
static void count_lost(struct events *e, uint32_t overflow)
{
	board_counter *last = counter(e, BOARD_EVENTS_OVERFLOW);
	uint32_t lost = overflow - (uint32_t)board_get(last);

	board_set(last, overflow);
	if (lost == 0)
		return;
	board_add(counter(e, BOARD_EVENTS_LOST), lost);
	complain(&e->lost_quiet, "end records lost", lost);
}

/* Reads the control data of a datagram: its sender, and the count of dropped datagrams. */
static bool sender_allowed(struct events *e, struct msghdr *msg)
{
	bool allowed = !e->is_local;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SO_RXQ_OVFL) {
			uint32_t overflow;
			memcpy(&overflow, CMSG_DATA(c), sizeof(overflow));
			count_lost(e, overflow);
		} else if (c->cmsg_type == SCM_CREDENTIALS) {
			struct ucred sender;
			memcpy(&sender, CMSG_DATA(c), sizeof(sender));
			allowed = allowed_uid(&e->allowed, sender.uid);
		}
	}
	return allowed;
}

static void prepare(struct events *e)
{
	for (size_t i = 0; i < EVENTS_BATCH; i++) {
		e->iovs[i] = (struct iovec){e->buffers[i], sizeof(e->buffers[i])};
		e->messages[i].msg_hdr = (struct msghdr){
			.msg_name = &e->froms[i],
			.msg_namelen = sizeof(e->froms[i]),
			.msg_iov = &e->iovs[i],
			.msg_iovlen = 1,
			.msg_control = e->controls[i].space,
			.msg_controllen = sizeof(e->controls[i].space),
		};
	}
}

static void on_sweep(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct events *e = timer->data;

	(void)loop;
	(void)revents;
	senders_sweep(&e->senders, clock_monotonic_ms());
}

/*
 * Over UDP without a secret any sender would be trusted. Before the first snapshot the records wait in the
 * kernel: they may have been sent while the relay was stopped.
 */
static bool can_judge(const struct events *e)
{
	return e->is_local || agent_secret(e->agent).n > 0;
}

/* Takes at most this many batches. True: there was a record. */
static bool receive(struct events *e, int batches)
{
	bool any = false;

	if (!can_judge(e))
		return false;
	for (int batch = 0; batch < batches; batch++) {
		prepare(e);
		int n = recvmmsg(e->io.fd, e->messages, EVENTS_BATCH, MSG_DONTWAIT, NULL);
		any |= n > 0;
		for (int i = 0; i < n; i++) {
			if (sender_allowed(e, &e->messages[i].msg_hdr))
				take_datagram(e,
					(struct slice){e->buffers[i], e->messages[i].msg_len},
					(const struct sockaddr *)&e->froms[i]);
			else
				refuse(e, BOARD_EVENTS_FORGED, &e->forged_quiet,
					"end record rejected: user is not in [spop] allow_users");
		}
		if (n < EVENTS_BATCH)
			break;
	}
	return any;
}

/* True: there was a record, so the next reading is due later. */
static bool poll_socket(struct events *e)
{
	struct ev_loop *loop = e->agent->loop;

	e->read_s = ev_now(loop);
	if (!receive(e, BATCHES_PER_WAKE))
		return false;
	ev_timer_again(loop, &e->poll);
	return true;
}

static void on_events(struct ev_loop *loop, ev_io *io, int revents)
{
	struct events *e = io->data;

	(void)revents;
	ev_io_stop(loop, io);
	e->poll.repeat = can_judge(e) ? TIMER_S : SECRET_PAUSE_S;
	ev_timer_again(loop, &e->poll);
	poll_socket(e);
}

static void on_poll(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct events *e = timer->data;

	(void)revents;
	if (poll_socket(e))
		return;
	ev_timer_stop(loop, timer);
	ev_io_start(loop, &e->io);
}

/* As soon as the loop is awake, before any question is read. */
static void on_awake(struct ev_loop *loop, ev_check *before, int revents)
{
	struct events *e = before->data;

	(void)revents;
	if (ev_is_active(&e->poll) && ev_now(loop) - e->read_s >= PAUSE_S)
		poll_socket(e);
}

bool events_drain(struct events *e)
{
	return receive(e, DRAIN_BATCHES);
}

static void set_options(const struct events *e, int fd)
{
	int on = 1;
	int size = EVENTS_RECEIVE_BUFFER;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on));
	if (e->is_local)
		setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
}

static void watch_senders(struct events *e, int fd)
{
	senders_init(&e->senders, fd, &e->allowed);
	ev_timer_init(&e->sweep, on_sweep, SENDERS_SWEEP_MS / 1000.0, SENDERS_SWEEP_MS / 1000.0);
	e->sweep.data = e;
	ev_timer_start(e->agent->loop, &e->sweep);
}

struct events *events_new(struct agent *a)
{
	struct events *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->agent = a;
	ev_timer_init(&e->poll, on_poll, 0, TIMER_S);
	ev_check_init(&e->before, on_awake);
	ev_set_priority(&e->before, EV_MAXPRI);
	e->poll.data = e->before.data = e;
	ev_check_start(a->loop, &e->before);
	allowed_init(&e->allowed, a->start->config);
	for (uint32_t i = 0; i < a->start->listener_count; i++) {
		const struct child_listener *l = &a->start->listeners[i];
		if (l->what != CHILD_SOCKET_EVENTS)
			continue;
		e->is_local = address_is_local(&l->address);
		set_options(e, l->fd);
		if (!e->is_local)
			watch_senders(e, l->fd);
		ev_io_init(&e->io, on_events, l->fd, EV_READ);
		e->io.data = e;
		ev_io_start(a->loop, &e->io);
	}
	return e;
}

void events_free(struct events *e)
{
	if (!e)
		return;
	ev_io_stop(e->agent->loop, &e->io);
	ev_timer_stop(e->agent->loop, &e->poll);
	ev_check_stop(e->agent->loop, &e->before);
	ev_timer_stop(e->agent->loop, &e->sweep);
	senders_fini(&e->senders);
	free(e);
}
