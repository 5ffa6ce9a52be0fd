#include "tests/unit/haproxy/features.h"

#include "tests/unit/haproxy/model.h"

#include <stdio.h>

#define DIR "/etc/spoa-relay/haproxy"
#define CA_FILE DIR "/ca-0123456789abcdef01234567.pem"

static struct address parsed(const char *text)
{
	struct address address;
	struct errtext e;

	assert_int_equal(address_parse(slice_from_str(text), &address, &e), 0);
	return address;
}

static struct render_backend *add_backend(struct feature_model *f, struct render_backend row)
{
	assert_true(f->m.backend_count < FEATURE_BACKENDS_MAX);
	if (!row.provider)
		row.provider = provider_at(0);
	f->backends[f->m.backend_count] = row;
	return &f->backends[f->m.backend_count++];
}

static struct render_backend https(const char *name, const char *host)
{
	return (struct render_backend){
		.name = name,
		.host = host,
		.port = 443,
		.tls = true,
		.host_header = host,
		.egress = RENDER_EGRESS_DIRECT,
	};
}

void feature_init(struct feature_model *f, const struct feature *feature)
{
	*f = (struct feature_model){0};
	config_init(&f->config);
	f->spop[0] = parsed("unix:/run/spoa-relay/agent.sock");
	f->m = (struct render_model){
		.gen = 7,
		.config = &f->config,
		.output_dir = DIR,
		.options = {.binds = {"127.0.0.1:8080"}, .bind_count = 1},
		.spop = f->spop,
		.spop_count = 1,
		.socket_dir = "/run/spoa-relay",
		.haproxy_uid = 107,
		.internal_uid = 996,
		.records = parsed("udp:127.0.0.1:8811"),
		.id_key = "a2V5IG9mIHRoZSBpZHMgb2YgYWxsIHJlcXVlc3RzICE=",
		.backends = f->backends,
		.internal = f->internal,
		.nodes = f->nodes,
	};
	add_backend(f,
		(struct render_backend){
			.name = "b1-demo-direct",
			.host = "127.0.0.1",
			.port = 9000,
			.host_header = "127.0.0.1:9000",
			.egress = RENDER_EGRESS_DIRECT,
		});
	feature->add(f);
}

static void add_nothing(struct feature_model *f)
{
	(void)f;
}

static void add_upstreams(struct feature_model *f)
{
	struct render_backend *b;

	add_backend(f, https("b2-public-direct", "api.example.com"));
	b = add_backend(f, https("b3-own-ca-direct", "api.example.org"));
	b->ca_file = CA_FILE;
	b->port = 8443;
	b->host_header = "api.example.org:8443";
	b = add_backend(f, https("b4-address-direct", "192.0.2.10"));
	b->ca_file = CA_FILE;
	add_backend(f, https("b5-address6-direct", "2001:db8::10"))->host_header = "[2001:db8::10]";
	b = add_backend(f, https("b6-plain-direct", "plain.example.com"));
	b->tls = false;
	b->port = 80;
	b = add_backend(f, https("b7-loopback-direct", "localhost"));
	b->first_byte_timeout_ms = 2000;
	b = add_backend(f, https("b8-slow-direct", "slow.example.com"));
	b->first_byte_timeout_ms = 3600000;
}

