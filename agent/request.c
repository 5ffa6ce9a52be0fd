/* OpenSSL 3 deprecates the SHA256_CTX functions; they are the only ones without an allocation. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "agent/request.h"

#include "common/forwarded.h"
#include "common/head.h"
#include "common/kinds.h"
#include "common/num.h"
#include "common/provider.h"
#include "common/relaykey.h"
#include "common/resource.h"
#include "common/snapshot.h"

#include <assert.h>
#include <openssl/sha.h>

static_assert(REQUEST_LABEL_MAX == HEAD_LABEL_MAX, "the room has a place for a label");
static_assert(REQUEST_DIGEST_LEN == 2 * SHA256_DIGEST_LENGTH, "a digest is written in hex");

#define SCHEME SLICE_LITERAL("Bearer ")
#define SCHEME_AND_PREFIX SLICE_LITERAL("Bearer rk_")

/* Headers that may carry a relay key; the first one that has a key counts. */
enum key_header { X_API_KEY, AUTHORIZATION, X_GOOG_API_KEY, API_KEY, KEY_HEADERS };

static const struct slice key_headers[KEY_HEADERS] = {
	[X_API_KEY] = {"x-api-key", 9},
	[AUTHORIZATION] = {"authorization", 13},
	[X_GOOG_API_KEY] = {"x-goog-api-key", 14},
	[API_KEY] = {"api-key", 7},
};

/* What is known of the head so far. Of several lines with one name the last counts. */
struct reading {
	struct decide_request *request;
	struct slice keys[KEY_HEADERS];
	uint32_t key_lines[KEY_HEADERS];
	const struct snapshot *snapshot;
	uint32_t sticky_rank; /* place of the name of `request->sticky` */
	struct slice host;
	struct slice request_id, traceparent;
	bool is_json, is_encoded; /* the body */
	bool is_proxied;	  /* a trusted proxy sent the request */
	struct forwarded addresses, elements;
	bool has_hops;	  /* Connection says more than the usual */
	bool has_upgrade; /* Connection names it */
};

typedef void take_fn(struct reading *g, struct slice value);

/* KEY_HEADERS: it is none of them. */
static enum key_header key_header_of(struct slice name)
{
	unsigned i = 0;

	while (i < KEY_HEADERS && !slice_eq(name, key_headers[i]))
		i++;
	return (enum key_header)i;
}

static void take_key(struct reading *g, const struct head_line *line)
{
	enum key_header i = key_header_of(line->name);

	if (i == KEY_HEADERS)
		return;
	g->keys[i] = line->value;
	g->key_lines[i]++;
}

static void take_host(struct reading *g, struct slice value)
{
	g->host = value;
}

static void take_length(struct reading *g, struct slice value)
{
	if (num_parse_u64(value, INT64_MAX, &g->request->length) < 0)
		request_blame(g->request, REFUSAL_BAD_REQUEST);
}

static void take_upgrade(struct reading *g, struct slice value)
{
	if (head_list_has_prefix(value, SLICE_LITERAL("websocket")))
		g->request->websocket = true;
}

static void take_type(struct reading *g, struct slice value)
{
	const struct slice json = SLICE_LITERAL("application/json");
	struct slice parameters = slice_skip(value, json.n);

	g->is_json = slice_eq_nocase(slice_cut(value, json.n), json) &&
		(parameters.n == 0 || strchr("; \t", parameters.p[0]));
}

static void take_connection(struct reading *g, struct slice value)
{
	if (!slice_eq_nocase(value, SLICE_LITERAL("keep-alive")) &&
		!slice_eq_nocase(value, SLICE_LITERAL("close")))
		g->has_hops = true;
	if (head_list_has_prefix(value, SLICE_LITERAL("upgrade")))
		g->has_upgrade = true;
}

static void take_encoding(struct reading *g, struct slice value)
{
	g->is_encoded = !slice_eq_nocase(value, SLICE_LITERAL("identity"));
}

static void take_request_id(struct reading *g, struct slice value)
{
	g->request_id = value;
}

static void take_traceparent(struct reading *g, struct slice value)
{
	g->traceparent = value;
}

