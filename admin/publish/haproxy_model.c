#include "admin/publish/haproxy_model.h"

#include "admin/control.h"
#include "admin/publish/url.h"
#include "admin/store/hex.h"
#include "admin/store/secrets.h"
#include "admin/store/store.h"
#include "common/ip.h"
#include "common/num.h"
#include "common/seam.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NODE_NAME "relay-node-%" PRId64 /* id of the egress */
#define NODE_NAME_SIZE 40

/* A copy that lives as long as the model; NULL when out of memory. */
static const char *keep(struct haproxy_model *m, struct slice s)
{
	char *copy = strndup(s.n ? s.p : "", s.n);

	if (!copy)
		return NULL;
	buffer_append(&m->texts, &copy, sizeof(copy));
	if (!buffer_error(&m->texts))
		return copy;
	free(copy);
	return NULL;
}

/* Our own group: HAProxy gives its runtime socket to it, so that control may use it. */
static const char *own_group(struct haproxy_model *m)
{
	const struct group *group = getgrgid(getegid());

	return group ? keep(m, slice_from_str(group->gr_name)) : NULL;
}

void haproxy_model_fini(struct haproxy_model *m)
{
	char **texts = (char **)(void *)m->texts.data;

	for (size_t i = 0; i < m->texts.len / sizeof(*texts); i++)
		free(texts[i]);
	buffer_fini(&m->texts);
	buffer_fini(&m->backends);
	buffer_fini(&m->internal);
	buffer_fini(&m->nodes);
	buffer_fini(&m->ca_files);
}

static int no_memory(struct errtext *e)
{
	return errtext_set(e, -ENOMEM, "HAProxy's files: out of memory");
}

/* --- lists of the configuration --- */

static int add_item(
	struct haproxy_model *m, struct haproxy_list *l, struct slice s, struct errtext *e)
{
	if (l->count == HAPROXY_MODEL_LIST_MAX)
		return errtext_set(
			e, -E2BIG, "more than %d names in one list", HAPROXY_MODEL_LIST_MAX);
	l->items[l->count] = keep(m, s);
	return l->items[l->count++] ? 0 : no_memory(e);
}

static int split(
	struct haproxy_model *m, struct haproxy_list *l, const char *text, struct errtext *e)
{
	struct slice rest = slice_from_str(text);
	struct slice field;
	int error = 0;

	while (!error && slice_next(&rest, ',', &field)) {
		field = slice_trim(field);
		if (field.n)
			error = add_item(m, l, field, e);
	}
	return error;
}

/* HAProxy asks on this machine when the agent listens on all addresses. */
static void name_loopback(struct address *a)
{
	if (a->u.sa.sa_family == AF_INET && a->u.in.sin_addr.s_addr == htonl(INADDR_ANY))
		a->u.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else if (a->u.sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a->u.in6.sin6_addr))
		a->u.in6.sin6_addr = in6addr_loopback;
}

static int take_check(struct haproxy_model *m, const struct config *config, struct errtext *e)
{
	if (!config->check_listen.s[0])
		return 0;
	int error = address_parse(slice_from_str(config->check_listen.s), &m->check, e);
	if (error)
		return error;
	name_loopback(&m->check);
	m->render.check = &m->check;
	return 0;
}

static int take_config(struct haproxy_model *m, struct control *c, struct errtext *e)
{
	const struct config *config = &c->config;
	struct render_model *r = &m->render;
	int count = config_spop_listeners(config, m->spop);
	int error = count < 0 ? errtext_set(e, count, "[spop] listen is malformed") : 0;

	if (!error)
		error = address_parse(slice_from_str(config->events_listen.s), &r->records, e);
	if (!error)
		error = take_check(m, config, e);
	if (!error)
		error = split(m, &m->sticky, config->sticky_headers.s, e);
	if (!error)
		error = split(m, &m->request_deny, config->headers_request_deny.s, e);
	if (!error)
		error = split(m, &m->request_allow, config->headers_request_allow.s, e);
	if (!error)
		error = split(m, &m->response_deny, config->headers_response_deny.s, e);
	if (!error)
		error = split(m, &m->response_allow, config->headers_response_allow.s, e);
	if (error)
		return error;
	r->spop = m->spop;
	r->spop_count = (size_t)count;
	r->secret = c->secrets->record_is_ours ? c->secrets->record_secret : NULL;
	r->records_have_secret = r->records.kind == ADDRESS_UDP;
	r->admin_socket = config->haproxy_admin_socket.s;
	r->admin_group = own_group(m);
	r->internal_socket = config->haproxy_internal_socket.s;
	r->max_body = config->requests_max_body;
	return 0;
}

