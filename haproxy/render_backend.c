/*
 * One backend per (upstream, egress). The server `out` has weight 0, so that balancing never picks it;
 * use-server names it. If it is down, HAProxy falls back to balancing, which finds only the `again`
 * servers: never another account's address.
 */
#include "common/seam.h"
#include "common/statefile.h"
#include "haproxy/render_node.h"
#include "haproxy/render_parts.h"
#include "haproxy/render_text.h"

#include <arpa/inet.h>
#include <inttypes.h>

#define SMALL_BODY 47000 /* bytes; fits in the buffer of every `haproxy render --replay-body` */
#define SMALL_BODY_WAIT_S 5

bool render_backend_needs_dns(const struct render_backend *k)
{
	if (k->egress == RENDER_EGRESS_NODE)
		return false;
	return !render_host_is_numeric(k->host) && !render_host_is_loopback(k->host);
}

uint64_t render_backend_timeout_ms(const struct render_backend *k)
{
	return k->first_byte_timeout_ms ? k->first_byte_timeout_ms : RENDER_SERVER_TIMEOUT_MS;
}

/* The address family of this egress. SOCKS4 supports IPv4 only. */
static bool is_v6_egress(const struct render_backend *k)
{
	return k->egress == RENDER_EGRESS_SOURCE && render_host_is_v6(k->egress_address);
}

static void append_address(
	const struct render_model *m, const struct render_backend *k, struct buffer *b)
{
	if (k->egress == RENDER_EGRESS_NODE)
		render_own_server(m, k->egress_address, b);
	else if (render_host_is_loopback(k->host))
		buffer_printf(b, "%s:%u", is_v6_egress(k) ? "[::1]" : "127.0.0.1", k->port);
	else if (render_host_is_v6(k->host))
		buffer_printf(b, "[%s]:%u", k->host, k->port);
	else
		buffer_printf(b, "%s:%u", k->host, k->port);
}

static void append_egress(const struct render_backend *k, struct buffer *b)
{
	switch (k->egress) {
	case RENDER_EGRESS_DIRECT:
	case RENDER_EGRESS_NODE:
		break;
	case RENDER_EGRESS_SOURCE:
		buffer_printf(
			b, is_v6_egress(k) ? " source [%s]" : " source %s", k->egress_address);
		break;
	case RENDER_EGRESS_SOCKS4:
		buffer_printf(b, " socks4 %s", k->egress_address);
		break;
	}
}

/* Of a server with TLS. Without TLS there is no choice: an upstream speaks HTTP/2 if it is switched on. */
enum protocol {
	PROTOCOL_CHOSEN, /* by the upstream, if HTTP/2 is switched on */
	PROTOCOL_HTTP1,
};

/*
 * HAProxy compares DNS names, never the IP addresses in a certificate. So for a numeric host the
 * operator's CA file is the only check. Without one the certificate must name the host, which public CAs
 * do not do: the connection is refused.
 */
static void append_tls(const struct render_backend *k, enum protocol protocol, struct buffer *b)
{
	bool numeric = render_host_is_numeric(k->host);

	if (!k->tls)
		return;
	buffer_printf(b, " ssl verify required alpn %shttp/1.1 ca-file ",
		protocol == PROTOCOL_CHOSEN && k->http2 ? "h2," : "");
	if (k->ca_file)
		render_word(b, k->ca_file);
	else
		buffer_append_str(b, "\"${" RENDER_SYSTEM_CA_ENV "}\"");
	if (!numeric)
		buffer_printf(b, " sni str(%s)", k->host);
	if (!numeric || !k->ca_file)
		buffer_printf(b, " verifyhost %s", k->host);
}

static void append_http2(const struct render_backend *k, struct buffer *b)
{
	if (!k->http2)
		return;
	if (!k->tls)
		buffer_append_str(b, " proto h2");
	if (k->websocket)
		buffer_append_str(b, " ws h1");
}

