#include "common/sink.h"

#include "common/num.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* systemd names the device and the inode of the stream that it has connected to stderr. */
static bool is_journal(const struct stat *st)
{
	struct slice rest = slice_from_str(getenv("JOURNAL_STREAM"));
	struct slice device;
	uint64_t dev;
	uint64_t ino;

	return slice_next(&rest, ':', &device) && rest.p &&
		num_parse_u64(device, UINT64_MAX, &dev) == 0 &&
		num_parse_u64(rest, UINT64_MAX, &ino) == 0 && dev == st->st_dev &&
		ino == st->st_ino;
}

/* A second opening of the same pipe or terminal, with flags that nobody else sees. -1: not allowed. */
static int open_again(void)
{
	int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	int high = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, SINK_FD_MIN) : -1;

	if (high < 0)
		return fd;
	close(fd);
	return high;
}

static void choose_way(struct sink *s, const struct stat *st)
{
	s->fd = STDERR_FILENO;
	s->way = SINK_WRITE;
	if (S_ISSOCK(st->st_mode)) {
		s->way = SINK_SEND;
	} else if (S_ISFIFO(st->st_mode) || S_ISCHR(st->st_mode)) {
		int fd = open_again();
		if (fd >= 0)
			s->fd = fd;
		else
			s->way = SINK_ASK;
	}
}

static void share_count(struct sink *s)
{
	void *page = mmap(NULL, sizeof(*s->dropped), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	s->dropped = page == MAP_FAILED ? NULL : page;
}

void sink_open(struct sink *s)
{
	struct stat st = {0};

	if (s->fd > STDERR_FILENO)
		close(s->fd);
	if (!s->dropped)
		share_count(s);
	if (fstat(STDERR_FILENO, &st) < 0)
		st.st_mode = S_IFREG; /* closed: each line is dropped */
	choose_way(s, &st);
	s->form = is_journal(&st)	     ? SINK_JOURNAL
		: isatty(STDERR_FILENO) == 1 ? SINK_TEXT
					     : SINK_JSON;
}

static bool has_room(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT);
}

static ssize_t write_line(const struct sink *s, struct slice line)
{
	switch (s->way) {
	case SINK_SEND:
		return send(s->fd, line.p, line.n, MSG_DONTWAIT | MSG_NOSIGNAL);
	case SINK_ASK:
		if (!has_room(s->fd))
			return -1;
		break;
	case SINK_WRITE:
		break;
	}
	return write(s->fd, line.p, line.n);
}

bool sink_write(struct sink *s, struct slice line)
{
	if (write_line(s, line) >= 0)
		return true;
	if (s->dropped)
		atomic_fetch_add_explicit(s->dropped, 1, memory_order_relaxed);
	return false;
}

uint64_t sink_dropped(const struct sink *s)
{
	return s->dropped ? atomic_load_explicit(s->dropped, memory_order_relaxed) : 0;
}
