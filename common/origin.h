/*
 * Who is at the other end of a connection, for limits on each peer: an address of IPv4, a /64 of IPv6, or
 * the user of a Unix socket.
 */
#ifndef RELAY_COMMON_ORIGIN_H
#define RELAY_COMMON_ORIGIN_H

#include <stdbool.h>
#include <stdint.h>

struct origin {
	uint8_t bytes[16];
};

/* `fd` is a connected socket. All that cannot be told have one origin. */
struct origin origin_of(int fd);
bool origin_is(const struct origin *a, const struct origin *b);

#endif