/* The region and the sharing of an egress concern the agent alone: neither is rendered. */
static void add_egresses(struct feature_model *f)
{
	static const struct {
		const char *name;
		enum render_egress egress;
		const char *address;
	} rows[] = {
		{"b2-api-four", RENDER_EGRESS_SOURCE, "192.0.2.5"},
		{"b3-api-six", RENDER_EGRESS_SOURCE, "2001:db8::5"},
		{"b4-api-socks", RENDER_EGRESS_SOCKS4, "192.0.2.80:1080"},
		{"b5-api-near", RENDER_EGRESS_NODE, "relay-node-4"},
		{"b6-api-far", RENDER_EGRESS_NODE, "relay-node-5"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct render_backend *b = add_backend(f, https(rows[i].name, "api.example.com"));
		b->egress = rows[i].egress;
		b->egress_address = rows[i].address;
	}
	f->nodes[0] = (struct render_node){"relay-node-4", "node.example.com", 8443,
		"/etc/spoa-relay/node.pem", "/etc/spoa-relay/node-ca.pem"};
	f->nodes[1] = (struct render_node){"relay-node-5", "2001:db8::7", 443,
		"/etc/spoa-relay/node.pem", "/etc/spoa-relay/node-ca.pem"};
	f->m.node_count = 2;
}

#define PROVIDERS_MAX 16

static void add_providers(struct feature_model *f)
{
	static char names[PROVIDERS_MAX][40];
	static char hosts[PROVIDERS_MAX][40];

	assert_true(provider_count() <= PROVIDERS_MAX);
	for (size_t i = 0; i < provider_count(); i++) {
		const struct provider *p = provider_at(i);
		snprintf(names[i], sizeof(names[i]), "b%zu-%s-direct", i + 2, p->name);
		snprintf(hosts[i], sizeof(hosts[i]), "%s.example.com", p->name);
		add_backend(f, https(names[i], hosts[i]))->provider = p;
	}
}

/* The store hands in the names of every live generation, so one name may come twice. */
static void add_headers(struct feature_model *f)
{
	static const char *const extra[] = {"ChatGPT-Account-ID", "X-Extra", "X-Old-Generation",
		"anthropic-version", "x-extra"};
	static const char *const deny[] = {"X-Internal-*", "X-Forwarded-Host"};
	static const char *const allow[] = {"x-forwarded-for", "x-forwarded-proto", "via"};
	static const char *const response_deny[] = {"Server-Timing", "X-Debug-*"};
	static const char *const response_allow[] = {"set-cookie"};

	f->m.headers = extra;
	f->m.header_count = 5;
	f->m.request_deny = deny;
	f->m.request_deny_count = 2;
	f->m.request_allow = allow;
	f->m.request_allow_count = 3;
	f->m.response_deny = response_deny;
	f->m.response_deny_count = 2;
	f->m.response_allow = response_allow;
	f->m.response_allow_count = 1;
}

/* The secret comes from HAProxy's environment. */
static void add_tcp_agent(struct feature_model *f)
{
	f->spop[0] = parsed("tcp:192.0.2.20:9100");
	f->spop[1] = parsed("tcp:[2001:db8::20]:9100");
	f->m.spop_count = 2;
	f->m.records = parsed("udp:192.0.2.20:8811");
	f->m.records_have_secret = true;
}

static void add_local_agent(struct feature_model *f)
{
	f->spop[0] = parsed("unix:/run/spoa-relay/spop.sock");
	f->spop[1] = parsed("tcp:127.0.0.1:9100");
	f->spop[2] = parsed("abns:spoa-relay-0123456789abcdef");
	f->m.spop_count = 3;
	f->m.records_have_secret = true;
	f->m.secret = "a$ecret#{with}%signs";
}

static void add_load_balancer(struct feature_model *f)
{
	struct render_options *o = &f->m.options;

	o->binds[0] = "*:80";
	o->binds[1] = "[2001:db8::1]:80";
	o->bind_count = 2;
	o->accept_proxy = true;
	o->trusted[0] = "10.0.0.0/8";
	o->trusted[1] = "fd00::/8";
	o->trusted_count = 2;
}

static void add_client_tls(struct feature_model *f)
{
	f->m.options.binds[0] = ":443";
	f->m.options.cert = "/etc/ssl/private/relay.pem";
}

static void add_limits(struct feature_model *f)
{
	f->config.requests_max_body = 100000;
	f->backends[0].first_byte_timeout_ms = 1200000;
}

/* What the control process and the operator use: sockets, internal requests, agent-check, stats. */
static void add_operations(struct feature_model *f)
{
	f->m.admin_socket = "/run/spoa-relay/haproxy.sock";
	f->m.admin_group = "spoa-relay";
	f->m.internal_socket = "/run/spoa-relay/haproxy-internal.sock";
	f->m.options.stats = "127.0.0.1:8404";
	f->check = parsed("tcp:127.0.0.1:9005");
	f->m.check = &f->check;
	f->internal[0] = https("t1-e1", "auth.example.com");
	f->internal[1] = https("t1-e2", "auth.example.com");
	f->internal[1].egress = RENDER_EGRESS_SOURCE;
	f->internal[1].egress_address = "192.0.2.5";
	f->internal[2] = https("c-e1", "ip.example.com");
	f->internal[3] = https("c-e3", "ip.example.com");
	f->internal[3].egress = RENDER_EGRESS_SOCKS4;
	f->internal[3].egress_address = "192.0.2.80:1080";
	f->m.internal_count = 4;
}

/* Debian's: the sockets are inside HAProxy's chroot. */
static void add_chroot(struct feature_model *f)
{
	f->m.options.chroot = "/var/lib/haproxy";
	f->m.socket_dir = "/var/lib/haproxy/relay";
	f->spop[0] = parsed("unix:/var/lib/haproxy/relay/agent.sock");
	f->m.records = parsed("unix:/var/lib/haproxy/relay/records.sock");
	f->m.internal_socket = "/var/lib/haproxy/relay/haproxy-internal.sock";
	f->nodes[0] =
		(struct render_node){"relay-node-3", "node.example.net", 8443, CA_FILE, CA_FILE};
	f->m.node_count = 1;
	struct render_backend *node = add_backend(f, https("b9-openai-node", "api.openai.com"));
	node->egress = RENDER_EGRESS_NODE;
	node->egress_address = "relay-node-3";
}

/* Two upstreams take WebSockets, one does not. */
static void add_http2(struct feature_model *f)
{
	struct render_backend *b = add_backend(f, https("b2-api-direct", "api.example.com"));

	b->http2 = true;
	b = add_backend(f, https("b3-both-direct", "api.example.org"));
	b->http2 = true;
	b->websocket = true;
	b = add_backend(f, https("b4-plain-direct", "plain.example.com"));
	b->tls = false;
	b->port = 80;
	b->http2 = true;
}

static void add_websockets(struct feature_model *f)
{
	f->backends[0].websocket = true;
	add_backend(f, https("b9-openai-direct", "api.openai.com"))->websocket = true;
	add_backend(f, https("b10-other-direct", "api.example.com"));
}

const struct feature features[FEATURE_COUNT] = {
	{"minimal", add_nothing},
	{"upstreams", add_upstreams},
	{"egresses", add_egresses},
	{"providers", add_providers},
	{"headers", add_headers},
	{"tcp-agent", add_tcp_agent},
	{"local-agent", add_local_agent},
	{"load-balancer", add_load_balancer},
	{"client-tls", add_client_tls},
	{"limits", add_limits},
	{"operations", add_operations},
	{"chroot", add_chroot},
	{"websockets", add_websockets},
	{"http2", add_http2},
};
