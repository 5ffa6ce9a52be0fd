#include "tests/unit/admin/counterpart.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void end(struct counterpart_request *r)
{
	if (r->io.fd < 0)
		return;
	ev_io_stop(r->owner->loop, &r->io);
	close(r->io.fd);
	r->io.fd = -1;
}

static void write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t done = send(fd, p, n, MSG_NOSIGNAL);
		if (done <= 0)
			return;
		p += done;
		n -= (size_t)done;
	}
}

static void give_answer(struct counterpart_request *r)
{
	struct counterpart *c = r->owner;
	char chunk[1024];

	if (!c->answer || r->io.fd < 0)
		return;
	write_all(r->io.fd, c->answer, strlen(c->answer));
	memset(chunk, 'x', sizeof(chunk));
	for (size_t left = c->filler; left;) {
		size_t n = left < sizeof(chunk) ? left : sizeof(chunk);
		write_all(r->io.fd, chunk, n);
		left -= n;
	}
	end(r);
}

const char *counterpart_body(const struct counterpart_request *r)
{
	const char *head_end = strstr(buffer_str(&r->text), "\r\n\r\n");

	return head_end ? head_end + 4 : NULL;
}

static bool is_whole(const struct counterpart_request *r)
{
	const char *body = counterpart_body(r);
	const char *length = strstr(buffer_str(&r->text), "Content-Length: ");

	return body && (!length || strlen(body) >= strtoul(length + 16, NULL, 10));
}

static void on_request(struct ev_loop *loop, ev_io *io, int events)
{
	struct counterpart_request *r = io->data;
	struct counterpart *c = r->owner;
	char chunk[4096];
	ssize_t n = read(io->fd, chunk, sizeof(chunk));

	(void)loop;
	(void)events;
	if (n <= 0) {
		end(r);
		return;
	}
	buffer_append(&r->text, chunk, (size_t)n);
	if (r->whole || !is_whole(r))
		return;
	r->whole = true;
	c->whole++;
	if (c->seen)
		c->seen(c->context, r);
	give_answer(r);
}

static void on_listener(struct ev_loop *loop, ev_io *io, int events)
{
	struct counterpart *c = io->data;
	int fd = accept(io->fd, NULL, NULL);

	(void)events;
	assert_true(fd >= 0 && c->count < COUNTERPART_REQUESTS_MAX);
	struct counterpart_request *r = &c->requests[c->count++];
	r->owner = c;
	ev_io_init(&r->io, on_request, fd, EV_READ);
	r->io.data = r;
	ev_io_start(loop, &r->io);
}

void counterpart_start(struct counterpart *c, struct ev_loop *loop)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	*c = (struct counterpart){.loop = loop};
	snprintf(c->path, sizeof(c->path), "/tmp/relay-counterpart-%d.sock", (int)getpid());
	unlink(c->path);
	memcpy(at.sun_path, c->path, strlen(c->path));
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 128), 0);
	ev_io_init(&c->listener, on_listener, fd, EV_READ);
	c->listener.data = c;
	ev_io_start(loop, &c->listener);
}

void counterpart_stop(struct counterpart *c)
{
	for (size_t i = 0; i < c->count; i++) {
		end(&c->requests[i]);
		buffer_fini(&c->requests[i].text);
	}
	ev_io_stop(c->loop, &c->listener);
	close(c->listener.fd);
	unlink(c->path);
}

void counterpart_answer_all(struct counterpart *c, const char *answer)
{
	c->answer = answer;
	for (size_t i = 0; i < c->count; i++)
		if (c->requests[i].whole)
			give_answer(&c->requests[i]);
}

static void on_deadline(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)timer;
	(void)events;
	fail_msg("timeout: the condition did not become true");
}

void counterpart_run(struct ev_loop *loop, bool (*done)(void *context), void *context)
{
	ev_timer deadline;

	ev_timer_init(&deadline, on_deadline, 20, 0);
	ev_timer_start(loop, &deadline);
	while (!done(context))
		ev_run(loop, EVRUN_ONCE);
	ev_timer_stop(loop, &deadline);
}
