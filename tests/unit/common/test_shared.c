/* The board and the channels, which processes share. */
#include "common/board.h"
#include "common/channel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static struct board *new_board(void)
{
	struct errtext e;
	int fd = board_create();

	assert_true(fd >= 0);
	struct board *b = board_map(fd, true, &e);
	assert_non_null(b);
	close(fd);
	return b;
}

static void the_ring_keeps_the_last_requests(void **state)
{
	struct board *b = new_board();
	struct board_request row = {0};

	(void)state;
	assert_int_equal(board_read_request(b, 0, &row), -EAGAIN);
	for (uint32_t i = 0; i < BOARD_REQUESTS + 10; i++) {
		struct board_request put = {.tenant = i};
		board_put_request(b, &put);
	}
	assert_int_equal(board_read_request(b, 9, &row), -ENOENT);
	for (uint32_t i = 10; i < BOARD_REQUESTS + 10; i++) {
		assert_int_equal(board_read_request(b, i, &row), 0);
		assert_int_equal(row.tenant, i);
	}
	assert_int_equal(board_read_request(b, BOARD_REQUESTS + 10, &row), -EAGAIN);
	board_unmap(b);
}

static void rows_are_found_again_and_bounded(void **state)
{
	struct board *b = new_board();

	(void)state;
	assert_null(board_tenant(b, 0));
	for (uint32_t i = 1; i <= BOARD_ROWS; i++)
		board_set(&board_tenant(b, i * 7919)->active, i);
	for (uint32_t i = 1; i <= BOARD_ROWS; i++)
		assert_int_equal(board_get(&board_tenant(b, i * 7919)->active), i);
	assert_null(board_tenant(b, 3));
	assert_int_equal(board_get(&b->counters[BOARD_BOARD_FULL]), 1);
	board_unmap(b);
}

static void times_fall_into_their_buckets(void **state)
{
	struct board *b = new_board();

	(void)state;
	board_observe_decision(b, 1000);
	board_observe_decision(b, 1001);
	board_observe_decision(b, UINT64_C(1) << 60);
	assert_int_equal(board_get(&b->decision.buckets[0]), 1);
	assert_int_equal(board_get(&b->decision.buckets[1]), 1);
	assert_int_equal(board_get(&b->decision.buckets[BOARD_DECISION_BUCKETS - 1]), 1);
	struct board_upstream *u = board_upstream(b, 1);
	board_observe_upstream(&u->ttfb, 10);
	board_observe_upstream(&u->ttfb, 11);
	board_observe_upstream(&u->ttfb, 400000);
	assert_int_equal(board_get(&u->ttfb.buckets[0]), 1);
	assert_int_equal(board_get(&u->ttfb.buckets[1]), 1);
	assert_int_equal(board_get(&u->ttfb.buckets[BOARD_UPSTREAM_BUCKETS - 1]), 1);
	board_unmap(b);
}

static void a_foreign_board_is_refused(void **state)
{
	struct errtext e;
	int fd = memfd_create("x", MFD_CLOEXEC);

	(void)state;
	assert_null(board_map(fd, false, &e));
	assert_int_equal(ftruncate(fd, sizeof(struct board)), 0);
	assert_null(board_map(fd, false, &e));
	close(fd);
}

static void messages_carry_descriptors(void **state)
{
	struct channel_message m = {.type = CHANNEL_SNAPSHOT, .version = 5, .text = "hello"};
	struct channel_message got;
	int pair[2];
	int fds[CHANNEL_FDS_MAX];
	int pipes[2];

	(void)state;
	assert_int_equal(channel_pair(pair), 0);
	assert_int_equal(channel_receive(pair[1], &got, fds), -EAGAIN);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(channel_send(pair[0], &m, pipes, 2), 0);
	assert_int_equal(channel_receive(pair[1], &got, fds), 0);
	assert_int_equal(got.version, 5);
	assert_string_equal(got.text, "hello");
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
	close(fds[0]);
	close(fds[1]);
	close(pipes[0]);
	close(pipes[1]);
	assert_int_equal(channel_send(pair[0], &m, NULL, 0), 0);
	assert_int_equal(channel_receive(pair[1], &got, fds), 0);
	assert_int_equal(fds[0], -1);
	close(pair[0]);
	assert_int_equal(channel_receive(pair[1], &got, fds), -EPIPE);
	assert_int_equal(channel_send(pair[1], &m, NULL, 0), -EPIPE);
	close(pair[1]);
}

static void what_is_no_message_is_refused(void **state)
{
	struct channel_message got;
	char large[sizeof(got) + 1] = {0};
	int pair[2];
	int fds[CHANNEL_FDS_MAX];

	(void)state;
	assert_int_equal(channel_pair(pair), 0);
	assert_true(send(pair[0], "short", 5, 0) == 5);
	assert_int_equal(channel_receive(pair[1], &got, fds), -EBADMSG);
	assert_true(send(pair[0], large, sizeof(large), 0) == (ssize_t)sizeof(large));
	assert_int_equal(channel_receive(pair[1], &got, fds), -EBADMSG);
	memset(&got, 'x', sizeof(got));
	assert_true(send(pair[0], &got, sizeof(got), 0) == (ssize_t)sizeof(got));
	assert_int_equal(channel_receive(pair[1], &got, fds), 0);
	assert_int_equal(strlen(got.text), CHANNEL_TEXT_MAX - 1);
	close(pair[0]);
	close(pair[1]);
}

static void a_full_channel_says_so(void **state)
{
	struct channel_message m = {.type = CHANNEL_READY};
	int pair[2];
	int error = 0;

	(void)state;
	assert_int_equal(channel_pair(pair), 0);
	for (int i = 0; i < 100000 && !error; i++)
		error = channel_send(pair[0], &m, NULL, 0);
	assert_int_equal(error, -EAGAIN);
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_ring_keeps_the_last_requests),
		cmocka_unit_test(rows_are_found_again_and_bounded),
		cmocka_unit_test(times_fall_into_their_buckets),
		cmocka_unit_test(a_foreign_board_is_refused),
		cmocka_unit_test(messages_carry_descriptors),
		cmocka_unit_test(what_is_no_message_is_refused),
		cmocka_unit_test(a_full_channel_says_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