static void append_server(const struct render_model *m, const struct render_backend *k,
	const char *name, const char *weight, enum protocol protocol, struct buffer *b)
{
	buffer_printf(b, "\tserver %s ", name);
	append_address(m, k, b);
	buffer_append_str(b, weight);
	append_egress(k, b);
	append_tls(k, protocol, b);
	append_http2(k, b);
	if (render_backend_needs_dns(k))
		buffer_printf(b,
			" resolvers " RENDER_RESOLVERS " init-addr last,libc,none"
			" resolve-prefer %s",
			is_v6_egress(k) ? "ipv6" : "ipv4");
}

void render_server(const struct render_model *m, const struct render_backend *k, const char *weight,
	struct buffer *b)
{
	buffer_append_str(b, "\tuse-server " SEAM_SERVER_OUT " if TRUE\n");
	append_server(m, k, SEAM_SERVER_OUT, weight, PROTOCOL_CHOSEN, b);
}

void render_host(const struct render_backend *k, struct buffer *b)
{
	buffer_append_str(b, "\thttp-request set-header Host ");
	render_word(b, k->host_header);
	buffer_append_str(b, "\n");
}

void render_server_end(const struct render_backend *k, struct buffer *b)
{
	/* the connection to a node's listener is not TCP */
	if (k->egress != RENDER_EGRESS_NODE)
		buffer_append_str(b, " tcp-ut " RENDER_UNACKNOWLEDGED);
	buffer_append_str(b, "\n");
}

/*
 * A request that the server refuses or loses moves to another account (render_again.c), once: the next
 * attempt has its own retry. render_response() handles a status that this HAProxy cannot retry on.
 */
void render_egress_defaults(const struct render_model *m, struct buffer *b)
{
	buffer_append_str(b,
		"\n# One backend per upstream and egress. HAProxy retries a failed request once, never on the\n"
		"# same server: one of the two `again` servers hands it to the frontend " SEAM_FRONTEND_AGAIN
		".\n"
		"defaults " RENDER_DEFAULTS_EGRESS " from " RENDER_DEFAULTS "\n"
		"\tbalance roundrobin\n"
		"\toption redispatch 1\n"
		"\tretries 1\n"
		".if version_atleast(3.0)\n"
		"\tretry-on conn-failure empty-response 401 403 429 503\n"
		".else\n"
		"\tretry-on conn-failure empty-response 401 403 503\n"
		".endif\n");
	render_request_headers(m, b);
	render_close_own_connection(b);
	render_credential(b);
	render_extra_headers(m, b);
	render_retry_rule(m, b);
}

/*
 * A check opens and closes a connection every ten seconds for each (upstream, egress): it detects a lost
 * address and costs no request. Behind a node the check includes TLS, because our listener for the node
 * always answers. Every two seconds an agent-check, usually on loopback, fetches the state and the reason
 * for the stats page.
 */
static void append_checks(
	const struct render_model *m, const struct render_backend *k, struct buffer *b)
{
	char host[INET6_ADDRSTRLEN];

	buffer_append_str(b, " check inter 10s fall 3 rise 1");
	if (k->egress == RENDER_EGRESS_NODE)
		buffer_printf(b, " check-sni %s", k->host);
	else if (k->tls)
		buffer_append_str(b, " no-check-ssl");
	if (k->egress == RENDER_EGRESS_SOCKS4)
		buffer_append_str(b, " check-via-socks4");
	if (!m->check)
		return;
	bool v6 = m->check->u.sa.sa_family == AF_INET6;
	const void *address = v6 ? (const void *)&m->check->u.in6.sin6_addr
				 : (const void *)&m->check->u.in.sin_addr;
	uint16_t port = ntohs(v6 ? m->check->u.in6.sin6_port : m->check->u.in.sin_port);
	inet_ntop(v6 ? AF_INET6 : AF_INET, address, host, sizeof(host));
	buffer_printf(b,
		" agent-check agent-addr %s agent-port %u agent-inter 2s agent-send \"%s\\n\"",
		host, port, k->name);
}

/*
 * Each further attempt times out a little earlier than the attempt around it, so that the account that
 * hangs is blamed, not the relay's internal hop.
 */