/* --- options of `haproxy render` --- */

static const char *option_text(struct json_object *options, const char *name)
{
	struct json_object *o;

	if (!json_object_object_get_ex(options, name, &o) ||
		!json_object_is_type(o, json_type_string))
		return NULL;
	return *json_object_get_string(o) ? json_object_get_string(o) : NULL;
}

/* An array of texts into `out`. */
static int option_list(struct haproxy_model *m, struct json_object *options, const char *name,
	const char **out, size_t max, size_t *ret_count, struct errtext *e)
{
	struct json_object *o;

	if (!json_object_object_get_ex(options, name, &o) ||
		!json_object_is_type(o, json_type_array))
		return 0;
	size_t n = json_object_array_length(o);
	if (n > max)
		return errtext_set(e, -E2BIG, "more than %zu values for %s", max, name);
	for (size_t i = 0; i < n; i++) {
		const char *text = json_object_get_string(json_object_array_get_idx(o, i));
		out[i] = keep(m, slice_from_str(text));
		if (!out[i])
			return no_memory(e);
	}
	*ret_count = n;
	return 0;
}

static int take_options(struct haproxy_model *m, struct json_object *options, struct errtext *e)
{
	struct render_options *r = &m->render.options;
	struct json_object *flag;
	const char *cert = option_text(options, "cert");
	const char *stats = option_text(options, "stats");
	const char *out = option_text(options, "out");
	int error = option_list(m, options, "bind", r->binds, RENDER_BINDS_MAX, &r->bind_count, e);

	if (!error)
		error = option_list(m, options, "trust_forwarded", r->trusted, RENDER_TRUSTED_MAX,
			&r->trusted_count, e);
	if (error)
		return error;
	r->cert = cert ? keep(m, slice_from_str(cert)) : NULL;
	r->stats = stats ? keep(m, slice_from_str(stats)) : NULL;
	r->accept_proxy = json_object_object_get_ex(options, "accept_proxy", &flag) &&
		json_object_get_boolean(flag);
	m->render.output_dir = keep(m, slice_from_str(out));
	if (!m->render.output_dir || (cert && !r->cert) || (stats && !r->stats))
		return no_memory(e);
	return 0;
}

/* --- rows of the store --- */

/* CA files are named by their content, so that an old HAProxy's files stay as they are. */
static int take_ca(
	struct haproxy_model *m, struct slice pem, struct render_backend *b, struct errtext *e)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	struct buffer path = {0};

	if (!pem.n)
		return 0;
	SHA256((const uint8_t *)pem.p, pem.n, digest);
	buffer_printf(&path, "%s/ca-", m->render.output_dir);
	hex_format((struct slice){(const char *)digest, 12}, &path);
	buffer_append_str(&path, ".pem");
	struct haproxy_ca_file f = {keep(m, buffer_slice(&path)), keep(m, pem)};
	buffer_fini(&path);
	if (!f.path || !f.pem)
		return no_memory(e);
	buffer_append(&m->ca_files, &f, sizeof(f));
	b->ca_file = f.path;
	return 0;
}

static const struct egress_kind {
	const char *name;
	enum render_egress egress;
} egress_kinds[] = {
	{"direct", RENDER_EGRESS_DIRECT},
	{"source", RENDER_EGRESS_SOURCE},
	{"socks4", RENDER_EGRESS_SOCKS4},
	{"node", RENDER_EGRESS_NODE},
};

/* An unknown kind is an error: a request must not leave from an address that nobody chose. */
static int take_kind(struct slice name, struct render_backend *b, struct errtext *e)
{
	for (size_t i = 0; i < sizeof(egress_kinds) / sizeof(egress_kinds[0]); i++) {
		if (!slice_eq_str(name, egress_kinds[i].name))
			continue;
		b->egress = egress_kinds[i].egress;
		return 0;
	}
	return errtext_set(e, -EBADMSG, "backend %s: unknown egress kind \"%.*s\"", b->name,
		(int)slice_cut(name, 100).n, name.p);
}

/* Of an egress whose kind and address stand from `column` on, and its id after them. */
static const char *egress_address(struct haproxy_model *m, sqlite3_stmt *st, int column)
{
	char node[NODE_NAME_SIZE];

	if (!slice_eq_str(store_column(st, column), "node"))
		return keep(m, store_column(st, column + 1));
	snprintf(node, sizeof(node), NODE_NAME, (int64_t)sqlite3_column_int64(st, column + 2));
	return keep(m, slice_from_str(node));
}

