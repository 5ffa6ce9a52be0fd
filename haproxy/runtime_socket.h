/* One exchange on a runtime or master socket, within a deadline. */
#ifndef RELAY_HAPROXY_RUNTIME_SOCKET_H
#define RELAY_HAPROXY_RUNTIME_SOCKET_H

#include "common/buffer.h"
#include "common/errtext.h"

#include <stdbool.h>
#include <stdint.h>

/* Milliseconds of the monotonic clock. */
int64_t runtime_now_ms(void);

/*
 * Sends one command and reads to the end. A master keeps a connection open for more commands unless
 * its end is closed (`close_write`); `reload` must keep it open to hear how it went. 0 or -errno;
 * -ETIMEDOUT at the deadline.
 */
int runtime_exchange(const char *socket_path, const char *command, bool close_write,
	int64_t deadline_ms, struct buffer *answer, struct errtext *e);

#endif
