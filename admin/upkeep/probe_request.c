#include "admin/upkeep/probe_request.h"

#include "common/url.h"

#include <errno.h>
#include <stdio.h>

static bool has_suffix(struct slice s, struct slice end)
{
	return s.n >= end.n && slice_eq(slice_skip(s, s.n - end.n), end);
}

/* Rewrites the path as for a client's request: without `strip`, after the URL's path. */
static struct slice strip_off(
	const struct provider_probe *probe, struct slice prefix, struct slice strip)
{
	struct slice version = slice_from_str(probe->version);
	struct slice path = slice_from_str(probe->path);

	if (strip.n && slice_has_prefix(path, strip) && path.p[strip.n] == '/')
		return slice_skip(path, strip.n);
	return has_suffix(prefix, version) ? slice_skip(path, version.n) : path;
}

static bool put_place(
	const struct provider_place *place, struct slice prefix, char ret[PROBE_TARGET_SIZE])
{
	for (; place && place->base; place++) {
		struct slice base = slice_from_str(place->base);
		if (!has_suffix(prefix, base))
			continue;
		snprintf(ret, PROBE_TARGET_SIZE, "%.*s%s", (int)(prefix.n - base.n), prefix.p,
			place->path);
		return true;
	}
	return false;
}

static int default_target(const struct provider *p, struct slice url_text, struct slice strip,
	char ret[PROBE_TARGET_SIZE], bool *ret_is_page, struct errtext *e)
{
	struct url url;
	int error = url_parse(url_text, &url, e);

	if (error)
		return error;
	struct slice prefix = slice_from_str(url.prefix);
	*ret_is_page = put_place(p->page.places, prefix, ret);
	if (*ret_is_page)
		return 0;
	if (!p->probe.path)
		return errtext_set(e, -ENOENT, "its upstream has no --probe path");
	struct slice path = strip_off(&p->probe, prefix, strip);
	snprintf(ret, PROBE_TARGET_SIZE, "%s%.*s", url.prefix, (int)path.n, path.p);
	return 0;
}

int probe_target(const struct provider *p, struct slice url, struct slice strip, struct slice path,
	char ret[PROBE_TARGET_SIZE], bool *ret_is_page, struct errtext *e)
{
	*ret_is_page = false;
	if (slice_eq_str(path, PROVIDER_PROBE_NONE))
		return errtext_set(e, -ENOENT, "its upstream has --probe " PROVIDER_PROBE_NONE);
	if (path.n) {
		snprintf(ret, PROBE_TARGET_SIZE, "%.*s", (int)path.n, path.p);
		return 0;
	}
	return default_target(p, url, strip, ret, ret_is_page, e);
}
