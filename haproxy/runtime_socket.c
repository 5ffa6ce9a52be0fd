#include "haproxy/runtime_socket.h"

#include "common/clock.h"
#include "haproxy/runtime.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int wait_for(int fd, short events, int64_t deadline_ms)
{
	struct pollfd p = {.fd = fd, .events = events};

	for (;;) {
		int64_t left = deadline_ms - clock_monotonic_ms();
		if (left <= 0)
			return -ETIMEDOUT;
		int n = poll(&p, 1, left > 60000 ? 60000 : (int)left);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

/* With a full backlog a non-blocking connect to a Unix socket fails with EAGAIN at once. */
static int connect_unix(int fd, const struct sockaddr_un *sun, int64_t deadline_ms)
{
	while (connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		if (clock_monotonic_ms() >= deadline_ms)
			return -ETIMEDOUT;
		poll(NULL, 0, 10);
	}
	return 0;
}

static int open_socket(const char *path, int64_t deadline_ms)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	memcpy(sun.sun_path, path, strlen(path) + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int error = connect_unix(fd, &sun, deadline_ms);
	if (error) {
		close(fd);
		return error;
	}
	return fd;
}

static int send_all(int fd, struct slice rest, int64_t deadline_ms)
{
	while (rest.n) {
		ssize_t n = send(fd, rest.p, rest.n, MSG_NOSIGNAL);
		if (n >= 0) {
			rest = slice_skip(rest, (size_t)n);
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		int error = wait_for(fd, POLLOUT, deadline_ms);
		if (error)
			return error;
	}
	return 0;
}

static int read_all(int fd, int64_t deadline_ms, struct buffer *answer)
{
	char chunk[16384];

	for (;;) {
		int error = wait_for(fd, POLLIN, deadline_ms);
		if (error)
			return error;
		ssize_t n = recv(fd, chunk, sizeof(chunk), 0);
		if (n == 0)
			return buffer_error(answer);
		if (n < 0) {
			if (errno != EAGAIN && errno != EINTR)
				return -errno;
			continue;
		}
		if (answer->len + (size_t)n > RUNTIME_ANSWER_MAX)
			return -EFBIG;
		buffer_append(answer, chunk, (size_t)n);
	}
}

static int exchange(
	int fd, const char *command, bool close_write, int64_t deadline_ms, struct buffer *answer)
{
	struct buffer line = {0};

	buffer_printf(&line, "%s\n", command);
	int error = buffer_error(&line);
	if (!error)
		error = send_all(fd, buffer_slice(&line), deadline_ms);
	buffer_fini(&line);
	if (!error && close_write && shutdown(fd, SHUT_WR) < 0)
		error = -errno;
	return error ? error : read_all(fd, deadline_ms, answer);
}

int runtime_exchange(const char *socket_path, const char *command, bool close_write,
	int64_t deadline_ms, struct buffer *answer, struct errtext *e)
{
	int fd = open_socket(socket_path, deadline_ms);
	int error = fd < 0 ? fd : exchange(fd, command, close_write, deadline_ms, answer);

	if (fd >= 0)
		close(fd);
	if (error == -ETIMEDOUT)
		return errtext_set(e, error, "HAProxy at %s did not answer in time", socket_path);
	if (error)
		return errtext_set(e, error, "HAProxy at %s: %s", socket_path, strerror(-error));
	return 0;
}
