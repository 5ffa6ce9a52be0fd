#include "common/acceptor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

/* A copy needs no file to be opened, which the agent may not. */
static void take_reserve(struct acceptor *a, int fd)
{
	if (a->reserve < 0)
		a->reserve = fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

static void give_reserve(struct acceptor *a)
{
	if (a->reserve >= 0)
		close(a->reserve);
	a->reserve = -1;
}

void acceptor_init(struct acceptor *a, int fd)
{
	a->reserve = -1;
	take_reserve(a, fd);
}

void acceptor_fini(struct acceptor *a)
{
	give_reserve(a);
}

static int accept_one(int listener)
{
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0)
			return fd;
		if (errno != EINTR && errno != ECONNABORTED)
			return -errno;
	}
}

static bool is_out_of_descriptors(int error)
{
	return error == -EMFILE || error == -ENFILE;
}

int acceptor_accept(struct acceptor *a, int listener)
{
	int fd = accept_one(listener);

	if (!is_out_of_descriptors(fd)) {
		take_reserve(a, listener);
		return fd;
	}
	if (a->reserve < 0)
		return -ENFILE;
	give_reserve(a);
	fd = accept_one(listener);
	if (fd >= 0)
		close(fd);
	take_reserve(a, listener);
	if (fd >= 0)
		return -EMFILE;
	return is_out_of_descriptors(fd) ? -ENFILE : fd;
}
