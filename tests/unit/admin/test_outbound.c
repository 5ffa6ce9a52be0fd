/* Requests of control itself, against a Unix socket with configured responses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "admin/upkeep/outbound.h"
#include "common/errtext.h"
#include "tests/unit/admin/counterpart.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct scene {
	struct ev_loop *loop;
	struct outbound *outbound;
	struct counterpart other;
	size_t wanted;
	/* the result */
	size_t answers;
	bool sent, whole;
	unsigned status;
	struct buffer body;
	char code[OUTBOUND_CODE_SIZE];
	char failure[256];
	char encoding[OUTBOUND_ENCODING_SIZE];
};

static int setup(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->loop = ev_loop_new(EVFLAG_AUTO);
	s->outbound = outbound_new(s->loop);
	assert_non_null(s->outbound);
	counterpart_start(&s->other, s->loop);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;

	outbound_free(s->outbound);
	counterpart_stop(&s->other);
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
	snprintf(s->encoding, sizeof(s->encoding), "%s", a->encoding);
}

static struct outbound_request request_of(struct scene *s)
{
	return (struct outbound_request){
		.socket = s->other.path,
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

static bool has_answers(void *context)
{
	const struct scene *s = context;

	return s->answers >= s->wanted;
}

static bool has_a_request(void *context)
{
	const struct scene *s = context;

	return s->other.whole > 0;
}

static void wait_for(struct scene *s, size_t answers)
{
	s->wanted = answers;
	counterpart_run(s->loop, has_answers, s);
}

static void ask(struct scene *s, const char *answer)
{
	const struct outbound_request r = request_of(s);

	s->other.answer = answer;
	start(s, &r);
	wait_for(s, 1);
}

static void sends_only_the_given_request(void **state)
{
	struct scene *s = *state;
	struct outbound_request r = request_of(s);

	r.method = "POST";
	r.body = SLICE_LITERAL("{\"a\":1}");
	r.headers[0] = SLICE_LITERAL("X-Relay-Backend: t1-e1");
	r.headers[1] = SLICE_LITERAL("Content-Type: application/json");
	s->other.answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
	start(s, &r);
	wait_for(s, 1);
	assert_string_equal(buffer_str(&s->other.requests[0].text),
		"POST /x?y=1 HTTP/1.1\r\nHost: relay-internal\r\nAccept: */*\r\n"
		"X-Relay-Backend: t1-e1\r\nContent-Type: application/json\r\n"
		"Content-Length: 7\r\n\r\n{\"a\":1}");
	assert_true(s->sent && s->whole && s->status == 200);
	assert_string_equal(buffer_str(&s->body), "ok");
	assert_string_equal(s->failure, "");
}

static void each_request_uses_a_new_connection(void **state)
{
	struct scene *s = *state;
	const struct outbound_request r = request_of(s);

	s->other.answer = "HTTP/1.1 204 No Content\r\n\r\n";
	for (size_t i = 1; i <= 5; i++) {
		start(s, &r);
		wait_for(s, i);
		assert_int_equal(s->other.count, i);
	}
}

static void nothing_is_sent_without_a_listener(void **state)
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
	/* There is no repetition. */
	assert_int_equal(s->other.count, 1);
}

static void a_truncated_response_is_kept(void **state)
{
	struct scene *s = *state;

	ask(s, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"half");
	assert_true(s->sent && !s->whole && s->status == 200);
	assert_string_equal(buffer_str(&s->body), "{\"half");
}

static void invalid_http_is_no_response(void **state)
{
	struct scene *s = *state;

	ask(s, "SSH-2.0-OpenSSH_9.2\r\n\r\n");
	assert_true(s->sent && !s->whole && s->status == 0);
}

static void redirects_are_not_followed(void **state)
{
	struct scene *s = *state;

	ask(s, "HTTP/1.1 307 Elsewhere\r\nLocation: http://other/\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(s->status, 307);
	assert_int_equal(s->other.count, 1);
}

static void error_codes_of_the_relay_are_reported(void **state)
{
	struct scene *s = *state;

	ask(s,
		"HTTP/1.1 503 Service Unavailable\r\nx-relay-error:  upstream_unavailable \r\n"
		"Content-Length: 0\r\n\r\n");
	assert_string_equal(s->code, "upstream_unavailable");
	assert_true(s->status == 503 && s->whole);
}

static void an_endless_response_is_truncated(void **state)
{
	struct scene *s = *state;

	s->other.filler = OUTBOUND_BODY_MAX + 1;
	ask(s, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
	assert_int_equal(s->body.len, OUTBOUND_BODY_MAX);
	assert_false(s->whole);
}

static void a_request_may_allow_a_longer_response(void **state)
{
	struct scene *s = *state;
	struct outbound_request r = request_of(s);

	r.answer_max = OUTBOUND_BODY_MAX + 1;
	s->other.filler = OUTBOUND_BODY_MAX + 2;
	s->other.answer = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
	start(s, &r);
	wait_for(s, 1);
	assert_int_equal(s->body.len, OUTBOUND_BODY_MAX + 1);
	assert_false(s->whole);
}

static void a_compressed_response_stays_as_it_is(void **state)
{
	struct scene *s = *state;

	ask(s, "HTTP/1.1 200 OK\r\ncontent-encoding:  br \r\nContent-Length: 3\r\n\r\n\x1f\x8b!");
	assert_string_equal(s->encoding, "br");
	assert_string_equal(buffer_str(&s->body), "\x1f\x8b!");
	assert_true(s->whole);
}

static void a_response_of_the_maximum_size_is_complete(void **state)
{
	struct scene *s = *state;

	s->other.filler = OUTBOUND_BODY_MAX;
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

static void concurrent_requests_are_limited(void **state)
{
	struct scene *s = *state;
	const struct outbound_request r = request_of(s);
	struct outbound_call *call = NULL;
	struct errtext e;

	for (int i = 0; i < OUTBOUND_CALLS_MAX; i++)
		start(s, &r);
	assert_int_equal(outbound_send(s->outbound, &r, &call, &e), -EAGAIN);
	s->other.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	wait_for(s, OUTBOUND_CALLS_MAX);
	start(s, &r);
	wait_for(s, OUTBOUND_CALLS_MAX + 1);
}

static void cancelled_requests_get_no_callback(void **state)
{
	struct scene *s = *state;
	const struct outbound_request r = request_of(s);
	struct outbound_call *first = start(s, &r);
	struct outbound_call *second = start(s, &r);

	outbound_cancel(first);
	counterpart_run(s->loop, has_a_request, s);
	outbound_cancel(second);
	start(s, &r);
	s->other.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	wait_for(s, 1);
	start(s, &r); /* in progress at the end */
}

static void invalid_targets_are_rejected(void **state)
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
		TEST(sends_only_the_given_request),
		TEST(each_request_uses_a_new_connection),
		TEST(nothing_is_sent_without_a_listener),
		TEST(a_connection_that_ends_without_an_answer_was_sent),
		TEST(a_truncated_response_is_kept),
		TEST(invalid_http_is_no_response),
		TEST(redirects_are_not_followed),
		TEST(error_codes_of_the_relay_are_reported),
		TEST(an_endless_response_is_truncated),
		TEST(a_response_of_the_maximum_size_is_complete),
		TEST(a_request_may_allow_a_longer_response),
		TEST(a_compressed_response_stays_as_it_is),
		TEST(silence_ends_with_the_timeout),
		TEST(concurrent_requests_are_limited),
		TEST(cancelled_requests_get_no_callback),
		TEST(invalid_targets_are_rejected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
