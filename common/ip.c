#include "common/ip.h"

#include "common/num.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#define V4_OFFSET 12

static const uint8_t v4_prefix[V4_OFFSET] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

struct ip ip_from_v4(const uint8_t *four)
{
	struct ip ip;

	memcpy(ip.b, v4_prefix, V4_OFFSET);
	memcpy(ip.b + V4_OFFSET, four, 4);
	return ip;
}

struct ip ip_from_v6(const uint8_t *sixteen)
{
	struct ip ip;

	memcpy(ip.b, sixteen, 16);
	return ip;
}

bool ip_is_v4(const struct ip *ip)
{
	return memcmp(ip->b, v4_prefix, V4_OFFSET) == 0;
}

bool ip_is_loopback(const struct ip *ip)
{
	static const uint8_t v6[16] = {[15] = 1};

	return ip_is_v4(ip) ? ip->b[V4_OFFSET] == 127 : memcmp(ip->b, v6, sizeof(v6)) == 0;
}

int ip_parse(struct slice s, struct ip *ret)
{
	char text[IP_TEXT_SIZE];
	uint8_t four[4];

	if (s.n == 0 || s.n >= sizeof(text) || memchr(s.p, '\0', s.n))
		return -EINVAL;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	if (inet_pton(AF_INET, text, four) == 1) {
		*ret = ip_from_v4(four);
		return 0;
	}
	return inet_pton(AF_INET6, text, ret->b) == 1 ? 0 : -EINVAL;
}

static void mask(struct ip *ip, unsigned bits)
{
	for (unsigned i = 0; i < 16; i++) {
		unsigned keep = bits <= i * 8 ? 0 : bits - i * 8;
		if (keep < 8)
			ip->b[i] = (uint8_t)(ip->b[i] & (0xff00u >> keep));
	}
}

int cidr_parse(struct slice s, struct cidr *ret)
{
	struct cidr net = {.bits = 128};
	struct slice rest = s;
	struct slice address;
	uint64_t bits;

	if (!slice_next(&rest, '/', &address) || ip_parse(address, &net.ip))
		return -EINVAL;
	if (rest.p) {
		unsigned width = ip_is_v4(&net.ip) ? 32 : 128;
		if (num_parse_u64(rest, width, &bits))
			return -EINVAL;
		net.bits = (uint8_t)(bits + 128 - width);
	}
	struct ip masked = net.ip;
	mask(&masked, net.bits);
	if (memcmp(&masked, &net.ip, sizeof(masked)) != 0)
		return -EINVAL;
	*ret = net;
	return 0;
}

int cidr_parse_list(struct slice s, struct cidr *out, size_t max, size_t *ret_n)
{
	struct slice rest = s;
	struct slice one;
	size_t n = 0;

	while (s.n && slice_next(&rest, ',', &one)) {
		if (n == max)
			return -E2BIG;
		if (cidr_parse(slice_trim(one), &out[n]))
			return -EINVAL;
		n++;
	}
	*ret_n = n;
	return 0;
}

struct cidr cidr_of(const struct ip *ip, uint8_t bits)
{
	struct cidr net = {.ip = *ip, .bits = bits};

	mask(&net.ip, bits);
	return net;
}

bool cidr_has(const struct cidr *net, const struct ip *ip)
{
	struct ip masked = *ip;

	mask(&masked, net->bits);
	return memcmp(&masked, &net->ip, sizeof(masked)) == 0;
}

bool cidr_list_allows(const struct cidr *nets, size_t n, const struct ip *ip)
{
	for (size_t i = 0; i < n; i++) {
		if (cidr_has(&nets[i], ip))
			return true;
	}
	return n == 0;
}

const char *ip_format(const struct ip *ip, char *out)
{
	if (ip_is_v4(ip))
		inet_ntop(AF_INET, ip->b + V4_OFFSET, out, IP_TEXT_SIZE);
	else
		inet_ntop(AF_INET6, ip->b, out, IP_TEXT_SIZE);
	return out;
}

const char *cidr_format(const struct cidr *net, char *out)
{
	bool v4 = ip_is_v4(&net->ip) && net->bits >= 96;

	ip_format(&net->ip, out);
	if (net->bits != 128) {
		size_t n = strlen(out);
		snprintf(out + n, CIDR_TEXT_SIZE - n, "/%d", net->bits - (v4 ? 96 : 0));
	}
	return out;
}
