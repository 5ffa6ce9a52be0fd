/* One exchange on a runtime or master socket, within a deadline in clock_monotonic_ms(). */
#ifndef RELAY_HAPROXY_RUNTIME_SOCKET_H
#define RELAY_HAPROXY_RUNTIME_SOCKET_H

#include "common/buffer.h"
#include "common/errtext.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Sends one command and reads to the end of the answer. A master waits for more commands unless the
 * sender closes its side (`close_write`); `reload` must leave it open to learn the outcome. 0 or
 * -errno; -ETIMEDOUT at the deadline.
 */
int runtime_exchange(const char *socket_path, const char *command, bool close_write,
	int64_t deadline_ms, struct buffer *answer, struct errtext *e);

#endif