/* Google's APIs, among others, obey it. */
static void take_method(struct reading *g, struct slice value)
{
	(void)value;
	g->request->has_other_method = true;
}

static void take_x_forwarded_for(struct reading *g, struct slice value)
{
	if (g->is_proxied)
		forwarded_take_addresses(&g->addresses, value);
}

static void take_forwarded(struct reading *g, struct slice value)
{
	if (g->is_proxied)
		forwarded_take_elements(&g->elements, value);
}

static const struct field {
	struct slice name;
	take_fn *take;
} fields[] = {
	{{"host", 4}, take_host},
	{{"content-length", 14}, take_length},
	{{"content-type", 12}, take_type},
	{{"connection", 10}, take_connection},
	{{"content-encoding", 16}, take_encoding},
	{{"upgrade", 7}, take_upgrade},
	{{"x-request-id", 12}, take_request_id},
	{{"traceparent", 11}, take_traceparent},
	{{"x-forwarded-for", 15}, take_x_forwarded_for},
	{{"forwarded", 9}, take_forwarded},
	{{"x-http-method-override", 22}, take_method},
	{{"x-http-method", 13}, take_method},
	{{"x-method-override", 17}, take_method},
};

static void take_field(struct reading *g, const struct head_line *line)
{
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (slice_eq(line->name, fields[i].name)) {
			fields[i].take(g, line->value);
			return;
		}
	}
}

/* A conversation is named by the first of the configured headers that the request has. */
static void take_sticky(struct reading *g, const struct head_line *line)
{
	const struct snapshot *s = g->snapshot;

	for (uint32_t i = 0; s && line->value.n && i < s->counts[SNAPSHOT_STICKY]; i++) {
		if (i > g->sticky_rank && g->request->sticky.n)
			return;
		struct snapshot_text name = SNAPSHOT_ROWS(s, STICKY, struct snapshot_text)[i];
		if (name.len != line->name.n || !slice_eq(line->name, snapshot_text(s, name)))
			continue;
		g->request->sticky = line->value;
		g->sticky_rank = i;
		return;
	}
}

static void take_line(struct reading *g, const struct head_line *line)
{
	take_key(g, line);
	take_field(g, line);
	take_sticky(g, line);
	if (provider_is_state_header(line->name))
		g->request->hard = true;
	if (resource_is_named(line->name, line->value))
		g->request->names_resources = true;
}

/* A cut name would join conversations whose names begin alike. */
static struct slice digest_of(struct slice text, char out[REQUEST_DIGEST_LEN])
{
	static const char digits[] = "0123456789ABCDEF";
	uint8_t hash[SHA256_DIGEST_LENGTH];
	SHA256_CTX ctx;

	SHA256_Init(&ctx);
	SHA256_Update(&ctx, text.p, text.n);
	SHA256_Final(hash, &ctx);
	for (size_t i = 0; i < sizeof(hash); i++) {
		out[2 * i] = digits[hash[i] >> 4];
		out[2 * i + 1] = digits[hash[i] & 15];
	}
	return (struct slice){out, REQUEST_DIGEST_LEN};
}

static void begin_address(struct reading *g)
{
	const struct snapshot *s = g->snapshot;
	const struct decide_request *r = g->request;

	if (!s || s->counts[SNAPSHOT_TRUSTED] == 0)
		return;
	g->addresses.trusted = g->elements.trusted = SNAPSHOT_ROWS(s, TRUSTED, struct cidr);
	g->addresses.trusted_count = g->elements.trusted_count = s->counts[SNAPSHOT_TRUSTED];
	g->is_proxied = r->has_src && forwarded_trusts(&g->addresses, &r->src);
}

/*
 * Nobody can tell which header a proxy wrote if both are there. X-Forwarded-For is the one that most
 * write. A proxy that hides its client leaves the request without an address.
 */
static void settle_address(struct reading *g)
{
	const struct forwarded *f = g->addresses.is_present ? &g->addresses : &g->elements;

	if (!f->is_present)
		return;
	g->request->has_src = f->is_known;
	g->request->src = f->client;
}

