#include "agent/check.h"

#include "agent/decide/candidate.h"
#include "agent/timekeeper.h"
#include "common/acceptor.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/quiet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHECK_ACCEPTS_PER_WAKE 16
#define ACCEPT_PAUSE_S 0.1

struct check {
	struct checks *all;
	struct check *next, *previous;
	ev_io io;
	ev_timer limit;
	size_t n;
	char name[CHECK_NAME_MAX];
};

struct checks {
	struct agent *agent;
	struct check *first, *last; /* newest first */
	uint32_t count;
	struct acceptor acceptor;
	struct quiet quiet;
	ev_io listener;
	ev_timer resume;
};

static const struct snapshot_backend *backend_by_name(const struct snapshot *s, struct slice name)
{
	const struct snapshot_backend *rows = SNAPSHOT_ROWS(s, BACKEND, struct snapshot_backend);

	for (uint32_t i = 0; i < s->counts[SNAPSHOT_BACKEND]; i++) {
		if (slice_eq(snapshot_text(s, rows[i].name), name))
			return &rows[i];
	}
	return NULL;
}

/* An empty answer leaves the decision to HAProxy's health check. */
const char *check_answer(const struct agent *a, struct slice backend, int64_t now_ms, char *out)
{
	const struct snapshot *s = a->snapshot;
	const struct snapshot_backend *b = s ? backend_by_name(s, backend) : NULL;

	snprintf(out, CHECK_ANSWER_SIZE, "up\n");
	if (!b)
		return out;
	const struct snapshot_egress *egress =
		SNAPSHOT_ROWS(s, EGRESS, struct snapshot_egress) + b->egress;
	struct health_subject subject = health_subject_of_backend(s, b);
	struct health_look look = health_look(
		health_find(&a->healths, &subject), &subject, &s->head->options, now_ms);
	if (egress->flags & SNAPSHOT_EGRESS_SUSPENDED)
		snprintf(out, CHECK_ANSWER_SIZE, "down #egress suspended\n");
	else if (look.standing == BOARD_STANDING_OPEN && look.until_ms - now_ms > CHECK_EARLY_MS)
		snprintf(out, CHECK_ANSWER_SIZE, "down #circuit open: connections fail\n");
	return out;
}

/* --- connections --- */

static void check_close(struct check *c)
{
	struct checks *all = c->all;

	ev_io_stop(all->agent->loop, &c->io);
	ev_timer_stop(all->agent->loop, &c->limit);
	close(c->io.fd);
	if (all->last == c)
		all->last = c->previous;
	if (c->previous)
		c->previous->next = c->next;
	else
		all->first = c->next;
	if (c->next)
		c->next->previous = c->previous;
	free(c);
	all->count--;
}

static void reply(struct check *c, size_t name_len)
{
	char answer[CHECK_ANSWER_SIZE];

	struct agent *a = c->all->agent;

	check_answer(a, (struct slice){c->name, name_len}, timekeeper_now(a), answer);
	/* it fits into any socket's buffer; HAProxy soon checks again anyway */
	if (send(c->io.fd, answer, strlen(answer), MSG_NOSIGNAL) > 0)
		shutdown(c->io.fd, SHUT_WR);
}

/* False: close the connection. */
static bool check_read(struct check *c)
{
	ssize_t n = recv(c->io.fd, c->name + c->n, sizeof(c->name) - c->n, 0);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	c->n += (size_t)n;
	const char *end = memchr(c->name, '\n', c->n);
	if (end)
		reply(c, (size_t)(end - c->name));
	return !end && n > 0 && c->n < sizeof(c->name);
}

static void on_check(struct ev_loop *loop, ev_io *io, int events)
{
	struct check *c = io->data;

	(void)loop;
	(void)events;
	if (!check_read(c))
		check_close(c);
}

static void on_limit(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	check_close(timer->data);
}

static void complain(struct checks *all, const char *why)
{
	if (!quiet_may_speak(&all->quiet, clock_monotonic_ms()))
		return;
	log_event(LOG_LEVEL_WARNING, "agent-check connection closed", LOG_STR("reason", why),
		LOG_INT("suppressed", all->quiet.suppressed));
	all->quiet.suppressed = 0;
}

static void put_first(struct checks *all, struct check *c)
{
	c->next = all->first;
	if (c->next)
		c->next->previous = c;
	else
		all->last = c;
	all->first = c;
	all->count++;
}

/* HAProxy sends the name at once: a connection that has waited longest makes room. */
static void check_new(struct checks *all, int fd)
{
	if (all->count >= CHECKS_MAX) {
		complain(all, "too many connections");
		check_close(all->last);
	}
	struct check *c = calloc(1, sizeof(*c));
	if (!c) {
		close(fd);
		return;
	}
	c->all = all;
	put_first(all, c);
	ev_io_init(&c->io, on_check, fd, EV_READ);
	ev_timer_init(&c->limit, on_limit, CHECK_MS / 1000.0, 0);
	c->io.data = c->limit.data = c;
	ev_io_start(all->agent->loop, &c->io);
	ev_timer_start(all->agent->loop, &c->limit);
}

static void on_resume(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct checks *all = timer->data;

	(void)events;
	ev_timer_stop(loop, timer);
	ev_io_start(loop, &all->listener);
}

/* The listener may stay readable. */
static void pause_accepting(struct checks *all, int error)
{
	complain(all, strerror(-error));
	ev_io_stop(all->agent->loop, &all->listener);
	ev_timer_again(all->agent->loop, &all->resume);
}

static void on_listener(struct ev_loop *loop, ev_io *io, int events)
{
	struct checks *all = io->data;

	(void)loop;
	(void)events;
	for (int i = 0; i < CHECK_ACCEPTS_PER_WAKE; i++) {
		int fd = acceptor_accept(&all->acceptor, io->fd);
		if (fd >= 0)
			check_new(all, fd);
		else if (fd == -EMFILE)
			complain(all, strerror(EMFILE));
		else if (fd != -EAGAIN)
			pause_accepting(all, fd);
		if (fd < 0 && fd != -EMFILE)
			return;
	}
}

struct checks *checks_new(struct agent *a)
{
	struct checks *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->agent = a;
	acceptor_init(&c->acceptor, a->start->keeper_fd);
	ev_timer_init(&c->resume, on_resume, 0, ACCEPT_PAUSE_S);
	c->resume.data = c;
	for (uint32_t i = 0; i < a->start->listener_count; i++) {
		const struct child_listener *l = &a->start->listeners[i];
		if (l->what != CHILD_SOCKET_CHECK)
			continue;
		ev_io_init(&c->listener, on_listener, l->fd, EV_READ);
		c->listener.data = c;
		ev_io_start(a->loop, &c->listener);
	}
	return c;
}

void checks_free(struct checks *c)
{
	if (!c)
		return;
	struct check *next;
	for (struct check *open = c->first; open; open = next) {
		next = open->next;
		check_close(open);
	}
	ev_io_stop(c->agent->loop, &c->listener);
	ev_timer_stop(c->agent->loop, &c->resume);
	acceptor_fini(&c->acceptor);
	free(c);
}
