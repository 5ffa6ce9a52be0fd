/* The keeper's signals, and what its children do with them. */
#ifndef RELAY_AGENT_KEEPER_SIGNALS_H
#define RELAY_AGENT_KEEPER_SIGNALS_H

#include <signal.h>

/* A signalfd(2) of those that the keeper acts on, and the mask for what it starts. The descriptor or -errno. */
int signals_catch(sigset_t *ret_mask);
/* In a child. Only the channel stops it: a signal to the process group must not. */
void signals_of_child(const sigset_t *mask);

#endif
