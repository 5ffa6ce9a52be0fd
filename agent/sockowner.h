/*
 * Which user has the local UDP socket that sent a datagram. The kernel knows it for every socket of this
 * network namespace: sock_diag tells one socket, /proc/net/udp lists all.
 */
#ifndef RELAY_AGENT_SOCKOWNER_H
#define RELAY_AGENT_SOCKOWNER_H

#include "common/ip.h"

#include <netinet/in.h>
#include <stdint.h>
#include <sys/types.h>

struct sockowner_address {
	struct ip ip;
	uint16_t port;
};

struct sockowner {
	int netlink_fd; /* -1 = the lists are read */
	/* of IPv4 and IPv6; kept open, because the agent opens no file while it serves */
	int lists[2];
	struct sockowner_address receiver; /* all zero bytes: any address */
};

enum sockowner_source {
	SOCKOWNER_NETLINK,
	SOCKOWNER_LISTS,
};
/* `fd` receives the datagrams. -ENOTSUP: this source does not even show that socket. */
int sockowner_open(struct sockowner *o, int fd, enum sockowner_source source);
void sockowner_close(struct sockowner *o);

struct sockowner_socket {
	uid_t uid;
	uint64_t inode;
};
/* 0; -ENOENT: no socket has this address; another code: the kernel did not answer. */
int sockowner_find(
	struct sockowner *o, const struct sockowner_address *sender, struct sockowner_socket *ret);

/* 0 or -EAFNOSUPPORT. */
int sockowner_address(const struct sockaddr *sa, struct sockowner_address *ret);

#endif
