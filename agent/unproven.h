/*
 * Connections that have not said HELLO, or over TCP not shown the secret yet, oldest first. They hold no
 * place: the oldest one of a peer makes room for a new one, and the oldest of all for anybody when the
 * agent is full. HAProxy does both within a round trip, so it gets in however many others connect and say
 * nothing.
 */
#ifndef RELAY_AGENT_UNPROVEN_H
#define RELAY_AGENT_UNPROVEN_H

#include "common/origin.h"

#define UNPROVEN_PER_PEER 512

/* Part of a connection. All zero: not in the list. */
struct unproven {
	struct unproven *next, *previous;
	struct origin origin;
	bool is_listed;
};

struct unproven_list {
	struct unproven *oldest, *newest;
};

/* `fd` is a connected socket. */
void unproven_add(struct unproven_list *l, struct unproven *u, int fd);
/* Does nothing if it is not in the list. */
void unproven_remove(struct unproven_list *l, struct unproven *u);
/* The oldest one of the same peer as `u`, if that has more than its share; else NULL. */
struct unproven *unproven_excess(const struct unproven_list *l, const struct unproven *u);

#endif
