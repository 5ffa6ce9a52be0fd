/*
 * Answers for pages of other origins ([cors] origins). HAProxy answers their preflight requests by itself:
 * a preflight request has no key. No answer allows credentials: browsers send the key in a header.
 */
#include "haproxy/render_parts.h"
#include "haproxy/render_text.h"

#define ORIGIN "var(txn.rly.origin)"
#define HAS_ORIGIN " if { " ORIGIN " -m found }"
#define PREFLIGHT_SECONDS 7200
#define METHODS "GET, POST, PUT, PATCH, DELETE"
#define EXPOSED                                                                                    \
	"X-Request-Id, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After,"        \
	" X-Relay-Error, X-Should-Retry, X-Circuit-Breaker, X-Relay-Upstream, Request-Id"

bool render_has_cors(const struct render_model *m)
{
	return m->config->cors_origins.s[0];
}

static bool is_any(const struct render_model *m)
{
	return slice_eq_str(slice_trim(slice_from_str(m->config->cors_origins.s)), "*");
}

static void append_origin(const struct render_model *m, struct buffer *b)
{
	struct slice rest = slice_from_str(m->config->cors_origins.s);
	struct slice one;

	if (is_any(m)) {
		buffer_append_str(b,
			"\thttp-request set-var(txn.rly.origin) str(*)"
			" if { req.fhdr(origin,-1) -m found }\n");
		return;
	}
	buffer_append_str(b,
		"\thttp-request set-var(txn.rly.origin) req.fhdr(origin,-1)"
		" if { req.fhdr(origin,-1) -m str");
	while (slice_next(&rest, ',', &one)) {
		one = slice_trim(one);
		if (one.n)
			buffer_printf(b, " %.*s", (int)one.n, one.p);
	}
	buffer_append_str(b, " }\n");
}

void render_cors_request(const struct render_model *m, struct buffer *b)
{
	if (!render_has_cors(m))
		return;
	buffer_append_str(b, "\n\t# Pages of other origins.\n");
	append_origin(m, b);
	buffer_printf(b,
		"\thttp-request set-var(txn.rly.asked) req.fhdr(access-control-request-headers,-1)" HAS_ORIGIN
		" { method OPTIONS }"
		" { req.fhdr(access-control-request-headers,-1) -m reg -i '^[a-z0-9_, -]+$' }\n"
		"\thttp-request return status 204 hdr Access-Control-Allow-Methods \"" METHODS
		"\" hdr Access-Control-Allow-Headers %%[var(txn.rly.asked,x-api-key)]"
		" hdr Access-Control-Max-Age %d" HAS_ORIGIN
		" { method OPTIONS } { req.fhdr(access-control-request-method) -m found }\n",
		PREFLIGHT_SECONDS);
}

void render_cors_response(const struct render_model *m, struct buffer *b)
{
	if (!render_has_cors(m))
		return;
	buffer_append_str(b,
		"\n\t# Pages of other origins may read the answer.\n"
		"\thttp-after-response set-header Access-Control-Allow-Origin"
		" %[" ORIGIN "]" HAS_ORIGIN "\n"
		"\thttp-after-response set-header Access-Control-Expose-Headers \"" EXPOSED
		"\"" HAS_ORIGIN "\n");
	if (!is_any(m))
		buffer_append_str(b, "\thttp-after-response add-header Vary Origin\n");
}
