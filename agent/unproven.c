#include "agent/unproven.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define V6_NETWORK_BITS 64
#define WHOLE_BITS 128

union peer_name {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* An unknown address is ::, which then is one address for all of them. */
static struct cidr address_of(int fd)
{
	union peer_name name = {.sa.sa_family = AF_UNSPEC};
	socklen_t len = sizeof(name);
	struct ip ip = {{0}};

	if (getpeername(fd, &name.sa, &len) < 0)
		return cidr_of(&ip, WHOLE_BITS);
	if (name.sa.sa_family == AF_INET)
		ip = ip_from_v4((const uint8_t *)&name.in.sin_addr);
	else if (name.sa.sa_family == AF_INET6)
		ip = ip_from_v6(name.in6.sin6_addr.s6_addr);
	return cidr_of(&ip, ip_is_v4(&ip) ? WHOLE_BITS : V6_NETWORK_BITS);
}

void unproven_add(struct unproven_list *l, struct unproven *u, int fd)
{
	*u = (struct unproven){.previous = l->newest, .address = address_of(fd), .is_listed = true};
	if (l->newest)
		l->newest->next = u;
	else
		l->oldest = u;
	l->newest = u;
}

void unproven_remove(struct unproven_list *l, struct unproven *u)
{
	if (!u->is_listed)
		return;
	if (u->previous)
		u->previous->next = u->next;
	else
		l->oldest = u->next;
	if (u->next)
		u->next->previous = u->previous;
	else
		l->newest = u->previous;
	*u = (struct unproven){.is_listed = false};
}

struct unproven *unproven_excess(const struct unproven_list *l, const struct unproven *u)
{
	struct unproven *oldest = NULL;
	unsigned count = 0;

	for (struct unproven *other = l->newest; other; other = other->previous) {
		if (memcmp(&other->address.ip, &u->address.ip, sizeof(u->address.ip)) != 0)
			continue;
		oldest = other;
		count++;
	}
	return count > UNPROVEN_PER_ADDRESS ? oldest : NULL;
}
