#include "common/url.h"

#include "common/ip.h"
#include "common/num.h"

#include <errno.h>
#include <stdio.h>

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static int parse_scheme(struct slice *rest, struct url *u, struct errtext *e)
{
	static const struct slice https = {"https://", 8};
	static const struct slice http = {"http://", 7};

	u->tls = slice_eq_nocase(slice_cut(*rest, https.n), https);
	if (!u->tls && !slice_eq_nocase(slice_cut(*rest, http.n), http))
		return errtext_set(e, -EINVAL, "the URL must start with https:// or http://");
	*rest = slice_skip(*rest, u->tls ? https.n : http.n);
	u->port = u->tls ? 443 : 80;
	return 0;
}

static int copy_name(struct slice name, struct url *u, struct errtext *e)
{
	if (!name.n || name.n > URL_HOST_MAX)
		return errtext_set(e, -EINVAL, "the URL has no host, or one that is too long");
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];
		bool inner = i > 0 && (c == '-' || c == '.');
		if (!is_alnum(c) && !inner)
			return errtext_set(
				e, -EINVAL, "\"%.*s\" is not a host name", (int)name.n, name.p);
		u->host[i] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
	}
	u->host[name.n] = '\0';
	return 0;
}

/* `[...]`; the text after the bracket stays in `rest`. */
static int parse_ip6(struct slice *rest, struct url *u, struct errtext *e)
{
	const char *end = memchr(rest->p, ']', rest->n);
	size_t len = end ? (size_t)(end - rest->p) - 1 : 0;
	struct slice text = {rest->p + 1, len};
	struct ip ip;

	if (!end || !memchr(text.p, ':', text.n) || ip_parse(text, &ip) < 0 || len >= IP_TEXT_SIZE)
		return errtext_set(e, -EINVAL, "the URL's IPv6 address is malformed");
	memcpy(u->host, text.p, len);
	u->host[len] = '\0';
	*rest = slice_skip(*rest, len + 2);
	return 0;
}

static int parse_port(struct slice text, struct url *u, struct errtext *e)
{
	uint64_t port;

	if (!text.n)
		return 0;
	if (text.p[0] != ':' || num_parse_u64(slice_skip(text, 1), 65535, &port) < 0 || !port)
		return errtext_set(e, -EINVAL, "the URL's port must be 1 to 65535");
	u->port = (uint16_t)port;
	return 0;
}

static int parse_authority(struct slice text, struct url *u, struct errtext *e)
{
	bool is_ip6 = text.n && text.p[0] == '[';
	int error;

	if (memchr(text.p, '@', text.n))
		return errtext_set(e, -EINVAL, "the URL must not hold a user name or password");
	if (is_ip6) {
		error = parse_ip6(&text, u, e);
	} else {
		const char *colon = memchr(text.p, ':', text.n);
		size_t len = colon ? (size_t)(colon - text.p) : text.n;
		error = copy_name(slice_cut(text, len), u, e);
		text = slice_skip(text, len);
	}
	if (!error)
		error = parse_port(text, u, e);
	if (error)
		return error;
	const char *open = is_ip6 ? "[" : "";
	const char *close = is_ip6 ? "]" : "";
	if (u->port == (u->tls ? 443 : 80))
		snprintf(u->host_header, sizeof(u->host_header), "%s%s%s", open, u->host, close);
	else
		snprintf(u->host_header, sizeof(u->host_header), "%s%s%s:%u", open, u->host, close,
			u->port);
	return 0;
}

static bool is_path(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!is_alnum(s.p[i]) && (!s.p[i] || !strchr("/-._~%+:@", s.p[i])))
			return false;
		bool dots = s.p[i] == '.' && i + 1 < s.n && s.p[i + 1] == '.';
		bool slashes = s.p[i] == '/' && i + 1 < s.n && s.p[i + 1] == '/';
		if (dots || slashes)
			return false;
	}
	return true;
}

int url_parse_prefix(struct slice s, char ret[SEAM_PREFIX_MAX + 1], struct errtext *e)
{
	if ((s.n && s.p[0] != '/') || !is_path(s))
		return errtext_set(e, -EINVAL,
			"the path must be like /v1, of letters, digits and -._~%%+:@, without .. or //");
	if (s.n && s.p[s.n - 1] == '/')
		s.n--;
	if (s.n > SEAM_PREFIX_MAX)
		return errtext_set(
			e, -EINVAL, "the path is longer than %d characters", SEAM_PREFIX_MAX);
	if (s.n)
		memcpy(ret, s.p, s.n);
	ret[s.n] = '\0';
	return 0;
}

int url_parse(struct slice s, struct url *ret, struct errtext *e)
{
	struct url u = {0};
	int error = parse_scheme(&s, &u, e);

	if (error)
		return error;
	if (!s.n)
		return errtext_set(e, -EINVAL, "the URL has no host");
	if (memchr(s.p, '?', s.n) || memchr(s.p, '#', s.n))
		return errtext_set(e, -EINVAL, "the URL must end with its path: no ? and no #");
	const char *slash = memchr(s.p, '/', s.n);
	size_t len = slash ? (size_t)(slash - s.p) : s.n;
	error = parse_authority(slice_cut(s, len), &u, e);
	if (!error)
		error = url_parse_prefix(slice_skip(s, len), u.prefix, e);
	if (!error)
		*ret = u;
	return error;
}

struct slice url_without_query(const char *url)
{
	return (struct slice){url, strcspn(url, "?#")};
}
