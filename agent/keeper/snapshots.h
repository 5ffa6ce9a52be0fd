/*
 * The snapshots that the keeper holds for the next agent, and which one to give up because it crashes agents.
 * Pure: the time is an argument.
 *
 * An agent says which version it uses before it reads a byte of it, so a version that crashes agents while they read
 * it is found as well. The snapshot to go back to is proven: an agent has lived for SNAPSHOTS_SOON_MS with
 * it and with what came after it. So it is neither the newest once more nor one of several bad ones in a row,
 * and under steady changes it is at most twice that old.
 */
#ifndef RELAY_AGENT_KEEPER_SNAPSHOTS_H
#define RELAY_AGENT_KEEPER_SNAPSHOTS_H

#include <stdbool.h>
#include <stdint.h>

#define SNAPSHOTS_SOON_MS                                                                          \
	5000 /* a fault within this time after an agent began to use a version is soon */
#define SNAPSHOTS_CRASHES 3 /* faults in a row, each soon: the version is given up */

struct snapshots_held {
	uint64_t version;
	int fds[2];	  /* snapshot, key base; -1 = none. Owned */
	int64_t since_ms; /* since then an agent has lived with it or a later one; monotonic */
	bool is_proven;
};

struct snapshots {
	struct snapshots_held newest; /* the next agent's */
	struct snapshots_held trial;  /* an older one, not proven yet */
	struct snapshots_held proven; /* an older one still */
	int64_t started_ms;	      /* the agent; monotonic */
	uint64_t used;		      /* the version that the agent uses or tries; 0 = none */
	int64_t used_since_ms;	      /* monotonic */
	uint32_t crashes;	      /* in a row, each soon */
	uint64_t given_up;	      /* 0 = none, or a version was accepted since */
};

void snapshots_init(struct snapshots *s);
/* An agent starts with the newest. */
void snapshots_start(struct snapshots *s, int64_t now_ms);
/* The agent goes on with this version: it tries it, or returns to it. */
void snapshots_use(struct snapshots *s, uint64_t version, int64_t now_ms);
/* The agent has accepted the version that it uses. Takes the descriptors. */
void snapshots_keep(struct snapshots *s, uint64_t version, const int fds[2], int64_t now_ms);
/*
 * The agent has ended. `is_fault`: by a fault in it, not by a signal that somebody sent. True: the version that it
 * used is given up, `given_up` names it, and the newest is another one.
 */
bool snapshots_end(struct snapshots *s, bool is_fault, int64_t now_ms);

#endif
