/*
 * One backend per (upstream, egress). Its only server has weight 0, so that balancing never picks it,
 * and is named by use-server: when it cannot be used, nothing else is (HAPROXY.md 17).
 */
#include "common/seam.h"
#include "haproxy/render_parts.h"
#include "haproxy/render_text.h"

#include <inttypes.h>

bool render_backend_needs_dns(const struct render_backend *k)
{
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

static void append_address(const struct render_backend *k, struct buffer *b)
{
	if (render_host_is_loopback(k->host))
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

void render_server(const struct render_backend *k, struct buffer *b)
{
	buffer_append_str(b, "\thttp-request set-header Host ");
	render_word(b, k->host_header);
	buffer_append_str(
		b, "\n\tuse-server " SEAM_SERVER_OUT " if TRUE\n\tserver " SEAM_SERVER_OUT " ");
	append_address(k, b);
	buffer_append_str(b, " weight 0");
	append_egress(k, b);
	append_tls(k, b);
	if (render_backend_needs_dns(k))
		buffer_printf(b,
			" resolvers " RENDER_RESOLVERS " init-addr last,libc,none"
			" resolve-prefer %s",
			is_v6_egress(k) ? "ipv6" : "ipv4");
}

void render_backend(const struct render_backend *k, struct buffer *b)
{
	buffer_printf(b, "\nbackend %s from " RENDER_DEFAULTS "\n", k->name);
	if (k->first_byte_timeout_ms)
		buffer_printf(b, "\ttimeout server %" PRIu64 "ms\n", k->first_byte_timeout_ms);
	render_server(k, b);
	buffer_append_str(b, " pool-max-conn 100 pool-purge-delay 90s\n");
}

void render_black_hole(struct buffer *b)
{
	buffer_append_str(b,
		"\n# A backend that this process lacks: it has no server, so nothing can leave.\n"
		"backend " RENDER_BLACK_HOLE " from " RENDER_DEFAULTS "\n");
	render_refusal(b, REFUSAL_NO_ACCOUNT, "");
}

void render_track(struct buffer *b)
{
	buffer_append_str(b,
		"\n# `tenant|key|account` of what is in progress.\n"
		"backend " RENDER_TRACK " from " RENDER_DEFAULTS "\n"
		"\tstick-table type string len 64 size 100k expire 1m store conn_cur\n");
}
