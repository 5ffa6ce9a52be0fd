/*
 * The client's address in the headers of proxies: `X-Forwarded-For`, and `Forwarded` (RFC 7239). Each proxy
 * appends the address of its peer. So the list is read from its end: the last address that is not of a
 * trusted proxy is the client. What is left of it is what the client claims.
 */
#ifndef RELAY_COMMON_FORWARDED_H
#define RELAY_COMMON_FORWARDED_H

#include "common/ip.h"
#include "common/slice.h"

/* Takes the lines of one header in their order. Zeroed at first, but for the networks. */
struct forwarded {
	const struct cidr *trusted;
	size_t trusted_count;
	bool is_present; /* a line with an element was taken */
	bool is_known;	 /* `client` is an address */
	bool is_outside; /* `client` is not of a trusted proxy, or not known */
	struct ip client;
};

/* A line of X-Forwarded-For: `v4`, `v4:port`, `v6`, `[v6]`, `[v6]:port`. */
void forwarded_take_addresses(struct forwarded *f, struct slice value);
/* A line of Forwarded: `for=...` of each element. An element without it hides its client. */
void forwarded_take_elements(struct forwarded *f, struct slice value);

/* Is the address in one of the networks? */
bool forwarded_trusts(const struct forwarded *f, const struct ip *ip);

#endif
