#include "common/buffer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void buffer_init(struct buffer *b, size_t max)
{
	*b = (struct buffer){.max = max};
}

void buffer_fini(struct buffer *b)
{
	if (b->data)
		explicit_bzero(b->data, b->cap);
	free(b->data);
	*b = (struct buffer){.max = b->max};
}

void buffer_clear(struct buffer *b)
{
	b->len = 0;
	b->error = 0;
	if (b->data)
		b->data[0] = '\0';
}

static void buffer_fail(struct buffer *b, int error)
{
	if (!b->error)
		b->error = error;
}

/* Room for `n` more bytes and the NUL. Buffers hold secrets: no realloc, which would leave copies. */
static bool buffer_reserve(struct buffer *b, size_t n)
{
	size_t max = b->max ? b->max : BUFFER_MAX_DEFAULT;

	if (b->error)
		return false;
	if (n > max - b->len) {
		buffer_fail(b, -EFBIG);
		return false;
	}
	if (b->cap - b->len > n)
		return true;
	size_t cap = b->cap ? b->cap : 256;
	while (cap - b->len <= n)
		cap *= 2;
	char *data = malloc(cap);
	if (!data) {
		buffer_fail(b, -ENOMEM);
		return false;
	}
	if (b->data) {
		memcpy(data, b->data, b->len);
		explicit_bzero(b->data, b->cap);
		free(b->data);
	}
	b->data = data;
	b->cap = cap;
	return true;
}

void buffer_append(struct buffer *b, const void *p, size_t n)
{
	if (!buffer_reserve(b, n))
		return;
	if (n)
		memcpy(b->data + b->len, p, n);
	b->len += n;
	b->data[b->len] = '\0';
}

void buffer_append_slice(struct buffer *b, struct slice s)
{
	buffer_append(b, s.p, s.n);
}

void buffer_append_str(struct buffer *b, const char *s)
{
	buffer_append(b, s, strlen(s));
}

void buffer_printf(struct buffer *b, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (n < 0) {
		buffer_fail(b, -EINVAL);
		return;
	}
	if (!buffer_reserve(b, (size_t)n))
		return;
	va_start(args, format);
	vsnprintf(b->data + b->len, (size_t)n + 1, format, args);
	va_end(args);
	b->len += (size_t)n;
}

size_t buffer_extend(struct buffer *b, size_t n)
{
	size_t at = b->len;

	if (!buffer_reserve(b, n))
		return SIZE_MAX;
	memset(b->data + at, 0, n + 1);
	b->len += n;
	return at;
}

int buffer_error(const struct buffer *b)
{
	return b->error;
}

struct slice buffer_slice(const struct buffer *b)
{
	return (struct slice){b->data, b->len};
}

const char *buffer_str(const struct buffer *b)
{
	return b->data ? b->data : "";
}

static int read_all(struct buffer *b, int fd, bool by_offset, size_t max)
{
	char chunk[16384];
	size_t total = 0;
	int error = 0;

	while (!error) {
		ssize_t n = by_offset ? pread(fd, chunk, sizeof(chunk), (off_t)total)
				      : read(fd, chunk, sizeof(chunk));
		if (n == 0)
			break;
		if (n < 0) {
			if (errno != EINTR)
				error = -errno;
			continue;
		}
		total += (size_t)n;
		if (total > max)
			error = -EFBIG;
		else
			buffer_append(b, chunk, (size_t)n);
	}
	explicit_bzero(chunk, sizeof(chunk));
	return error ? error : buffer_error(b);
}

int buffer_read_fd(struct buffer *b, int fd, size_t max)
{
	return read_all(b, fd, false, max);
}

int buffer_read_start(struct buffer *b, int fd, size_t max)
{
	return read_all(b, fd, true, max);
}

int buffer_read_file(struct buffer *b, const char *path, size_t max)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return -errno;
	int error = buffer_read_fd(b, fd, max);
	close(fd);
	return error;
}
