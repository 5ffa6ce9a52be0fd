/* Socket addresses of the configuration: abns:NAME, unix:PATH, tcp:HOST:PORT, udp:HOST:PORT. */
#ifndef RELAY_COMMON_ADDRESS_H
#define RELAY_COMMON_ADDRESS_H

#include "common/errtext.h"
#include "common/slice.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

enum address_kind {
	ADDRESS_ABNS,
	ADDRESS_UNIX,
	ADDRESS_TCP,
	ADDRESS_UDP,
	ADDRESS_UNIX_DGRAM, /* unix:PATH for datagrams ([events]) */
};

#define ADDRESS_TEXT_SIZE 160
#define ADDRESS_LIST_MAX 8

struct address {
	enum address_kind kind;
	char text[ADDRESS_TEXT_SIZE]; /* as configured */
	socklen_t len;
	union {
		struct sockaddr sa;
		struct sockaddr_un un;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} u;
};

/*
 * HOST is a numeric address ([...] for IPv6). Names are refused: a DNS change would move the listener.
 * An abns name is padded with NULs to the full length of sun_path, as HAProxy's `abns@` does. 0 or
 * -EINVAL with the reason.
 */
int address_parse(struct slice s, struct address *ret, struct errtext *e);
bool address_is_local(const struct address *a); /* a Unix socket: the kernel knows the peer's uid */
bool address_is_datagram(const struct address *a);

/*
 * Opens a non-blocking close-on-exec socket bound (and listening) there. A unix path in use by a live
 * process is an error (-EADDRINUSE); a stale one is removed. `mode` is for unix paths.
 * Returns the descriptor or a negative errno with a message that names the address and what to do.
 */
int address_listen(const struct address *a, unsigned mode, struct errtext *e);
/*
 * Gives a unix path that address_listen() has just made to another user. Only a socket of ours is given
 * away, never what somebody has put in its place. 0 or a negative errno with the reason.
 */
int address_give(const struct address *a, uid_t uid, gid_t gid, struct errtext *e);

/* In the form of HAProxy's configuration: abns@NAME, unix@PATH, HOST:PORT. */
#define ADDRESS_HAPROXY_SIZE (ADDRESS_TEXT_SIZE + 8)
const char *address_format_haproxy(const struct address *a, char *out);

#endif