static void append_timeouts(const struct render_backend *k, struct buffer *b)
{
	uint64_t timeout = render_backend_timeout_ms(k);

	buffer_printf(b, "\thttp-request allow unless { fe_name " SEAM_FRONTEND_AGAIN " }%s\n",
		k->websocket ? " || " RENDER_IS_TUNNEL : "");
	for (unsigned attempt = 2; attempt <= STATEFILE_ATTEMPTS; attempt++)
		buffer_printf(b,
			"\thttp-request set-timeout server %" PRIu64
			"ms if { " RENDER_VAR("mark") " -m beg %u. }\n",
			timeout - timeout * (attempt - 1) / 50, attempt);
}

/*
 * Requests that stay with the server even if it is down; HAProxy connects a second time after a second
 * and then gives up. A probe does (render_backend()): it tests exactly this account and egress. HAProxy 2.6 loses a response of
 * the `again` server that arrives while it still sends the body: a large request that no other account
 * can take gets HAProxy's own error instead.
 */
static void append_persistence(const struct render_model *m, struct buffer *b)
{
	buffer_printf(b,
		".if version_before(3.0)\n"
		"\tforce-persist if !{ " RENDER_ALT " -m bool } { req.body_size gt %d }\n"
		".endif\n",
		render_replay_body_max(m));
}

/*
 * HAProxy reads errors and events only if they are not compressed, and compression delays the first words
 * of a stream.
 */
static void append_encoding(const struct provider *p, struct buffer *b)
{
	if (!p->generation_paths)
		return;
	buffer_append_str(b,
		"\thttp-request set-header Accept-Encoding identity if { method POST } { path -m end");
	for (size_t i = 0; p->generation_paths[i]; i++)
		buffer_printf(b, " %s", p->generation_paths[i]);
	buffer_append_str(b, " }\n");
}

/*
 * HAProxy 2.6 has no other way to a new connection than a server that keeps none (append_own_connection()
 * in render_again.c). Neither have later versions with HTTP/2, which has no `Connection: close`: other requests
 * could share the connection.
 */
static void append_if_fresh(const struct render_backend *k, struct buffer *b)
{
	if (!k->http2)
		buffer_append_str(b, ".if version_before(3.0)\n");
}

static void append_end_fresh(const struct render_backend *k, struct buffer *b)
{
	if (!k->http2)
		buffer_append_str(b, ".endif\n");
}

static void append_use_fresh(const struct render_backend *k, struct buffer *b)
{
	append_if_fresh(k, b);
	buffer_append_str(b,
		"\tuse-server " SEAM_SERVER_FRESH " if { fe_name " SEAM_FRONTEND_AGAIN
		" } { " RENDER_VAR("fresh") " -m bool } || { fe_name " SEAM_FRONTEND_AGAIN
					    " } !{ " RENDER_ALT " -m bool }\n");
	append_end_fresh(k, b);
}

static void append_fresh(
	const struct render_model *m, const struct render_backend *k, struct buffer *b)
{
	append_if_fresh(k, b);
	append_server(m, k, SEAM_SERVER_FRESH, " weight 0", PROTOCOL_HTTP1, b);
	buffer_printf(b, " track %s/" SEAM_SERVER_OUT " pool-max-conn 0", k->name);
	render_server_end(k, b);
	append_end_fresh(k, b);
}

/* What each request needs. */
static void append_request(const struct render_backend *k, struct buffer *b)
{
	/* If it is down, the request goes straight to a further attempt: do not retry that one. */
	buffer_append_str(
		b, "\thttp-request disable-l7-retry unless { srv_is_up(" SEAM_SERVER_OUT ") }\n");
	append_encoding(k->provider, b);
	render_host(k, b);
	if (k->first_byte_timeout_ms)
		buffer_printf(b, "\ttimeout server %" PRIu64 "ms\n", k->first_byte_timeout_ms);
}

static void append_answer(const struct render_backend *k, struct buffer *b)
{
	/* also of a further attempt, which passes it on */
	render_answer_id(k->provider, b);
	buffer_append_str(
		b, "\thttp-response allow if { srv_name -m beg " SEAM_SERVER_AGAIN " }\n");
	render_location(k, b);
	render_limits(k->provider, b);
}

