/* The channels of a new child. */
#ifndef RELAY_AGENT_KEEPER_PAIRS_H
#define RELAY_AGENT_KEEPER_PAIRS_H

#include <stdbool.h>

/* Each [1] is the child's end; -1 = none. The other end is the keeper's, of `to_peer` the other child's. */
struct pairs {
	int to_keeper[2];
	int to_peer[2];
	int to_writer[2];
};

/* `with_writer`: control, which may ask for files. All or none: 0 or -errno. */
int pairs_make(bool with_writer, struct pairs *ret);
/* Closes what is not -1. */
void pairs_close(struct pairs *p);

#endif
