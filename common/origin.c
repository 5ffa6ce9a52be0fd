#include "common/origin.h"

#include "common/ip.h"

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

static struct origin of_ip(const struct ip *ip)
{
	struct cidr network = cidr_of(ip, ip_is_v4(ip) ? WHOLE_BITS : V6_NETWORK_BITS);
	struct origin o;

	memcpy(o.bytes, network.ip.b, sizeof(o.bytes));
	return o;
}

static struct origin of_user(int fd)
{
	struct origin o = {{0}};
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0)
		memcpy(o.bytes, &peer.uid, sizeof(peer.uid));
	return o;
}

struct origin origin_of(int fd)
{
	union peer_name name = {.sa.sa_family = AF_UNSPEC};
	socklen_t len = sizeof(name);
	struct ip ip = {{0}};

	if (getpeername(fd, &name.sa, &len) < 0)
		return of_ip(&ip);
	if (name.sa.sa_family == AF_UNIX)
		return of_user(fd);
	if (name.sa.sa_family == AF_INET)
		ip = ip_from_v4((const uint8_t *)&name.in.sin_addr);
	else if (name.sa.sa_family == AF_INET6)
		ip = ip_from_v6(name.in6.sin6_addr.s6_addr);
	return of_ip(&ip);
}

bool origin_is(const struct origin *a, const struct origin *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}
