/*
 * A growing text or byte buffer for everything off the request path: rendering, JSON, reports.
 * The first failure (out of memory, above `max`) sticks: later appends do nothing, and callers check
 * buffer_error() once at the end.
 */
#ifndef RELAY_COMMON_BUFFER_H
#define RELAY_COMMON_BUFFER_H

#include "common/slice.h"

#define BUFFER_MAX_DEFAULT ((size_t)256 << 20)

struct buffer {
	char *data; /* owned; NUL-terminated whenever not NULL */
	size_t len; /* bytes before the NUL */
	size_t cap;
	size_t max; /* 0 = BUFFER_MAX_DEFAULT */
	int error;  /* 0, -ENOMEM or -EFBIG */
};

/* A zeroed struct is an empty buffer too. */
void buffer_init(struct buffer *b, size_t max);
/* Wipes the content before it is freed; the buffer is empty and usable afterwards. */
void buffer_fini(struct buffer *b);
void buffer_clear(struct buffer *b);

void buffer_append(struct buffer *b, const void *p, size_t n);
void buffer_append_slice(struct buffer *b, struct slice s);
void buffer_append_str(struct buffer *b, const char *s);
void buffer_printf(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* `n` zeroed bytes at the end; returns their offset, or SIZE_MAX after an error. */
size_t buffer_extend(struct buffer *b, size_t n);

int buffer_error(const struct buffer *b);
struct slice buffer_slice(const struct buffer *b);
/* The text, never NULL ("" when empty). Valid until the next append. */
const char *buffer_str(const struct buffer *b);

/* Reads a whole file of at most `max` bytes. 0, -EFBIG, or -errno. */
int buffer_read_fd(struct buffer *b, int fd, size_t max);
/* The same from the start, without moving the position of a file that other processes share. */
int buffer_read_start(struct buffer *b, int fd, size_t max);
int buffer_read_file(struct buffer *b, const char *path, size_t max);

#endif
