#include "haproxy/render_text.h"

#include "common/ip.h"
#include "common/num.h"
#include "common/seam.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

static bool is_made_of(const char *text, const char *others)
{
	for (const char *c = text; *c; c++) {
		if (!isalnum((unsigned char)*c) && !strchr(others, *c))
			return false;
	}
	return true;
}

static int check_length(const char *what, const char *text, size_t max, struct errtext *e)
{
	if (!text || !text[0])
		return errtext_set(e, -EINVAL, "%s is empty", what);
	if (strlen(text) > max)
		return errtext_set(e, -EINVAL, "%s is longer than %zu characters", what, max);
	return 0;
}

int render_check_name(const char *what, const char *name, struct errtext *e)
{
	int error = check_length(what, name, RENDER_NAME_MAX, e);

	if (error)
		return error;
	for (const char *c = name; *c; c++) {
		if (!islower((unsigned char)*c) && !isdigit((unsigned char)*c) &&
			!strchr("._-", *c))
			return errtext_set(
				e, -EINVAL, "%s \"%s\" holds more than a-z 0-9 . _ -", what, name);
	}
	return 0;
}

int render_check_header(const char *what, const char *name, struct errtext *e)
{
	int error = check_length(what, name, SEAM_HEADER_NAME_MAX, e);

	if (error)
		return error;
	if (!is_made_of(name, "-_."))
		return errtext_set(
			e, -EINVAL, "%s \"%s\" holds more than letters, digits, . _ -", what, name);
	return 0;
}

int render_check_header_pattern(const char *what, const char *name, struct errtext *e)
{
	char stem[SEAM_HEADER_NAME_MAX + 1];
	size_t len = name ? strlen(name) : 0;

	if (len < 2 || len > sizeof(stem) || name[len - 1] != '*')
		return render_check_header(what, name, e);
	memcpy(stem, name, len - 1);
	stem[len - 1] = '\0';
	return render_check_header(what, stem, e);
}

static struct ip parsed_ip(const char *text, bool *ret_ok)
{
	struct ip ip = {0};

	*ret_ok = ip_parse(slice_from_str(text), &ip) == 0;
	return ip;
}

bool render_host_is_numeric(const char *host)
{
	bool ok;

	parsed_ip(host, &ok);
	return ok;
}

bool render_host_is_v6(const char *host)
{
	bool ok;
	struct ip ip = parsed_ip(host, &ok);

	return ok && !ip_is_v4(&ip);
}

bool render_host_is_loopback(const char *host)
{
	static const char suffix[] = ".localhost";
	size_t len = strlen(host);

	if (strcasecmp(host, suffix + 1) == 0)
		return true;
	return len > sizeof(suffix) - 1 &&
		strcasecmp(host + len - (sizeof(suffix) - 1), suffix) == 0;
}

int render_check_host(const char *what, const char *host, struct errtext *e)
{
	int error = check_length(what, host, RENDER_HOST_MAX, e);

	if (error)
		return error;
	if (render_host_is_numeric(host))
		return 0;
	if (!is_made_of(host, ".-_") || !isalnum((unsigned char)host[0]))
		return errtext_set(e, -EINVAL,
			"%s \"%s\" is neither a host name nor a numeric address", what, host);
	return 0;
}

int render_check_ip(const char *what, const char *ip, struct errtext *e)
{
	int error = check_length(what, ip, RENDER_HOST_MAX, e);

	if (error)
		return error;
	if (!render_host_is_numeric(ip))
		return errtext_set(e, -EINVAL, "%s \"%s\" is not a numeric address", what, ip);
	return 0;
}

static bool is_endpoint_host(struct slice host, bool wildcard)
{
	struct ip ip;

	if (wildcard && (host.n == 0 || slice_eq_str(host, "*")))
		return true;
	if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']') {
		host = slice_cut(slice_skip(host, 1), host.n - 2);
		return memchr(host.p, ':', host.n) && ip_parse(host, &ip) == 0;
	}
	return host.n && !memchr(host.p, ':', host.n) && ip_parse(host, &ip) == 0;
}

int render_check_endpoint(const char *what, const char *endpoint, bool wildcard, struct errtext *e)
{
	int error = check_length(what, endpoint, RENDER_HOST_MAX, e);
	uint64_t port;

	if (error)
		return error;
	const char *colon = strrchr(endpoint, ':');
	if (!colon)
		return errtext_set(e, -EINVAL, "%s \"%s\" is not HOST:PORT", what, endpoint);
	struct slice host = {endpoint, (size_t)(colon - endpoint)};
	if (!is_endpoint_host(host, wildcard))
		return errtext_set(e, -EINVAL,
			"%s \"%s\" has no numeric address before its port ([...] for IPv6)", what,
			endpoint);
	if (num_parse_u64(slice_from_str(colon + 1), UINT16_MAX, &port) || port == 0)
		return errtext_set(
			e, -EINVAL, "%s \"%s\" has no port from 1 to 65535", what, endpoint);
	return 0;
}

int render_check_word(const char *what, const char *word, struct errtext *e)
{
	int error = check_length(what, word, RENDER_WORD_MAX, e);

	if (error)
		return error;
	for (const char *c = word; *c; c++) {
		if (*c < ' ' || *c > '~' || strchr("'\"\\", *c))
			return errtext_set(e, -EINVAL,
				"%s holds a quote, a backslash or a character that is not "
				"printable ASCII",
				what);
	}
	return 0;
}

int render_check_path(const char *what, const char *path, struct errtext *e)
{
	int error = render_check_word(what, path, e);

	if (error)
		return error;
	if (path[0] != '/')
		return errtext_set(e, -EINVAL, "%s \"%s\" is not an absolute path", what, path);
	return 0;
}

void render_word(struct buffer *b, const char *word)
{
	buffer_append_str(b, "'");
	for (const char *quote; (quote = strchr(word, '\'')); word = quote + 1) {
		buffer_append(b, word, (size_t)(quote - word));
		buffer_append_str(b, "'\\''");
	}
	buffer_append_str(b, word);
	buffer_append_str(b, "'");
}
