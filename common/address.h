/* Socket addresses as the configuration writes them: abns:NAME, unix:PATH, tcp:HOST:PORT, udp:HOST:PORT. */
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
	ADDRESS_UNIX_DGRAM, /* unix:PATH where datagrams are meant ([events]) */
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
 * HOST is a numeric address ([...] for IPv6); names are refused, because a name that moves would move
 * a listener. An abns name is padded with NULs to the full length of sun_path, as HAProxy's `abns@`
 * does (HAPROXY.md 31). 0 or -EINVAL with the reason.
 */
int address_parse(struct slice s, struct address *ret, struct errtext *e);
bool address_is_local(const struct address *a); /* a Unix socket: the peer's uid can be asked for */
bool address_is_datagram(const struct address *a);

/*
 * Opens a non-blocking close-on-exec socket bound (and listening) there. A unix path that a live
 * process serves is "occupied" (-EADDRINUSE); a stale one is removed. `mode` is for unix paths.
 * Returns the descriptor or a negative errno with a message that names the address and what to do.
 */
int address_listen(const struct address *a, unsigned mode, struct errtext *e);

/* How HAProxy's configuration writes it: abns@NAME, unix@PATH, HOST:PORT. */
#define ADDRESS_HAPROXY_SIZE (ADDRESS_TEXT_SIZE + 8)
const char *address_format_haproxy(const struct address *a, char *out);

#endif
