#include "admin/publish/haproxy_model.h"

#include "admin/control.h"
#include "admin/publish/haproxy_chroot.h"
#include "admin/store/hex.h"
#include "admin/store/secrets.h"
#include "admin/store/sql.h"
#include "common/callers.h"
#include "common/ip.h"
#include "common/num.h"
#include "common/seam.h"
#include "common/url.h"

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

/* The relay's group: HAProxy gives its runtime socket to it, so that control may use it. */
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

/* HAProxy's own user needs no mention: HAProxy then owns what it makes. */
static void take_users(struct render_model *r, const struct control *c)
{
	bool as_root = c->start && c->start->as_root;
	struct callers callers;

	callers_find(&c->config, as_root, &callers);
	r->haproxy_uid = callers.count == CALLERS_NONE ? RENDER_UID_NONE : callers.uid;
	r->internal_uid = as_root ? geteuid() : RENDER_UID_NONE;
	if (!as_root && callers.count == CALLERS_NONE)
		r->internal_uid = geteuid();
}

/* One of the configuration is in HAProxy's environment. */
static int take_secret(struct haproxy_model *m, const struct secrets *s, struct errtext *e)
{
	if (!s->record_is_ours)
		return 0;
	if (record_secret(slice_from_str(s->record_secret), m->render.gen, m->secret))
		return no_memory(e);
	m->render.secret = m->secret;
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
	r->id_key = c->secrets->id_key;
	r->records_have_secret = r->records.kind == ADDRESS_UDP;
	r->admin_socket = config->haproxy_admin_socket.s;
	r->admin_group = own_group(m);
	r->internal_socket = config->haproxy_internal_socket.s;
	r->socket_dir = config->haproxy_socket_dir.s;
	take_users(r, c);
	r->config = config;
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

const char *haproxy_model_output_dir(const struct config *config, struct json_object *options)
{
	const char *given = options ? option_text(options, "out") : NULL;

	if (config->haproxy_output_dir.s[0])
		return config->haproxy_output_dir.s;
	return given ? given : "";
}

const char *haproxy_model_chroot(struct json_object *options)
{
	const char *given = option_text(options, "chroot");

	return given ? given : option_text(options, HAPROXY_CHROOT_FOUND);
}

/* Without a `/` at its end; `/` is no chroot. */
static int take_chroot(struct haproxy_model *m, const char *text, struct errtext *e)
{
	struct slice path = slice_from_str(text ? text : "");

	while (path.n && path.p[path.n - 1] == '/')
		path = slice_cut(path, path.n - 1);
	if (!path.n)
		return 0;
	m->render.options.chroot = keep(m, path);
	return m->render.options.chroot ? 0 : no_memory(e);
}

static int take_options(struct haproxy_model *m, struct json_object *options, struct errtext *e)
{
	struct render_options *r = &m->render.options;
	struct json_object *flag;
	const char *cert = option_text(options, "cert");
	const char *stats = option_text(options, "stats");
	const char *replay = option_text(options, "replay_body");
	const char *out = haproxy_model_output_dir(m->render.config, options);
	int error = option_list(m, options, "bind", r->binds, RENDER_BINDS_MAX, &r->bind_count, e);

	if (!error)
		error = option_list(m, options, "trust_forwarded", r->trusted, RENDER_TRUSTED_MAX,
			&r->trusted_count, e);
	if (!error)
		error = take_chroot(m, haproxy_model_chroot(options), e);
	if (error)
		return error;
	r->cert = cert ? keep(m, slice_from_str(cert)) : NULL;
	r->stats = stats ? keep(m, slice_from_str(stats)) : NULL;
	r->replay_body = replay ? keep(m, slice_from_str(replay)) : NULL;
	r->accept_proxy = json_object_object_get_ex(options, "accept_proxy", &flag) &&
		json_object_get_boolean(flag);
	m->render.output_dir = keep(m, slice_from_str(out));
	if (!m->render.output_dir || (cert && !r->cert) || (stats && !r->stats) ||
		(replay && !r->replay_body))
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

/* What the functions need that read one row of the store. */
struct reading {
	struct haproxy_model *m;
	struct control *c;
	struct errtext *e;
};

/* A node is reached through the listener with its name. */
static const char *egress_address(struct haproxy_model *m, struct row *row)
{
	char node[NODE_NAME_SIZE];

	if (!slice_eq_str(row_text(row, "kind"), "node"))
		return keep(m, row_text(row, "address"));
	snprintf(node, sizeof(node), NODE_NAME, row_number(row, "egress"));
	return keep(m, slice_from_str(node));
}

/* `row` has the egress as the columns egress (its id), kind and address. */
static int make_backend(const struct reading *r, struct row *row, struct slice name,
	struct slice target, struct slice ca, struct render_backend *ret)
{
	struct haproxy_model *m = r->m;
	struct url url;
	int error = url_parse(target, &url, r->e);

	if (error)
		return error;
	*ret = (struct render_backend){
		.name = keep(m, name),
		.host = keep(m, slice_from_str(url.host)),
		.port = url.port,
		.tls = url.tls,
		.host_header = keep(m, slice_from_str(url.host_header)),
		.egress_address = egress_address(m, row),
	};
	if (!ret->name || !ret->host || !ret->host_header || !ret->egress_address)
		return no_memory(r->e);
	error = take_kind(row_text(row, "kind"), ret, r->e);
	return error ? error : take_ca(m, ca, ret, r->e);
}

static int take_backend(struct row *row, void *context)
{
	const struct reading *r = context;
	struct render_backend b;
	int error = make_backend(
		r, row, row_text(row, "name"), row_text(row, "url"), row_text(row, "ca_pem"), &b);

	if (error)
		return error;
	b.first_byte_timeout_ms = (uint64_t)row_number(row, "first_byte_timeout_ms");
	b.websocket = row_flag(row, "websocket");
	b.http2 = row_flag(row, "http2");
	b.prefix = keep(r->m, row_text(row, "prefix"));
	b.strip = keep(r->m, row_text(row, "strip"));
	if (!b.prefix || !b.strip)
		return no_memory(r->e);
	b.provider = provider_find(row_text(row, "provider"));
	if (!b.provider)
		return errtext_set(r->e, -EBADMSG, "backend %s: unknown provider", b.name);
	buffer_append(&r->m->backends, &b, sizeof(b));
	return 0;
}

static int take_internal(const struct reading *r, struct row *row, const char *name,
	struct slice target, struct slice ca)
{
	struct render_backend b;
	int error = make_backend(r, row, slice_from_str(name), target, ca, &b);

	if (!error)
		buffer_append(&r->m->internal, &b, sizeof(b));
	return error;
}

static int take_token_backend(struct row *row, void *context)
{
	const struct reading *r = context;
	char name[64];

	snprintf(name, sizeof(name), SEAM_BACKEND_TOKEN, row_number(row, "upstream"),
		row_number(row, "egress"));
	int error =
		take_internal(r, row, name, row_text(row, "token_url"), row_text(row, "ca_pem"));
	return error ? errtext_prefix(r->e, error, "token URL") : 0;
}

/* A node has its listener even while no backend uses the node. */
static int take_node(struct row *row, void *context)
{
	const struct reading *r = context;
	struct haproxy_model *m = r->m;
	char name[NODE_NAME_SIZE];
	struct slice address = row_text(row, "address");
	const char *colon = memrchr(address.p, ':', address.n);
	struct slice host = {address.p, colon ? (size_t)(colon - address.p) : 0};
	uint64_t port = 0;

	snprintf(name, sizeof(name), NODE_NAME, row_number(row, "id"));
	if (!host.n || num_parse_u64(slice_skip(address, host.n + 1), UINT16_MAX, &port))
		return errtext_set(r->e, -EINVAL, "egress node %s: its address is malformed", name);
	if (host.p[0] == '[' && host.n > 2)
		host = slice_cut(slice_skip(host, 1), host.n - 2);
	struct render_node n = {
		.name = keep(m, slice_from_str(name)),
		.host = keep(m, host),
		.port = (uint16_t)port,
		.cert = keep(m, row_text(row, "node_cert")),
		.ca_file = keep(m, row_text(row, "node_ca")),
	};
	if (!n.name || !n.host || !n.cert || !n.ca_file)
		return no_memory(r->e);
	buffer_append(&m->nodes, &n, sizeof(n));
	return 0;
}

/*
 * A node learns a host name and sees no content, so it needs an https endpoint with a name. An endpoint
 * that cannot be asked is left out: `egress check` reports it, and everything else is rendered.
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

static int take_echo_backend(struct row *row, void *context)
{
	const struct reading *r = context;
	const char *url = r->c->config.health_echo_url.s;
	const struct slice no_ca = {NULL, 0};
	char name[64];

	if (!can_ask_through(url, row_text(row, "kind")))
		return 0;
	snprintf(name, sizeof(name), SEAM_BACKEND_ECHO, row_number(row, "egress"));
	int error = take_internal(r, row, name, url_without_query(url), no_ca);
	return error ? errtext_prefix(r->e, error, "[health] echo_url") : 0;
}

static int take_extra(struct row *row, void *context)
{
	const struct reading *r = context;

	return add_item(r->m, &r->m->headers, row_text(row, "name"), r->e);
}

/*
 * A token request of an account leaves through the account's egresses, so the pairs are those of the
 * open backends. The token host's certificate is verified as the upstream's.
 */
static int take_store(struct haproxy_model *m, struct control *c, struct errtext *e)
{
	struct reading r = {m, c, e};
	int error = sql_each(c->store, e, take_backend, &r,
		"SELECT b.name, u.url, u.ca_pem, u.first_byte_timeout_ms, u.websocket, u.http2, g.kind, g.address,"
		" g.id AS egress, u.provider, b.prefix, b.strip FROM backends b"
		" JOIN upstreams u ON u.id = b.upstream_id"
		" JOIN egresses g ON g.id = b.egress_id WHERE b.last_gen IS NULL ORDER BY b.id",
		"");

	if (!error)
		error = sql_each(c->store, e, take_extra, &r,
			"SELECT name FROM header_slots WHERE last_gen IS NULL ORDER BY name", "");
	if (!error)
		error = sql_each(c->store, e, take_token_backend, &r,
			"SELECT DISTINCT u.id AS upstream, g.id AS egress, u.token_url, u.ca_pem,"
			" g.kind, g.address FROM backends b JOIN upstreams u ON u.id = b.upstream_id"
			" JOIN egresses g ON g.id = b.egress_id"
			" WHERE b.last_gen IS NULL AND u.token_url <> '' ORDER BY u.id, g.id",
			"");
	if (!error)
		error = sql_each(c->store, e, take_node, &r,
			"SELECT id, address, node_cert, node_ca FROM egresses"
			" WHERE kind = 'node' AND node_cert <> '' ORDER BY id",
			"");
	if (error || !c->config.health_echo_url.s[0])
		return error;
	return sql_each(c->store, e, take_echo_backend, &r,
		"SELECT id AS egress, kind, address FROM egresses"
		" WHERE kind <> 'node' OR node_cert <> '' ORDER BY id",
		"");
}

static void point_to_lists(struct haproxy_model *m)
{
	struct render_model *r = &m->render;

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
		error = take_secret(m, c->secrets, e);
	if (!error)
		error = take_options(m, options, e);
	if (!error)
		error = take_store(m, c, e);
	point_to_lists(m);
	if (error)
		haproxy_model_fini(m);
	return error;
}
