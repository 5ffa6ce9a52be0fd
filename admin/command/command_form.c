#include "admin/command/command_form.h"

#include "common/ip.h"
#include "common/num.h"
#include "common/provider.h"
#include "common/refusal.h"
#include "common/timetext.h"
#include "common/url.h"
#include "haproxy/render_text.h"

#include <errno.h>

int form_url(struct slice text, struct errtext *e)
{
	struct url url;

	return url_parse(text, &url, e);
}

int form_prefix(struct slice text, struct errtext *e)
{
	char prefix[SEAM_PREFIX_MAX + 1];

	return url_parse_prefix(text, prefix, e);
}

int form_probe(struct slice text, struct errtext *e)
{
	if (slice_eq_str(text, PROVIDER_PROBE_NONE))
		return 0;
	if (text.n > FORM_PROBE_MAX)
		return errtext_set(e, -EINVAL, "is longer than %d characters", FORM_PROBE_MAX);
	if (text.n == 0 || text.p[0] != '/')
		return errtext_set(
			e, -EINVAL, "does not start with '/' and is not " PROVIDER_PROBE_NONE);
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] <= ' ' || text.p[i] > '~' || text.p[i] == '#')
			return errtext_set(e, -EINVAL, "has a character that a path cannot have");
	}
	return 0;
}

int form_region(struct slice text, struct errtext *e)
{
	if (command_name_is_valid(text))
		return 0;
	return errtext_set(e, -EINVAL, "\"%.100s\" is not in the form of a name", text.p);
}

/* --- addresses --- */

static bool can_be_a_source(const struct ip *ip)
{
	static const uint8_t zero[16];
	const uint8_t *last = ip->b + 12;

	if (ip_is_v4(ip))
		return last[0] != 0 && last[0] < 224;
	return memcmp(ip->b, zero, sizeof(zero)) != 0 && ip->b[0] != 0xff;
}

int form_source(struct slice text, struct errtext *e)
{
	struct ip ip;

	if (ip_parse(text, &ip))
		return errtext_set(e, -EINVAL, "\"%.100s\" is not an IP address", text.p);
	if (!can_be_a_source(&ip))
		return errtext_set(
			e, -EINVAL, "nothing can be sent from %.100s (any, or multicast)", text.p);
	return 0;
}

static bool is_host_name(struct slice host)
{
	if (host.n == 0 || host.n > RENDER_HOST_MAX || host.p[0] == '-' || host.p[0] == '.')
		return false;
	for (size_t i = 0; i < host.n; i++) {
		char c = host.p[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '.')
			return false;
	}
	return true;
}

static struct slice host_of(struct slice text)
{
	const char *colon = text.n ? memrchr(text.p, ':', text.n) : NULL;

	return slice_cut(text, colon ? (size_t)(colon - text.p) : 0);
}

/* HOST:PORT, [IPv6]:PORT */
int form_node(struct slice text, struct errtext *e)
{
	struct slice host = host_of(text);
	struct ip ip;
	uint64_t port;
	bool good = host.n > 0;

	if (good && host.p[0] == '[' && host.p[host.n - 1] == ']')
		good = host.n > 2 && ip_parse((struct slice){host.p + 1, host.n - 2}, &ip) == 0 &&
			!ip_is_v4(&ip);
	else
		good = good && is_host_name(host);
	if (good && num_parse_u64(slice_skip(text, host.n + 1), UINT16_MAX, &port) == 0 && port > 0)
		return 0;
	return errtext_set(e, -EINVAL, "\"%.100s\" is not HOST:PORT", text.p);
}

/* HAProxy would resolve a SOCKS server's name once, at its start, and not start without DNS. */
int form_socks4(struct slice text, struct errtext *e)
{
	int error = form_node(text, e);
	struct ip ip;

	if (error || text.p[0] == '[' || ip_parse(host_of(text), &ip) == 0)
		return error;
	return errtext_set(e, -EINVAL, "\"%.100s\" is a name; an IP address is needed", text.p);
}

int form_listener(struct slice text, struct errtext *e)
{
	return render_check_endpoint("address", text.p, true, e);
}

int form_file(struct slice text, struct errtext *e)
{
	return render_check_path("the path", text.p, e);
}

/* --- of requests --- */

int form_code(struct slice text, struct errtext *e)
{
	if (refusal_find(text) != REFUSAL_NONE)
		return 0;
	return errtext_set(e, -EINVAL, "\"%.64s\" is not an error code of the relay", text.p);
}

int form_read_time(struct slice text, int64_t now_ms, int64_t *ret_ms)
{
	uint64_t ago;

	if (num_parse_duration(text, COMMAND_DURATION_MAX_MS, &ago))
		return timetext_parse_rfc3339(text, ret_ms) ? -EINVAL : 0;
	*ret_ms = now_ms - (int64_t)ago;
	return 0;
}

int form_time(struct slice text, struct errtext *e)
{
	int64_t ms;

	if (form_read_time(text, 0, &ms) == 0)
		return 0;
	return errtext_set(e, -EINVAL,
		"\"%.64s\" is neither a time as 2026-01-31T08:00:00Z nor a duration as 2h", text.p);
}

int form_read_status(struct slice text, unsigned *ret_min, unsigned *ret_max)
{
	bool is_class = text.n == 3 && text.p[1] == 'x' && text.p[2] == 'x';
	uint64_t n;

	if (num_parse_u64(is_class ? slice_cut(text, 1) : text, 599, &n))
		return -EINVAL;
	n *= is_class ? 100 : 1;
	if (n < 100 || n > 599)
		return -EINVAL;
	*ret_min = (unsigned)n;
	*ret_max = (unsigned)(is_class ? n + 99 : n);
	return 0;
}

int form_status(struct slice text, struct errtext *e)
{
	unsigned min;
	unsigned max;

	if (form_read_status(text, &min, &max) == 0)
		return 0;
	return errtext_set(e, -EINVAL,
		"\"%.64s\" is neither a status from 100 to 599 nor a class as 4xx", text.p);
}
