#include "agent/decide/decide.h"
#include "common/provider.h"

/* Checked after the key: a client without a key learns only that it needs one. */
static enum refusal never_forwarded(const struct decide_context *c)
{
	const struct decide_request *r = c->request;
	uint64_t max_body = c->snapshot->head->options.requests_max_body;

	if (max_body && r->length > max_body)
		return REFUSAL_REQUEST_TOO_LARGE;
	if (slice_has_prefix(r->path, SLICE_LITERAL("/relay/")))
		return REFUSAL_NO_ROUTE;
	return REFUSAL_NONE;
}

/* GET /relay/me: limits and usage of the key (docs/INTERFACE.md, "Requests"). */
static bool is_me(const struct decide_request *r)
{
	return slice_eq_str(r->path, "/relay/me") &&
		(slice_eq_str(r->method, "GET") || slice_eq_str(r->method, "HEAD"));
}

static const struct snapshot_upstream *upstream_of(
	const struct snapshot *s, const struct snapshot_pool *pool)
{
	return SNAPSHOT_ROWS(s, UPSTREAM, struct snapshot_upstream) + pool->upstream;
}

/* Before the key: where no upstream takes WebSockets, clients go on with HTTP at once. */
enum refusal decide_upgrade(struct decide_context *c)
{
	const struct snapshot *s = c->snapshot;
	const struct snapshot_upstream *upstreams =
		SNAPSHOT_ROWS(s, UPSTREAM, struct snapshot_upstream);

	if (!c->request->websocket)
		return REFUSAL_NONE;
	for (uint32_t i = 0; i < s->counts[SNAPSHOT_UPSTREAM] && c->request->handshake; i++) {
		if (upstreams[i].flags & SNAPSHOT_UPSTREAM_WEBSOCKET)
			return REFUSAL_NONE;
	}
	return REFUSAL_WEBSOCKET_UNSUPPORTED;
}

enum refusal decide_route(struct decide_context *c)
{
	struct decide_verdict *v = c->verdict;
	uint32_t pool_id = v->key->pool_id ? v->key->pool_id : v->tenant->pool_id;

	v->pool = pool_id ? snapshot_pool(c->snapshot, pool_id) : NULL;
	if (is_me(c->request)) {
		v->is_me = true;
		v->action = DECIDE_ANSWER;
		return REFUSAL_NONE;
	}
	enum refusal refusal = never_forwarded(c);
	if (refusal != REFUSAL_NONE)
		return refusal;
	if (!v->pool)
		return REFUSAL_NO_ROUTE;
	const struct snapshot_upstream *upstream = upstream_of(c->snapshot, v->pool);
	if (c->request->websocket && !(upstream->flags & SNAPSHOT_UPSTREAM_WEBSOCKET))
		return REFUSAL_WEBSOCKET_UNSUPPORTED;
	v->provider = provider_at(upstream->provider);
	v->foreign_path = provider_foreign_path(v->provider, c->request->path);
	return v->foreign_path ? REFUSAL_NO_ROUTE : REFUSAL_NONE;
}

/* --strip is removed only at the end of a path segment: /v1 is not a part of /v1beta. */
void decide_rewrite_path(const struct decide_context *c)
{
	struct decide_verdict *v = c->verdict;
	struct slice strip = snapshot_text(c->snapshot, v->backend->strip);
	struct slice rest = c->request->path;

	v->path_prefix = snapshot_text(c->snapshot, v->backend->prefix);
	if (strip.n && slice_has_prefix(rest, strip) &&
		(rest.n == strip.n || rest.p[strip.n] == '/'))
		rest = slice_skip(rest, strip.n);
	v->path_changed = v->path_prefix.n || rest.n != c->request->path.n;
	if (rest.n == 0)
		rest = SLICE_LITERAL("/");
	v->path_rest = rest;
}
