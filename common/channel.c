#include "common/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control_space {
	struct cmsghdr align;
	char space[CMSG_SPACE(sizeof(int) * CHANNEL_FDS_MAX)];
};

int channel_pair(int ret_fds[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret_fds) < 0)
		return -errno;
	return 0;
}

static void attach_fds(struct msghdr *msg, union control_space *c, const int *fds, size_t nfds)
{
	if (nfds == 0)
		return;
	memset(c, 0, sizeof(*c));
	msg->msg_control = c->space;
	msg->msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
	struct cmsghdr *header = CMSG_FIRSTHDR(msg);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
	memcpy(CMSG_DATA(header), fds, sizeof(int) * nfds);
}

int channel_send(int fd, const struct channel_message *m, const int *fds, size_t nfds)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)m, .iov_len = sizeof(*m)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	union control_space c;

	if (nfds > CHANNEL_FDS_MAX)
		return -EINVAL;
	attach_fds(&msg, &c, fds, nfds);
	for (;;) {
		if (sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			return 0;
		if (errno == EINTR)
			continue;
		return errno == ECONNRESET ? -EPIPE : -errno;
	}
}

/* Takes every received descriptor, so that none leaks; too many are an error. */
static int take_fds(struct msghdr *msg, int ret_fds[CHANNEL_FDS_MAX])
{
	size_t taken = 0;
	int error = 0;

	for (struct cmsghdr *h = CMSG_FIRSTHDR(msg); h; h = CMSG_NXTHDR(msg, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(int));
			if (taken < CHANNEL_FDS_MAX) {
				ret_fds[taken++] = fd;
				continue;
			}
			close(fd);
			error = -EBADMSG;
		}
	}
	return error;
}

static void drop_fds(int fds[CHANNEL_FDS_MAX])
{
	for (size_t i = 0; i < CHANNEL_FDS_MAX; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

int channel_receive(int fd, struct channel_message *ret, int ret_fds[CHANNEL_FDS_MAX])
{
	union control_space c;
	struct iovec iov = {.iov_base = ret, .iov_len = sizeof(*ret)};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = c.space,
		.msg_controllen = sizeof(c)};
	ssize_t n;

	for (size_t i = 0; i < CHANNEL_FDS_MAX; i++)
		ret_fds[i] = -1;
	do {
		n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	int error = take_fds(&msg, ret_fds);
	if (n == 0 && !error) {
		drop_fds(ret_fds);
		return -EPIPE;
	}
	if (error || n != (ssize_t)sizeof(*ret) || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		drop_fds(ret_fds);
		return -EBADMSG;
	}
	ret->text[CHANNEL_TEXT_MAX - 1] = '\0';
	return 0;
}