/* Any other Authorization than `Bearer rk_...` is the client's own business. */
static struct slice key_of(const struct reading *g, enum key_header i)
{
	struct slice value = g->keys[i];

	if (i != AUTHORIZATION)
		return slice_trim(value);
	if (!slice_eq_nocase(slice_cut(value, SCHEME_AND_PREFIX.n), SCHEME_AND_PREFIX))
		return (struct slice){NULL, 0};
	return slice_trim(slice_skip(value, SCHEME.n));
}

static void settle_key(struct reading *g)
{
	struct decide_request *r = g->request;

	for (unsigned i = 0; i < KEY_HEADERS && r->key.n == 0 && r->key_lines < 2; i++) {
		r->key = key_of(g, (enum key_header)i);
		/* X-API-Key is for nothing else */
		if (r->key.n || i == X_API_KEY)
			r->key_lines = g->key_lines[i];
	}
	if (r->key.n <= REQUEST_KEY_MAX)
		return;
	r->key = (struct slice){NULL, 0};
	request_blame(r, REFUSAL_BAD_REQUEST);
}

static void settle(struct reading *g, char digest[REQUEST_DIGEST_LEN])
{
	struct decide_request *r = g->request;

	if (g->host.n > REQUEST_HOST_MAX)
		request_blame(r, REFUSAL_BAD_REQUEST);
	if (r->sticky.n > REQUEST_STICKY_MAX)
		r->sticky = digest_of(r->sticky, digest);
	r->handshake =
		r->websocket && g->has_upgrade && r->length == 0 && slice_eq_str(r->method, "GET");
	r->has_json = g->is_json && !g->is_encoded && r->length;
	r->label = head_is_label(g->request_id) ? g->request_id : g->traceparent;
	if (!head_is_label(r->label))
		r->label = (struct slice){NULL, 0};
}

/* The name of the line in which `at` lies. */
static struct slice name_of_line(struct slice head, const char *at)
{
	const char *before = memrchr(head.p, '\n', (size_t)(at - head.p));
	const char *name = before ? before + 1 : head.p;
	const char *colon = memchr(name, ':', (size_t)(at - name));

	return (struct slice){name, colon ? (size_t)(colon - name) : 0};
}

static bool part_has_misplaced_key(struct slice head, struct slice part)
{
	struct slice rest = part;
	struct slice key;

	while (relaykey_find(rest, &key)) {
		if (key_header_of(name_of_line(head, key.p)) == KEY_HEADERS)
			return true;
		rest = slice_skip(rest, (size_t)(key.p - rest.p) + key.n);
	}
	return false;
}

/* The value that is read as the key is checked as such, once. */
static bool has_misplaced_key(const struct decide_request *r, struct slice head)
{
	if (r->key.n == 0)
		return part_has_misplaced_key(head, head);
	size_t before = (size_t)(r->key.p - head.p);
	return part_has_misplaced_key(head, slice_cut(head, before)) ||
		part_has_misplaced_key(head, slice_skip(head, before + r->key.n));
}

void request_read_head(struct decide_request *r, struct slice head, const struct snapshot *s,
	char digest[REQUEST_DIGEST_LEN])
{
	struct reading g = {.request = r, .snapshot = s};
	struct slice rest = head;
	struct head_line line;
	enum head_answer answer;

	begin_address(&g);
	while ((answer = head_next(&rest, &line)) == HEAD_LINE)
		take_line(&g, &line);
	/* HAProxy 2.6 lets NUL pass */
	if (answer == HEAD_BAD || memchr(head.p, '\0', head.n))
		request_blame(r, REFUSAL_BAD_REQUEST);
	if (g.has_hops && !head_hops(head, r->hops, &r->hops_n))
		request_blame(r, REFUSAL_BAD_REQUEST);
	if (r->hops_n &&
		!kinds_find(head, (struct slice){r->hops, r->hops_n}, r->kinds, sizeof(r->kinds)))
		r->kinds[0] = '\0';
	settle_key(&g);
	if (has_misplaced_key(r, head))
		request_blame(r, REFUSAL_MISPLACED_API_KEY);
	settle(&g, digest);
	settle_address(&g);
}
