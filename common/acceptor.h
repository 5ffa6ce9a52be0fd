/*
 * Accepts connections, also when no descriptor is left: one is kept in reserve, with which a connection is
 * accepted and closed at once. Without it, the connection would stay in the queue and the listener
 * readable.
 */
#ifndef RELAY_COMMON_ACCEPTOR_H
#define RELAY_COMMON_ACCEPTOR_H

struct acceptor {
	int reserve; /* -1 = none: another part of the process has taken it */
};

/* `fd` is any open descriptor; the reserve is a copy of it. */
void acceptor_init(struct acceptor *a, int fd);
void acceptor_fini(struct acceptor *a);

/*
 * The next connection of a non-blocking listener, non-blocking and close-on-exec. -EAGAIN: none waits.
 * -EMFILE: one was closed, since no descriptor is left; more may wait. Others: not now, and the listener
 * may stay readable.
 */
int acceptor_accept(struct acceptor *a, int listener);

#endif
