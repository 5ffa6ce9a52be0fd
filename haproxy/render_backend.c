/*
 * One backend per (upstream, egress). The server that leads out has weight 0, so that balancing never
 * picks it, and is named by use-server: no other backend's address can take its place (HAPROXY.md 17).
 */
#include "common/seam.h"
#include "common/statefile.h"
#include "haproxy/render_node.h"
#include "haproxy/render_parts.h"
#include "haproxy/render_text.h"

#include <arpa/inet.h>
#include <inttypes.h>

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

/* The family that can be reached from this egress. SOCKS4 knows IPv4 only. */
static bool is_v6_egress(const struct render_backend *k)
{
	return k->egress == RENDER_EGRESS_SOURCE && render_host_is_v6(k->egress_address);
}

static void append_address(
	const struct render_model *m, const struct render_backend *k, struct buffer *b)
{
	if (k->egress == RENDER_EGRESS_NODE)
		render_own_address(m, k->egress_address, b);
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

/*
 * HAProxy compares DNS names, never the IP addresses in a certificate. So a numeric host is checked
 * against the operator's own CA alone; without one it must be named in the certificate, which public
 * CAs do not do: it fails closed.
 */
static void append_tls(const struct render_backend *k, struct buffer *b)
{
	bool numeric = render_host_is_numeric(k->host);

	if (!k->tls)
		return;
	buffer_append_str(b, " ssl verify required alpn http/1.1 ca-file ");
	if (k->ca_file)
		render_word(b, k->ca_file);
	else
		buffer_append_str(b, "\"${" RENDER_SYSTEM_CA_ENV "}\"");
	if (!numeric)
		buffer_printf(b, " sni str(%s)", k->host);
	if (!numeric || !k->ca_file)
		buffer_printf(b, " verifyhost %s", k->host);
}

void render_server(const struct render_model *m, const struct render_backend *k, const char *weight,
	struct buffer *b)
{
	buffer_append_str(b, "\thttp-request set-header Host ");
	render_word(b, k->host_header);
	buffer_append_str(
		b, "\n\tuse-server " SEAM_SERVER_OUT " if TRUE\n\tserver " SEAM_SERVER_OUT " ");
	append_address(m, k, b);
	buffer_append_str(b, weight);
	append_egress(k, b);
	append_tls(k, b);
	if (render_backend_needs_dns(k))
		buffer_printf(b,
			" resolvers " RENDER_RESOLVERS " init-addr last,libc,none"
			" resolve-prefer %s",
			is_v6_egress(k) ? "ipv6" : "ipv4");
}

void render_server_end(const struct render_backend *k, struct buffer *b)
{
	/* the connection to a node's listener is no TCP */
	if (k->egress != RENDER_EGRESS_NODE)
		buffer_append_str(b, " tcp-ut " RENDER_UNACKNOWLEDGED);
	buffer_append_str(b, "\n");
}

/*
 * What the server refuses or loses goes on to another account (render_again.c), once: the next attempt
 * takes care of itself. A status that the binary cannot retry on is dealt with by render_response().
 */
void render_egress_defaults(struct buffer *b)
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
}

/*
 * A check is a connection every ten seconds that is closed at once, from each (upstream, egress): it
 * tells an address that was lost and costs no request. Behind a node TLS is part of it: the node's
 * listener on our side always answers. The agent's word is asked for every two seconds,
 * on loopback as a rule: it shows its state and reason on the stats page.
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
 * Each attempt within an attempt gives up a little earlier than the one around it, so that the account
 * that hangs is blamed and not the relay's own hop.
 */
static void append_timeouts(const struct render_backend *k, struct buffer *b)
{
	uint64_t timeout = render_backend_timeout_ms(k);

	if (k->first_byte_timeout_ms)
		buffer_printf(b, "\ttimeout server %" PRIu64 "ms\n", timeout);
	for (unsigned attempt = 2; attempt <= STATEFILE_ATTEMPTS; attempt++)
		buffer_printf(b,
			"\thttp-request set-timeout server %" PRIu64
			"ms if { " RENDER_VAR("mark") " -m beg %u. }\n",
			timeout - timeout * (attempt - 1) / 50, attempt);
}

/*
 * Who stays with the server, also when it cannot be reached or is down: its second connection, a second
 * later, is the last. A probe wants to know of this very account and egress. And HAProxy 2.6 loses the
 * answer to a body that it is still handing over: a large request that nobody else can take gets
 * HAProxy's own.
 */
static void append_persistence(struct buffer *b)
{
	buffer_printf(b,
		"\tforce-persist if { fe_name " SEAM_FRONTEND_INTERNAL " }\n"
		".if version_before(3.0)\n"
		"\tforce-persist if !{ " RENDER_ALT " -m bool } { req.body_size gt %d }\n"
		".endif\n",
		RENDER_BUFSIZE);
}

void render_backend(const struct render_model *m, const struct render_backend *k, struct buffer *b)
{
	buffer_printf(b, "\nbackend %s from " RENDER_DEFAULTS_EGRESS "\n", k->name);
	append_timeouts(k, b);
	/* It would come to a further attempt at once, whose answer must not be taken back as well. */
	buffer_append_str(b,
		"\thttp-request disable-l7-retry unless { srv_is_up(" SEAM_SERVER_OUT ") }\n"
		"\thttp-response allow if { srv_name -m beg " SEAM_SERVER_AGAIN " }\n");
	append_persistence(b);
	render_limits(k->provider, b);
	render_server(m, k, " weight 0", b);
	append_checks(m, k, b);
	buffer_append_str(b, " pool-max-conn 100 pool-purge-delay 90s");
	render_server_end(k, b);
	render_again_servers(m, b);
}

/*
 * What is not allowed to a backend that this process has. Here and not in the frontend, so that a request
 * that goes out passes none of these rules.
 */
void render_black_hole(struct buffer *b)
{
	buffer_append_str(b,
		"\n# Requests that are not forwarded end here: this backend has no server.\n"
		"backend " RENDER_BLACK_HOLE " from " RENDER_DEFAULTS "\n");
	render_agent_answers(b);
	buffer_append_str(b, "\t# This process lacks the chosen backend.\n");
	render_refusal(b, REFUSAL_NO_ACCOUNT, "");
}

void render_track(struct buffer *b)
{
	buffer_append_str(b,
		"\n# Requests in progress by `tenant|key|account`.\n"
		"backend " RENDER_TRACK " from " RENDER_DEFAULTS "\n"
		"\tstick-table type string len 64 size 100k expire 1m store conn_cur\n");
}
