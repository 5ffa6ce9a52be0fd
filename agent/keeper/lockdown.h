/* What the processes of the relay give up, for good. */
#ifndef RELAY_AGENT_KEEPER_LOCKDOWN_H
#define RELAY_AGENT_KEEPER_LOCKDOWN_H

/*
 * No core dumps, which would hold credentials; no debugger of the same user; no rights from a program that is
 * started. For the keeper at its start, and so for all its children. 0 or -errno.
 */
int lockdown_secrets(void);
/*
 * The keeper, when all is open: keeps the capabilities to become other users, to end its children, to give
 * away files, and to read its configuration. 0 or -errno.
 */
int lockdown_keeper(void);
/* A child: no capability at all, even one that the relay was started with. 0 or -errno. */
int lockdown_child(void);

#endif
