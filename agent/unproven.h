/*
 * Connections over TCP that have not shown the secret yet, oldest first. They hold no place: the oldest one
 * of an address makes room for a new one, and the oldest of all for anybody when the agent is full. HAProxy
 * shows the secret within a round trip, so it gets in however many others connect and say nothing.
 */
#ifndef RELAY_AGENT_UNPROVEN_H
#define RELAY_AGENT_UNPROVEN_H

#include "common/ip.h"

#define UNPROVEN_PER_ADDRESS 512 /* of IPv6: per /64 */

/* Part of a connection. All zero: not in the list. */
struct unproven {
	struct unproven *next, *previous;
	struct cidr address;
	bool is_listed;
};

struct unproven_list {
	struct unproven *oldest, *newest;
};

/* `fd` is a connected socket of AF_INET or AF_INET6. */
void unproven_add(struct unproven_list *l, struct unproven *u, int fd);
/* Does nothing if it is not in the list. */
void unproven_remove(struct unproven_list *l, struct unproven *u);
/* The oldest one with the address of `u`, if that has more than its share; else NULL. */
struct unproven *unproven_excess(const struct unproven_list *l, const struct unproven *u);

#endif
