#include "admin/upkeep/probe_request.h"

#include "admin/publish/url.h"

#include <errno.h>
#include <stdio.h>

#define VERSION "/v1"

struct row {
	const char
		*path; /* as in a client's request, from /v1 on; NULL = no free request is known */
	const char *header;
};

/*
 * openai     The model list: free, unlimited, 401 for a bad key. Part of every OpenAI-compatible API.
 * codex      The usage endpoint, which Codex polls for its status line (see codex_rows). For other
 *            backends the model list, which requires a client version.
 * anthropic  The model list, for API keys and OAuth tokens; one entry is enough.
 * generic    No free request is known: --probe is required.
 */
static const struct row rows[PROVIDER_COUNT] = {
	[PROVIDER_OPENAI] = {VERSION "/models", ""},
	[PROVIDER_CODEX] = {VERSION "/models?client_version=0.150.0", ""},
	[PROVIDER_ANTHROPIC] = {VERSION "/models?limit=1", "anthropic-version: 2023-06-01"},
	[PROVIDER_GENERIC] = {NULL, ""},
};

/* Usage endpoints of the Codex backends: end of the URL's path, and its replacement. */
static const struct {
	struct slice base;
	const char *usage;
} codex_rows[] = {
	{{"/backend-api/codex", 18}, "/backend-api/wham/usage"},
	{{"/api/codex", 10}, "/api/codex/usage"},
};

int probe_path_check(struct slice path, struct errtext *e)
{
	if (path.n > PROBE_PATH_MAX)
		return errtext_set(e, -EINVAL, "is longer than %d characters", PROBE_PATH_MAX);
	if (path.n == 0 || path.p[0] != '/')
		return errtext_set(e, -EINVAL, "does not start with '/' and is not " PROBE_NONE);
	for (size_t i = 0; i < path.n; i++) {
		if (path.p[i] <= ' ' || path.p[i] > '~' || path.p[i] == '#')
			return errtext_set(e, -EINVAL, "has a character that a path cannot have");
	}
	return 0;
}

static bool has_suffix(struct slice s, struct slice end)
{
	return s.n >= end.n && slice_eq(slice_skip(s, s.n - end.n), end);
}

/* Rewrites the path as for a client's request: without `strip`, after the URL's path. */
static struct slice strip_off(struct slice path, struct slice prefix, struct slice strip)
{
	static const struct slice version = {VERSION, sizeof(VERSION) - 1};

	if (strip.n && slice_has_prefix(path, strip) && path.p[strip.n] == '/')
		return slice_skip(path, strip.n);
	return has_suffix(prefix, version) ? slice_skip(path, version.n) : path;
}

static bool usage_of_codex(struct slice prefix, char ret[PROBE_TARGET_SIZE])
{
	for (size_t i = 0; i < sizeof(codex_rows) / sizeof(codex_rows[0]); i++) {
		if (!has_suffix(prefix, codex_rows[i].base))
			continue;
		size_t kept = prefix.n - codex_rows[i].base.n;
		snprintf(
			ret, PROBE_TARGET_SIZE, "%.*s%s", (int)kept, prefix.p, codex_rows[i].usage);
		return true;
	}
	return false;
}

static int default_target(enum provider p, struct slice url_text, struct slice strip,
	char ret[PROBE_TARGET_SIZE], struct errtext *e)
{
	struct url url;
	int error = url_parse(url_text, &url, e);

	if (error)
		return error;
	struct slice prefix = slice_from_str(url.prefix);
	if (p == PROVIDER_CODEX && usage_of_codex(prefix, ret))
		return 0;
	struct slice path = strip_off(slice_from_str(rows[p].path), prefix, strip);
	snprintf(ret, PROBE_TARGET_SIZE, "%s%.*s", url.prefix, (int)path.n, path.p);
	return 0;
}

int probe_target(enum provider p, struct slice url, struct slice strip, struct slice path,
	char ret[PROBE_TARGET_SIZE], struct errtext *e)
{
	if (slice_eq_str(path, PROBE_NONE))
		return errtext_set(e, -ENOENT, "its upstream has --probe " PROBE_NONE);
	if (path.n) {
		snprintf(ret, PROBE_TARGET_SIZE, "%.*s", (int)path.n, path.p);
		return 0;
	}
	if (!rows[p].path)
		return errtext_set(e, -ENOENT, "its upstream has no --probe path");
	return default_target(p, url, strip, ret, e);
}

struct slice probe_header(enum provider p)
{
	return slice_from_str(rows[p].header);
}
