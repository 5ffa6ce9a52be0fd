#include "agent/check.h"

#include "agent/decide/candidate.h"
#include "common/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct check {
	struct checks *all;
	struct check *next, **link;
	ev_io io;
	ev_timer limit;
	size_t n;
	char name[CHECK_NAME_MAX];
};

struct checks {
	struct agent *agent;
	struct check *first;
	uint32_t count;
	ev_io listener;
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
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	free(c);
	all->count--;
}

static void reply(struct check *c, size_t name_len)
{
	char answer[CHECK_ANSWER_SIZE];

	check_answer(c->all->agent, (struct slice){c->name, name_len}, clock_wall_ms(), answer);
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

static void check_new(struct checks *all, int fd)
{
	struct check *c = all->count < CHECKS_MAX ? calloc(1, sizeof(*c)) : NULL;

	if (!c) {
		close(fd);
		return;
	}
	c->all = all;
	c->next = all->first;
	c->link = &all->first;
	if (c->next)
		c->next->link = &c->next;
	all->first = c;
	all->count++;
	ev_io_init(&c->io, on_check, fd, EV_READ);
	ev_timer_init(&c->limit, on_limit, CHECK_MS / 1000.0, 0);
	c->io.data = c->limit.data = c;
	ev_io_start(all->agent->loop, &c->io);
	ev_timer_start(all->agent->loop, &c->limit);
}

static void on_listener(struct ev_loop *loop, ev_io *io, int events)
{
	int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)loop;
	(void)events;
	if (fd >= 0)
		check_new(io->data, fd);
}

struct checks *checks_new(struct agent *a)
{
	struct checks *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->agent = a;
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
	free(c);
}
