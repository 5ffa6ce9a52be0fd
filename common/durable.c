#include "common/durable.h"

#include <errno.h>
#include <unistd.h>

int durable_write(int fd, struct slice text)
{
	while (text.n) {
		ssize_t n = write(fd, text.p, text.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		text = slice_skip(text, (size_t)n);
	}
	return fsync(fd) < 0 ? -errno : 0;
}
