#include "common/resource.h"

#include "common/target.h"

#include <string.h>

/* One spelling: a slash before each segment. What is all in its first `base` bytes is not the client's. */
struct text {
	struct slice path;
	size_t base;
	const struct resource_request *request;
};

/* --- patterns --- */

static bool is_end(struct slice path)
{
	return path.n == 0 || path.p[0] == '/';
}

/* Whether the pattern matches at the start of `path`: `ret_rest` is what follows it. */
static bool matches(const char *pattern, struct slice path, struct slice *ret_rest)
{
	size_t n = strcspn(pattern, "*");
	struct slice end = slice_from_str(pattern[n] ? pattern + n + 1 : "");

	if (!slice_has_prefix(path, (struct slice){pattern, n}))
		return false;
	struct slice rest = slice_skip(path, n);
	if (!pattern[n]) {
		*ret_rest = rest;
		return is_end(rest);
	}
	const char *slash = rest.n ? memchr(rest.p, '/', rest.n) : NULL;
	size_t len = slash ? (size_t)(slash - rest.p) : rest.n;
	*ret_rest = slice_skip(rest, len);
	return len >= end.n && slice_eq(slice_skip(slice_cut(rest, len), len - end.n), end);
}

/* One of the patterns matches at `path`, and ends at byte `end` of the text or behind it. */
static bool find(const char *const *patterns, const struct text *t, struct slice path, size_t end,
	struct slice *ret_rest)
{
	const char first = path.n > 1 ? path.p[1] : '\0';

	for (; patterns && *patterns; patterns++) {
		/* most differ in the first letter */
		if ((*patterns)[1] != first && (*patterns)[1] != '*')
			continue;
		if (matches(*patterns, path, ret_rest) && t->path.n - ret_rest->n >= end)
			return true;
	}
	return false;
}

/* --- one place in a path --- */

static bool is_method(const struct text *t, const char *method)
{
	return slice_eq_str(t->request->method, method);
}

static bool is_exception(
	const struct provider_resources *p, const struct text *t, struct slice path)
{
	struct slice rest;

	return find(p->exceptions, t, path, 0, &rest) && rest.n == 0;
}

/* A request to a parent itself. */
static bool asks_model(const struct provider_resources *p, const struct text *t, struct slice path)
{
	struct slice rest;

	return is_method(t, "POST") ||
		(t->request->opens_socket && is_method(t, "GET") &&
			find(p->sockets, t, path, t->base, &rest));
}

static enum resource look_at(
	const struct provider_resources *p, const struct text *t, struct slice path)
{
	bool is_post = is_method(t, "POST");
	struct slice rest;

	if (find(p->administration, t, path, t->base + 1, &rest))
		return RESOURCE_ADMIN;
	if (find(p->families, t, path, t->base + 1, &rest))
		return is_post && rest.n == 0 ? RESOURCE_NEW : RESOURCE_OLD;
	if (t->request->names_resources && is_post && find(p->users, t, path, t->base + 1, &rest))
		return RESOURCE_NEW;
	if (find(p->parents, t, path, t->base, &rest) && !(rest.n == 0 && asks_model(p, t, path)) &&
		!is_exception(p, t, path))
		return RESOURCE_OLD;
	if (find(p->readable, t, path, t->base + 1, &rest) && !is_post && !is_method(t, "GET") &&
		!is_method(t, "HEAD"))
		return RESOURCE_OLD;
	return RESOURCE_NONE;
}

/* --- all places, all spellings --- */

struct search {
	const struct provider_resources *provider;
	const struct resource_request *request;
	enum resource found;
};

static void look(void *context, struct slice path, size_t base)
{
	struct search *s = context;
	const struct text t = {path, base, s->request};

	for (size_t i = 0; i < path.n; i++) {
		if (path.p[i] != '/')
			continue;
		enum resource one = look_at(s->provider, &t, slice_skip(path, i));
		if (one > s->found)
			s->found = one;
	}
}

enum resource resource_of(const struct provider *p, const struct resource_request *r)
{
	struct search s = {p->resources, r, RESOURCE_NONE};

	if (p->resources)
		target_each_spelling(r->base, r->path, look, &s);
	return s.found;
}

/* --- headers --- */

static bool contains(struct slice text, struct slice word)
{
	for (; text.n >= word.n; text = slice_skip(text, 1)) {
		if (slice_eq_nocase(slice_cut(text, word.n), word))
			return true;
	}
	return false;
}

static bool has_word(const char *const *words, struct slice text)
{
	while (*words && !contains(text, slice_from_str(*words)))
		words++;
	return *words != NULL;
}

bool resource_is_named(struct slice name, struct slice value)
{
	for (size_t i = 0; i < provider_count(); i++) {
		const struct provider_resources *p = provider_at(i)->resources;
		if (p && p->header && slice_eq_str(name, p->header) && has_word(p->words, value))
			return true;
	}
	return false;
}
