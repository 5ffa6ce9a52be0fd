/*
 * Writes the files that HAProxy's master reads. Control asks over a separate channel; a process of the keeper
 * that lives for one file checks and writes it, so that neither a slow disk nor a fault of the check holds the
 * keeper up.
 */
#ifndef RELAY_AGENT_KEEPER_WRITER_H
#define RELAY_AGENT_KEEPER_WRITER_H

#include "agent/keeper/identity.h"

#include <stdbool.h>
#include <sys/types.h>

struct writer {
	int fd;	   /* the keeper's end of the channel; -1 = none. Owned */
	pid_t pid; /* of the process at work; 0 = none */
};

/* Control has started: takes the keeper's end of its channel. */
void writer_use(struct writer *w, int fd);
/* To be watched; -1 while a process is at work: one file at a time. */
int writer_fd(const struct writer *w);
/* Takes a question, if there is one, and starts its process. */
void writer_receive(struct writer *w, const struct config *c, const struct identities *ids);
/* True if the process was the writer's. Control learns of one that did not finish. */
bool writer_ended(struct writer *w, pid_t pid, int status);

#endif
