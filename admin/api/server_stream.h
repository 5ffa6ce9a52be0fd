/*
 * The answer of a long list, made while it is sent: each piece is a step of the request's `rest`, so neither the loop
 * nor memory holds more than some rows of it. An error in the middle closes the connection.
 */
#ifndef RELAY_ADMIN_API_SERVER_STREAM_H
#define RELAY_ADMIN_API_SERVER_STREAM_H

#include "admin/api/request.h"

#include <microhttpd.h>

#define STREAM_BLOCK ((size_t)16 << 10)

struct stream;

/* Takes the answer so far, which has only `items`, and the rest. NULL: out of memory. */
struct stream *stream_new(struct request *r);
/* MHD_ContentReaderCallback and MHD_ContentReaderFreeCallback. */
ssize_t stream_read(void *stream, uint64_t at, char *out, size_t max);
void stream_free(void *stream);

#endif
