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

/* --strip is removed only at the end of a path segment: /v1 is not a part of /v1beta. */
static struct slice without(struct slice strip, struct slice path)
{
	bool is_there = strip.n && slice_has_prefix(path, strip) &&
		(path.n == strip.n || path.p[strip.n] == '/');

	return is_there ? slice_skip(path, strip.n) : path;
}

static enum resource find_resource(
	const struct decide_context *c, const struct snapshot_upstream *upstream)
{
	const struct decide_request *r = c->request;
	const struct resource_request q = {
		.method = r->has_other_method ? SLICE_LITERAL("") : r->method,
		.base = snapshot_text(c->snapshot, upstream->prefix),
		.path = without(snapshot_text(c->snapshot, upstream->strip), r->path),
		.opens_socket = r->handshake,
		.names_resources = r->names_resources,
	};

	return resource_of(c->verdict->provider, &q);
}

/* Of one tenant, no request may reach a resource of another one. */
static bool is_served(const struct decide_verdict *v)
{
	return v->resource == RESOURCE_NONE ||
		(v->resource != RESOURCE_ADMIN && v->pool->flags & SNAPSHOT_POOL_RESOURCES);
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
	v->http2 = upstream->flags & SNAPSHOT_UPSTREAM_HTTP2;
	v->foreign_path = provider_foreign_path(v->provider, c->request->path);
	if (v->foreign_path)
		return REFUSAL_NO_ROUTE;
	v->resource = find_resource(c, upstream);
	return is_served(v) ? REFUSAL_NONE : REFUSAL_NO_ROUTE;
}

void decide_rewrite_path(const struct decide_context *c)
{
	struct decide_verdict *v = c->verdict;
	struct slice rest =
		without(snapshot_text(c->snapshot, v->backend->strip), c->request->path);

	v->path_prefix = snapshot_text(c->snapshot, v->backend->prefix);
	v->path_changed = v->path_prefix.n || rest.n != c->request->path.n;
	if (rest.n == 0)
		rest = SLICE_LITERAL("/");
	v->path_rest = rest;
}
