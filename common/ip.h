/* IP addresses and networks. IPv4 is kept as v4-mapped IPv6, so that one comparison serves both. */
#ifndef RELAY_COMMON_IP_H
#define RELAY_COMMON_IP_H

#include "common/slice.h"

#include <stdint.h>

struct ip {
	uint8_t b[16]; /* network order; ::ffff:a.b.c.d for IPv4 */
};

struct cidr {
	struct ip ip; /* host bits are zero */
	uint8_t bits; /* 0..128, of the 16-byte form: 10.0.0.0/8 has 104 */
	uint8_t pad[3];
};

#define CIDR_LIST_MAX 64 /* networks in one allow list */

struct ip ip_from_v4(const uint8_t *four);
struct ip ip_from_v6(const uint8_t *sixteen);
bool ip_is_v4(const struct ip *ip);
/* 127.0.0.0/8 or ::1 */
bool ip_is_loopback(const struct ip *ip);
/* 0 or -EINVAL. Only plain addresses, without zone or brackets. */
int ip_parse(struct slice s, struct ip *ret);
/* "10.0.0.0/8", "::1", "127.0.0.1". -EINVAL also if a host bit is set. */
int cidr_parse(struct slice s, struct cidr *ret);
/* Comma-separated. At most `max` networks: 0, -EINVAL, -E2BIG. An empty slice is an empty list. */
int cidr_parse_list(struct slice s, struct cidr *out, size_t max, size_t *ret_n);
/* The network of `bits` (0..128) that contains the address. */
struct cidr cidr_of(const struct ip *ip, uint8_t bits);
bool cidr_has(const struct cidr *net, const struct ip *ip);
/* An empty list means no restriction: true. */
bool cidr_list_allows(const struct cidr *nets, size_t n, const struct ip *ip);

#define IP_TEXT_SIZE 48
#define CIDR_TEXT_SIZE 52
const char *ip_format(const struct ip *ip, char *out);
const char *cidr_format(const struct cidr *net, char *out);

#endif
