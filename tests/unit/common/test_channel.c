#include "common/channel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static size_t open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* Sends any bytes with any number of descriptors, like a misbehaving peer. */
static void send_raw(int fd, const void *bytes, size_t size, const int *fds, size_t nfds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * 8)];
	} c = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (nfds) {
		msg.msg_control = c.space;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		struct cmsghdr *h = CMSG_FIRSTHDR(&msg);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(h), fds, sizeof(int) * nfds);
	}
	assert_int_equal(sendmsg(fd, &msg, 0), size);
}

static void every_field_arrives_as_sent(void **state)
{
	struct channel_message sent = {.type = CHANNEL_PROCESSES,
		.error = -EBADMSG,
		.version = UINT64_MAX,
		.processes = {{.pid = 1, .restarts = 2, .ends = {3, 4}, .started_ms = 5},
			{.pid = 6, .state = CHILD_HUNG, .last_end = CHILD_END_HUNG},
			{.pid = 7, .last_end_ms = 8}},
		.text = "why"};
	struct channel_message got;
	int fds[CHANNEL_FDS_MAX];
	int pair[2];

	(void)state;
	assert_int_equal(channel_pair(pair), 0);
	assert_int_equal(channel_send(pair[0], &sent, NULL, 0), 0);
	assert_int_equal(channel_receive(pair[1], &got, fds), 0);
	assert_memory_equal(&got, &sent, sizeof(sent));
	assert_int_equal(fds[0], -1);
	assert_int_equal(fds[1], -1);
	close(pair[0]);
	close(pair[1]);
}

static void one_descriptor_takes_the_first_place(void **state)
{
	struct channel_message m = {.type = CHANNEL_PEER};
	int fds[CHANNEL_FDS_MAX];
	int pair[2];

	(void)state;
	assert_int_equal(channel_pair(pair), 0);
	assert_int_equal(channel_send(pair[0], &m, pair, 1), 0);
	assert_int_equal(channel_receive(pair[1], &m, fds), 0);
	assert_true(fds[0] >= 0);
	assert_int_equal(fds[1], -1);
	/* it is the same socket: its bytes arrive at the other end */
	assert_int_equal(channel_send(fds[0], &m, NULL, 0), 0);
	close(fds[0]);
	assert_int_equal(channel_receive(pair[1], &m, fds), 0);
	close(pair[0]);
	close(pair[1]);
}

static void too_many_descriptors_are_not_sent(void **state)
{
	struct channel_message m = {.type = CHANNEL_PEER};
	int fds[CHANNEL_FDS_MAX + 1];
	int got[CHANNEL_FDS_MAX];
	int pair[2];

	(void)state;
	assert_int_equal(channel_pair(pair), 0);
	for (size_t i = 0; i < CHANNEL_FDS_MAX + 1; i++)
		fds[i] = pair[0];
	assert_int_equal(channel_send(pair[0], &m, fds, CHANNEL_FDS_MAX + 1), -EINVAL);
	assert_int_equal(channel_receive(pair[1], &m, got), -EAGAIN);
	close(pair[0]);
	close(pair[1]);
}

static void a_refused_message_leaves_no_descriptor_open(void **state)
{
	struct channel_message m = {.type = CHANNEL_SNAPSHOT};
	struct channel_message got;
	int fds[CHANNEL_FDS_MAX];
	int many[8];
	int pair[2];

	(void)state;
	assert_int_equal(channel_pair(pair), 0);
	for (size_t i = 0; i < 8; i++)
		many[i] = pair[0];
	size_t before = open_descriptors();
	for (size_t n = CHANNEL_FDS_MAX + 1; n <= 8; n++) {
		send_raw(pair[0], &m, sizeof(m), many, n);
		assert_int_equal(channel_receive(pair[1], &got, fds), -EBADMSG);
		assert_int_equal(fds[0], -1);
		assert_int_equal(fds[1], -1);
	}
	send_raw(pair[0], &m, sizeof(m) - 1, many, CHANNEL_FDS_MAX);
	assert_int_equal(channel_receive(pair[1], &got, fds), -EBADMSG);
	send_raw(pair[0], "x", 1, many, 1);
	assert_int_equal(channel_receive(pair[1], &got, fds), -EBADMSG);
	assert_int_equal(open_descriptors(), before);
	assert_int_equal(channel_send(pair[0], &m, NULL, 0), 0);
	assert_int_equal(channel_receive(pair[1], &got, fds), 0);
	close(pair[0]);
	close(pair[1]);
}

static void what_was_sent_before_the_end_still_arrives(void **state)
{
	struct channel_message m = {.type = CHANNEL_SNAPSHOT_ACK, .version = 7};
	struct channel_message got;
	int fds[CHANNEL_FDS_MAX];
	int pair[2];

	(void)state;
	assert_int_equal(channel_pair(pair), 0);
	assert_int_equal(channel_send(pair[0], &m, pair, 2), 0);
	close(pair[0]);
	assert_int_equal(channel_receive(pair[1], &got, fds), 0);
	assert_int_equal(got.version, 7);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(channel_receive(pair[1], &got, fds), -EPIPE);
	assert_int_equal(channel_send(pair[1], &m, NULL, 0), -EPIPE);
	close(pair[1]);
}

static void a_full_queue_takes_messages_again_when_read(void **state)
{
	struct channel_message m = {.type = CHANNEL_READY};
	int fds[CHANNEL_FDS_MAX];
	int pair[2];
	uint64_t sent = 0;

	(void)state;
	assert_int_equal(channel_pair(pair), 0);
	for (m.version = 0; channel_send(pair[0], &m, NULL, 0) == 0; m.version++)
		sent++;
	assert_true(sent > 0);
	for (uint64_t i = 0; i < sent; i++) {
		assert_int_equal(channel_receive(pair[1], &m, fds), 0);
		assert_int_equal(m.version, i);
	}
	assert_int_equal(channel_receive(pair[1], &m, fds), -EAGAIN);
	assert_int_equal(channel_send(pair[0], &m, NULL, 0), 0);
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_arrives_as_sent),
		cmocka_unit_test(one_descriptor_takes_the_first_place),
		cmocka_unit_test(too_many_descriptors_are_not_sent),
		cmocka_unit_test(a_refused_message_leaves_no_descriptor_open),
		cmocka_unit_test(what_was_sent_before_the_end_still_arrives),
		cmocka_unit_test(a_full_queue_takes_messages_again_when_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