#define KEPT_CONNECTIONS " pool-max-conn 100 pool-purge-delay 1s"

/*
 * The second backend, for first attempts without another account. HAProxy takes an empty answer back if the
 * agent thinks that the upstream may have closed an idle connection, and no other answer: the client gets
 * that. It always has these requests, so that its connections are not mixed with those of the first.
 */
static void append_once(
	const struct render_model *m, const struct render_backend *k, struct buffer *b)
{
	buffer_printf(b,
		"\nbackend %s" SEAM_BACKEND_ONCE " from " RENDER_DEFAULTS_EGRESS "\n"
		"\tretry-on conn-failure empty-response\n",
		k->name);
	render_reused(b, "{ " RENDER_VAR("resend") " -m bool }");
	append_request(k, b);
	render_tunnel_request(k, b);
	append_answer(k, b);
	append_persistence(m, b);
	render_server(m, k, " weight 0", b);
	buffer_printf(b, " track %s/" SEAM_SERVER_OUT KEPT_CONNECTIONS, k->name);
	render_server_end(k, b);
	render_again_servers(m, b);
}

void render_backend(const struct render_model *m, const struct render_backend *k, struct buffer *b)
{
	buffer_printf(b, "\nbackend %s from " RENDER_DEFAULTS_EGRESS "\n", k->name);
	render_failed(k, b);
	append_request(k, b);
	append_timeouts(k, b);
	render_tunnel_request(k, b);
	append_answer(k, b);
	buffer_append_str(b, "\tforce-persist if { fe_name " SEAM_FRONTEND_INTERNAL " }\n");
	append_persistence(m, b);
	append_use_fresh(k, b);
	render_server(m, k, " weight 0", b);
	append_checks(m, k, b);
	buffer_append_str(b, KEPT_CONNECTIONS);
	render_server_end(k, b);
	append_fresh(m, k, b);
	render_again_servers(m, b);
	append_once(m, k, b);
}

/*
 * An answer before the end of the body resets the stream of HTTP/2, and some clients lose the answer then.
 * A refused client that announces a small body and does not send it gets 408.
 */
static void append_wait_for_small_body(struct buffer *b)
{
	buffer_printf(b,
		"\t# HTTP/2: an answer before the end of the body may get lost. Wait for a small one.\n"
		"\thttp-request wait-for-body time %ds at-least %d"
		" if { fc_http_major 2 } { req.hdr_val(content-length) le %d }\n",
		SMALL_BODY_WAIT_S, SMALL_BODY, SMALL_BODY);
}

/*
 * Requests without a backend in this process. The rules are here and not in the frontend, so that a
 * forwarded request passes none of them. The last one has no condition: nothing gets through.
 */
void render_black_hole(struct buffer *b)
{
	buffer_append_str(b,
		"\n# Requests that are not forwarded end here: this backend has no server.\n"
		"backend " RENDER_BLACK_HOLE " from " RENDER_DEFAULTS "\n");
	render_allowed(b);
	append_wait_for_small_body(b);
	buffer_append_str(b, "\t# A request of control that names no backend of this process.\n");
	render_refusal(b, REFUSAL_NO_ACCOUNT, "if { fe_name " SEAM_FRONTEND_INTERNAL " }");
	render_agent_answers(b);
	render_denials(b);
	buffer_append_str(b, "\t# This process lacks the chosen backend.\n");
	render_refusal(b, REFUSAL_NO_ACCOUNT, "if relay_allowed");
	buffer_append_str(
		b, "\t# No decision: the client closed its side, or the agent is to blame.\n");
	render_refusal(b, REFUSAL_BAD_REQUEST, "if " RENDER_INTERRUPTED);
	render_refusal(b, REFUSAL_AGENT_UNAVAILABLE, "");
}

void render_track(const struct render_model *m, struct buffer *b)
{
	buffer_append_str(b,
		"\n# Requests in progress by `tenant|key|account`.\n"
		"backend " RENDER_TRACK " from " RENDER_DEFAULTS "\n"
		"\tstick-table type string len 64 size 100k expire 1m store conn_cur\n");
	render_tunnel_table(m, b);
}
