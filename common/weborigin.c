#include "common/weborigin.h"

#include "common/num.h"

#include <string.h>

#define SCHEME_MAX 32
#define HOST_MAX 253

static bool is_small(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_made_of(struct slice s, const char *others)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!is_small(s.p[i]) && !is_digit(s.p[i]) &&
			(s.p[i] == '\0' || !strchr(others, s.p[i])))
			return false;
	}
	return s.n > 0;
}

/* A name, IPv4, or IPv6 in brackets. Browsers write other letters in Punycode. */
static bool is_host(struct slice host)
{
	if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		return is_made_of((struct slice){host.p + 1, host.n - 2}, ":.");
	return host.n <= HOST_MAX && is_made_of(host, "-._") && host.p[0] != '.' &&
		host.p[0] != '-';
}

static bool is_own_port(struct slice scheme, uint64_t port)
{
	return (port == 80 && slice_eq_str(scheme, "http")) ||
		(port == 443 && slice_eq_str(scheme, "https"));
}

static bool is_port(struct slice scheme, struct slice port)
{
	uint64_t number;

	return port.n && port.p[0] != '0' && num_parse_u64(port, 65535, &number) == 0 &&
		!is_own_port(scheme, number);
}

/* Where the port's colon is, or the end. */
static size_t host_end(struct slice rest)
{
	size_t end = rest.n;

	while (end > 0 && is_digit(rest.p[end - 1]))
		end--;
	return end > 0 && rest.p[end - 1] == ':' &&
			(rest.p[0] != '[' || (end > 1 && rest.p[end - 2] == ']'))
		? end - 1
		: rest.n;
}

bool weborigin_is_valid(struct slice text)
{
	size_t n = 0;

	while (n < text.n && text.p[n] != ':')
		n++;
	struct slice scheme = slice_cut(text, n);
	struct slice rest = slice_skip(text, n);
	if (text.n > WEBORIGIN_MAX || scheme.n > SCHEME_MAX || !is_made_of(scheme, "+-.") ||
		!is_small(scheme.p[0]) || !slice_has_prefix(rest, SLICE_LITERAL("://")))
		return false;
	rest = slice_skip(rest, 3);
	size_t end = host_end(rest);
	return is_host(slice_cut(rest, end)) &&
		(end == rest.n || is_port(scheme, slice_skip(rest, end + 1)));
}
