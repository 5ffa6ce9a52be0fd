/* Requests of control itself, against a Unix socket that answers as told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "admin/outbound.h"
#include "common/buffer.h"

#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PEERS_MAX 80

struct peer {
	struct scene *scene;
	ev_io io;
	struct buffer got;
};

/* A server on the same loop: takes one whole request, answers with `answer`, closes. */
struct scene {
	struct ev_loop *loop;
	struct outbound *outbound;
	char path[64];
	int fd;
	ev_io listener;
	struct peer peers[PEERS_MAX];
	size_t peer_count;
	const char *answer; /* NULL: silence */
	size_t filler;	    /* bytes after it */
	size_t expected;    /* bytes after the head */
	/* what came back */
	size_t answers;
	bool sent, whole;
	unsigned status;
	struct buffer body;
	char code[OUTBOUND_CODE_SIZE];
	char failure[256];
};

static void close_peer(struct peer *p)
{
	if (p->io.fd < 0)
		return;
	ev_io_stop(p->scene->loop, &p->io);
	close(p->io.fd);
	p->io.fd = -1;
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

static void give_answer(struct peer *p)
{
	struct scene *s = p->scene;
	char chunk[1024];

	if (!s->answer)
		return;
	write_all(p->io.fd, s->answer, strlen(s->answer));
	memset(chunk, 'x', sizeof(chunk));
	for (size_t left = s->filler; left;) {
		size_t n = left < sizeof(chunk) ? left : sizeof(chunk);
		write_all(p->io.fd, chunk, n);
		left -= n;
	}
	close_peer(p);
}

static void on_peer(struct ev_loop *loop, ev_io *io, int events)
{
	struct peer *p = io->data;
	char chunk[4096];
	ssize_t n = read(io->fd, chunk, sizeof(chunk));

	(void)loop;
	(void)events;
	if (n <= 0) {
		close_peer(p);
		return;
	}
	buffer_append(&p->got, chunk, (size_t)n);
	const char *end = strstr(buffer_str(&p->got), "\r\n\r\n");
	if (end && p->got.len - (size_t)(end + 4 - p->got.data) >= p->scene->expected)
		give_answer(p);
}

static void on_listener(struct ev_loop *loop, ev_io *io, int events)
{
	struct scene *s = io->data;
	int fd = accept(io->fd, NULL, NULL);

	(void)events;
	assert_true(fd >= 0 && s->peer_count < PEERS_MAX);
	struct peer *p = &s->peers[s->peer_count++];
	p->scene = s;
	ev_io_init(&p->io, on_peer, fd, EV_READ);
	p->io.data = p;
	ev_io_start(loop, &p->io);
}

static int setup(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	assert_non_null(s);
	s->loop = ev_loop_new(EVFLAG_AUTO);
	s->outbound = outbound_new(s->loop);
	assert_non_null(s->outbound);
	snprintf(s->path, sizeof(s->path), "/tmp/relay-outbound-%d.sock", (int)getpid());
	unlink(s->path);
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	memcpy(at.sun_path, s->path, strlen(s->path));
	assert_int_equal(bind(s->fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(s->fd, 128), 0);
	ev_io_init(&s->listener, on_listener, s->fd, EV_READ);
	s->listener.data = s;
	ev_io_start(s->loop, &s->listener);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;

	outbound_free(s->outbound);
	for (size_t i = 0; i < s->peer_count; i++) {
		close_peer(&s->peers[i]);
		buffer_fini(&s->peers[i].got);
	}
	ev_io_stop(s->loop, &s->listener);
	close(s->fd);
	unlink(s->path);
	ev_loop_destroy(s->loop);
	buffer_fini(&s->body);
	free(s);
	return 0;
}

static void on_done(void *context, const struct outbound_answer *a)
{
	struct scene *s = context;

	s->answers++;
	s->sent = a->sent;
	s->whole = a->whole;
	s->status = a->status;
	buffer_clear(&s->body);
	buffer_append_slice(&s->body, a->body);
	snprintf(s->code, sizeof(s->code), "%s", a->code);
	snprintf(s->failure, sizeof(s->failure), "%s", a->failure);
}

static struct outbound_request request_of(struct scene *s)
{
	return (struct outbound_request){
		.socket = s->path,
		.method = "GET",
		.target = "/x?y=1",
		.timeout_ms = 10000,
		.done = on_done,
		.context = s,
	};
}

static struct outbound_call *start(struct scene *s, const struct outbound_request *r)
{
	struct outbound_call *call = NULL;

	assert_int_equal(outbound_send(s->outbound, r, &call, NULL), 0);
	assert_non_null(call);
	return call;
}

static void on_deadline(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)timer;
	(void)events;
	fail_msg("no answer in time");
}

static void wait_for(struct scene *s, size_t answers)
{
	ev_timer deadline;

	ev_timer_init(&deadline, on_deadline, 20, 0);
	ev_timer_start(s->loop, &deadline);
	while (s->answers < answers)
		ev_run(s->loop, EVRUN_ONCE);
	ev_timer_stop(s->loop, &deadline);
}

static void ask(struct scene *s, const char *answer)
{
	const struct outbound_request r = request_of(s);

	s->answer = answer;
	start(s, &r);
	wait_for(s, 1);
}

static void says_what_it_is_told_and_no_more(void **state)
{
	struct scene *s = *state;
	struct outbound_request r = request_of(s);

	r.method = "POST";
	r.body = SLICE_LITERAL("{\"a\":1}");
	r.headers[0] = SLICE_LITERAL("X-Relay-Backend: t1-e1");
	r.headers[1] = SLICE_LITERAL("Content-Type: application/json");
	s->expected = r.body.n;
	s->answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
	start(s, &r);
	wait_for(s, 1);
	assert_string_equal(buffer_str(&s->peers[0].got),
		"POST /x?y=1 HTTP/1.1\r\nHost: relay-internal\r\nAccept: */*\r\n"
		"X-Relay-Backend: t1-e1\r\nContent-Type: application/json\r\n"
		"Content-Length: 7\r\n\r\n{\"a\":1}");
	assert_true(s->sent && s->whole && s->status == 200);
	assert_string_equal(buffer_str(&s->body), "ok");
	assert_string_equal(s->failure, "");
}

static void each_request_has_a_connection_of_its_own(void **state)
{
	struct scene *s = *state;
	const struct outbound_request r = request_of(s);

	s->answer = "HTTP/1.1 204 No Content\r\n\r\n";
	for (size_t i = 1; i <= 5; i++) {
		start(s, &r);
		wait_for(s, i);
		assert_int_equal(s->peer_count, i);
	}
}

static void nobody_there_is_certainly_not_sent(void **state)
{
	struct scene *s = *state;
	struct outbound_request r = request_of(s);

	r.socket = "/tmp/relay-outbound-nobody.sock";
	start(s, &r);
	wait_for(s, 1);
	assert_false(s->sent);
	assert_int_equal(s->status, 0);
	assert_true(s->failure[0]);
}

static void a_connection_that_ends_without_an_answer_was_sent(void **state)
{
	struct scene *s = *state;

	ask(s, "");
	assert_true(s->sent && !s->whole && s->status == 0);
	/* and is not repeated */
	assert_int_equal(s->peer_count, 1);
}

static void an_answer_that_is_cut_is_kept_as_far_as_it_came(void **state)
{
	struct scene *s = *state;

	ask(s, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"half");
	assert_true(s->sent && !s->whole && s->status == 200);
	assert_string_equal(buffer_str(&s->body), "{\"half");
}

static void rubbish_is_no_answer(void **state)
{
	struct scene *s = *state;

	ask(s, "SSH-2.0-OpenSSH_9.2\r\n\r\n");
	assert_true(s->sent && !s->whole && s->status == 0);
}

static void nothing_is_followed(void **state)
{
	struct scene *s = *state;

	ask(s, "HTTP/1.1 307 Elsewhere\r\nLocation: http://other/\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(s->status, 307);
	assert_int_equal(s->peer_count, 1);
}

static void the_relays_own_answers_are_marked(void **state)
{
	struct scene *s = *state;

	ask(s,
		"HTTP/1.1 503 Service Unavailable\r\nx-relay-error:  upstream_unavailable \r\n"
		"Content-Length: 0\r\n\r\n");
	assert_string_equal(s->code, "upstream_unavailable");
	assert_true(s->status == 503 && s->whole);
}

static void an_endless_answer_is_cut_at_its_bound(void **state)
{
	struct scene *s = *state;

	s->filler = OUTBOUND_BODY_MAX + 1;
	ask(s, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
	assert_int_equal(s->body.len, OUTBOUND_BODY_MAX);
	assert_false(s->whole);
}

static void an_answer_of_just_the_bound_is_whole(void **state)
{
	struct scene *s = *state;

	s->filler = OUTBOUND_BODY_MAX;
	ask(s, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
	assert_int_equal(s->body.len, OUTBOUND_BODY_MAX);
	assert_true(s->whole);
}

static void silence_ends_with_the_timeout(void **state)
{
	struct scene *s = *state;
	struct outbound_request r = request_of(s);

	r.timeout_ms = 100;
	start(s, &r);
	wait_for(s, 1);
	assert_true(s->sent && s->status == 0);
	assert_true(s->failure[0]);
}

static void many_at_once_up_to_the_bound(void **state)
{
	struct scene *s = *state;
	const struct outbound_request r = request_of(s);
	struct outbound_call *call = NULL;
	struct errtext e;

	for (int i = 0; i < OUTBOUND_CALLS_MAX; i++)
		start(s, &r);
	assert_int_equal(outbound_send(s->outbound, &r, &call, &e), -EAGAIN);
	s->answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	wait_for(s, OUTBOUND_CALLS_MAX);
	start(s, &r);
	wait_for(s, OUTBOUND_CALLS_MAX + 1);
}

static void cancelled_ones_say_nothing(void **state)
{
	struct scene *s = *state;
	const struct outbound_request r = request_of(s);
	struct outbound_call *first = start(s, &r);
	struct outbound_call *second = start(s, &r);

	outbound_cancel(first);
	while (s->peer_count < 1 || !s->peers[0].got.len)
		ev_run(s->loop, EVRUN_ONCE);
	outbound_cancel(second);
	start(s, &r);
	s->answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	wait_for(s, 1);
	start(s, &r); /* under way at the end */
}

static void targets_that_make_no_url_are_refused(void **state)
{
	struct scene *s = *state;
	struct outbound_request r = request_of(s);
	struct outbound_call *call = NULL;
	char *longest = malloc(4000);

	assert_non_null(longest);
	memset(longest, '/', 3999);
	longest[3999] = '\0';
	r.target = longest;
	assert_int_equal(outbound_send(s->outbound, &r, &call, NULL), -EINVAL);
	free(longest);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(says_what_it_is_told_and_no_more),
		TEST(each_request_has_a_connection_of_its_own),
		TEST(nobody_there_is_certainly_not_sent),
		TEST(a_connection_that_ends_without_an_answer_was_sent),
		TEST(an_answer_that_is_cut_is_kept_as_far_as_it_came),
		TEST(rubbish_is_no_answer),
		TEST(nothing_is_followed),
		TEST(the_relays_own_answers_are_marked),
		TEST(an_endless_answer_is_cut_at_its_bound),
		TEST(an_answer_of_just_the_bound_is_whole),
		TEST(silence_ends_with_the_timeout),
		TEST(many_at_once_up_to_the_bound),
		TEST(cancelled_ones_say_nothing),
		TEST(targets_that_make_no_url_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