/* `st` holds, from `column` on, kind, address and id of the egress. */
static int make_backend(struct haproxy_model *m, struct slice name, struct slice target,
	struct slice ca, sqlite3_stmt *st, int column, struct render_backend *ret,
	struct errtext *e)
{
	struct url url;
	int error = url_parse(target, &url, e);

	if (error)
		return error;
	*ret = (struct render_backend){
		.name = keep(m, name),
		.host = keep(m, slice_from_str(url.host)),
		.port = url.port,
		.tls = url.tls,
		.host_header = keep(m, slice_from_str(url.host_header)),
		.egress_address = egress_address(m, st, column),
	};
	if (!ret->name || !ret->host || !ret->host_header || !ret->egress_address)
		return no_memory(e);
	error = take_kind(store_column(st, column), ret, e);
	return error ? error : take_ca(m, ca, ret, e);
}

static int take_backend(
	struct haproxy_model *m, struct control *c, sqlite3_stmt *st, struct errtext *e)
{
	struct render_backend b;
	int error = make_backend(
		m, store_column(st, 0), store_column(st, 1), store_column(st, 2), st, 4, &b, e);

	(void)c;
	if (error)
		return error;
	b.first_byte_timeout_ms = (uint64_t)sqlite3_column_int64(st, 3);
	error = provider_parse(store_column(st, 7), &b.provider);
	if (error)
		return errtext_set(e, error, "backend %s: unknown provider", b.name);
	buffer_append(&m->backends, &b, sizeof(b));
	return 0;
}

static int take_internal(struct haproxy_model *m, const char *name, struct slice target,
	struct slice ca, sqlite3_stmt *st, int column, struct errtext *e)
{
	struct render_backend b;
	int error = make_backend(m, slice_from_str(name), target, ca, st, column, &b, e);

	if (!error)
		buffer_append(&m->internal, &b, sizeof(b));
	return error;
}

static int take_token_backend(
	struct haproxy_model *m, struct control *c, sqlite3_stmt *st, struct errtext *e)
{
	char name[64];

	(void)c;
	snprintf(name, sizeof(name), SEAM_BACKEND_TOKEN, (int64_t)sqlite3_column_int64(st, 0),
		(int64_t)sqlite3_column_int64(st, 1));
	int error = take_internal(m, name, store_column(st, 2), store_column(st, 3), st, 4, e);
	return error ? errtext_prefix(e, error, "token URL") : 0;
}

/* Its listener leads to one node, whoever comes, so it is there for whatever backend will need it. */
static int take_node(
	struct haproxy_model *m, struct control *c, sqlite3_stmt *st, struct errtext *e)
{
	char name[NODE_NAME_SIZE];
	struct slice address = store_column(st, 1);
	const char *colon = memrchr(address.p, ':', address.n);
	struct slice host = {address.p, colon ? (size_t)(colon - address.p) : 0};
	uint64_t port = 0;

	(void)c;
	snprintf(name, sizeof(name), NODE_NAME, (int64_t)sqlite3_column_int64(st, 0));
	if (!host.n || num_parse_u64(slice_skip(address, host.n + 1), UINT16_MAX, &port))
		return errtext_set(e, -EINVAL, "egress node %s: its address is malformed", name);
	if (host.p[0] == '[' && host.n > 2)
		host = slice_cut(slice_skip(host, 1), host.n - 2);
	struct render_node n = {
		.name = keep(m, slice_from_str(name)),
		.host = keep(m, host),
		.port = (uint16_t)port,
		.cert = keep(m, store_column(st, 2)),
		.ca_file = keep(m, store_column(st, 3)),
	};
	if (!n.name || !n.host || !n.cert || !n.ca_file)
		return no_memory(e);
	buffer_append(&m->nodes, &n, sizeof(n));
	return 0;
}

/*
 * A node is told a name and sees no content: an endpoint that gives neither is not asked through it.
 * One that cannot be asked at all is told by `egress check`; it keeps nothing else from being rendered.
 */
static bool can_ask_through(const char *echo_url, struct slice kind)
{
	struct url url;
	struct ip ip;

	if (url_parse(url_without_query(echo_url), &url, NULL))
		return false;
	if (!slice_eq_str(kind, "node"))
		return true;
	return url.tls && ip_parse(slice_from_str(url.host), &ip) < 0;
}

static int take_echo_backend(
	struct haproxy_model *m, struct control *c, sqlite3_stmt *st, struct errtext *e)
{
	const char *url = c->config.health_echo_url.s;
	const struct slice no_ca = {NULL, 0};
	char name[64];

	if (!can_ask_through(url, store_column(st, 1)))
		return 0;
	snprintf(name, sizeof(name), SEAM_BACKEND_ECHO, (int64_t)sqlite3_column_int64(st, 0));
	int error = take_internal(m, name, url_without_query(url), no_ca, st, 1, e);
	return error ? errtext_prefix(e, error, "[health] echo_url") : 0;
}

static int take_slot(
	struct haproxy_model *m, struct control *c, sqlite3_stmt *st, struct errtext *e)
{
	(void)c;
	return add_item(m, &m->headers, store_column(st, 0), e);
}

typedef int take_row(
	struct haproxy_model *m, struct control *c, sqlite3_stmt *st, struct errtext *e);

static int take_rows(struct haproxy_model *m, struct control *c, const char *sql, take_row *take,
	struct errtext *e)
{
	sqlite3_stmt *st = store_statement(c->store, sql, e);
	int rc = -EIO;

	if (!st)
		return rc;
	while ((rc = store_step(c->store, st, e)) == 1) {
		rc = take(m, c, st, e);
		if (rc)
			break;
	}
	sqlite3_reset(st);
	return rc;
}

/*
 * A token host is asked from where its accounts go out, so the pairs are those of the open backends;
 * its certificate is checked as the upstream's own.
 */
static int take_store(struct haproxy_model *m, struct control *c, struct errtext *e)
{
	int error = take_rows(m, c,
		"SELECT b.name, u.url, u.ca_pem, u.first_byte_timeout_ms, g.kind, g.address, g.id,"
		" u.provider FROM backends b JOIN upstreams u ON u.id = b.upstream_id"
		" JOIN egresses g ON g.id = b.egress_id WHERE b.last_gen IS NULL ORDER BY b.id",
		take_backend, e);

	if (!error)
		error = take_rows(m, c,
			"SELECT name FROM header_slots WHERE last_gen IS NULL ORDER BY name",
			take_slot, e);
	if (!error)
		error = take_rows(m, c,
			"SELECT DISTINCT u.id, g.id, u.token_url, u.ca_pem, g.kind, g.address, g.id"
			" FROM backends b JOIN upstreams u ON u.id = b.upstream_id"
			" JOIN egresses g ON g.id = b.egress_id"
			" WHERE b.last_gen IS NULL AND u.token_url <> '' ORDER BY u.id, g.id",
			take_token_backend, e);
	if (!error)
		error = take_rows(m, c,
			"SELECT id, address, node_cert, node_ca FROM egresses"
			" WHERE kind = 'node' AND node_cert <> '' ORDER BY id",
			take_node, e);
	if (error || !c->config.health_echo_url.s[0])
		return error;
	return take_rows(m, c,
		"SELECT id, kind, address, id FROM egresses WHERE kind <> 'node' OR node_cert <> ''"
		" ORDER BY id",
		take_echo_backend, e);
}

static void point_to_lists(struct haproxy_model *m)
{
	struct render_model *r = &m->render;

	r->sticky = m->sticky.items;
	r->sticky_count = m->sticky.count;
	r->headers = m->headers.items;
	r->header_count = m->headers.count;
	r->request_deny = m->request_deny.items;
	r->request_deny_count = m->request_deny.count;
	r->request_allow = m->request_allow.items;
	r->request_allow_count = m->request_allow.count;
	r->response_deny = m->response_deny.items;
	r->response_deny_count = m->response_deny.count;
	r->response_allow = m->response_allow.items;
	r->response_allow_count = m->response_allow.count;
	r->backends = (const struct render_backend *)(const void *)m->backends.data;
	r->backend_count = m->backends.len / sizeof(struct render_backend);
	r->internal = (const struct render_backend *)(const void *)m->internal.data;
	r->internal_count = m->internal.len / sizeof(struct render_backend);
	r->nodes = (const struct render_node *)(const void *)m->nodes.data;
	r->node_count = m->nodes.len / sizeof(struct render_node);
}

int haproxy_model_init(struct haproxy_model *m, struct control *c, struct json_object *options,
	uint64_t gen, struct errtext *e)
{
	*m = (struct haproxy_model){.render = {.gen = gen}};
	int error = take_config(m, c, e);

	if (!error)
		error = take_options(m, options, e);
	if (!error)
		error = take_store(m, c, e);
	point_to_lists(m);
	if (error)
		haproxy_model_fini(m);
	return error;
}
