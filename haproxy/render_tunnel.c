/*
 * WebSockets. The header policy removes `Connection` and `Upgrade` of every request and response; here they come
 * back for an upgrade that the agent has allowed. A stick table holds the tunnels in progress, so that control can
 * end those of a key that is no longer valid (tunnels.h).
 */
#include "common/seam.h"
#include "haproxy/render_parts.h"
#include "haproxy/tunnels.h"

#include <string.h>

#define TUNNEL "txn." SEAM_VAR_PREFIX ".tunnel"
#define IF_TUNNEL " if " RENDER_IS_TUNNEL

/* `number`: of the stream in its process, which 2.6 does not tell. */
#define STREAM(number)                                                                             \
	"\thttp-request set-var-fmt(txn.rly.tunnel) \"%[var(" TUNNEL                               \
	")]|%[fc_src]:%[fc_src_port]" number "\"" IF_TUNNEL " { fe_name " SEAM_FRONTEND " }\n"

bool render_has_tunnels(const struct render_model *m)
{
	for (size_t i = 0; i < m->backend_count; i++) {
		if (m->backends[i].websocket)
			return true;
	}
	return false;
}

void render_tunnel_again(const struct render_model *m, struct buffer *b)
{
	if (render_has_tunnels(m))
		buffer_append_str(b,
			"\t# Only a WebSocket that the agent has allowed still has this header.\n"
			"\thttp-request set-var(" TUNNEL ") str(again)"
			" if { req.hdr(upgrade) -m found }\n");
}

/* Another word takes the place: some servers refuse a list with an empty element. */
static void append_protocols(const struct provider *p, struct buffer *b)
{
	for (size_t i = 0; p->protocol_prefixes && p->protocol_prefixes[i]; i++) {
		size_t n = strcspn(p->protocol_prefixes[i], ".");
		buffer_printf(b,
			"\thttp-request replace-value Sec-WebSocket-Protocol '^%.*s[.].*$' relay" IF_TUNNEL
			"\n",
			(int)n, p->protocol_prefixes[i]);
	}
}

/*
 * HAProxy hands a client's half-close on to the server, and most servers close then. One that does not holds the
 * stream until `timeout tunnel`, and from 3.0 on neither other timeouts nor `shutdown session` end it. With `nolinger`
 * HAProxy closes the server's side at once instead.
 */
void render_tunnel_request(const struct render_backend *k, struct buffer *b)
{
	if (!k->websocket)
		return;
	buffer_append_str(b,
		"\t# When a client closes its side of a WebSocket, close the upstream's side at once.\n"
		"\toption nolinger\n"
		"\t# A WebSocket. The table tells whose it is, and which of HAProxy's streams.\n"
		"\thttp-request set-header Connection Upgrade" IF_TUNNEL "\n"
		"\thttp-request set-header Upgrade websocket" IF_TUNNEL "\n"
		".if version_atleast(3.0)\n" STREAM("|%[txn.id32]") ".else\n" STREAM(
			"") ".endif\n"
			    "\thttp-request track-sc1 var(txn.rly.tunnel) table " TUNNELS_TABLE
			    " if { var(txn.rly.tunnel) -m found }\n");
	append_protocols(k->provider, b);
}

void render_tunnel_response(const struct render_model *m, struct buffer *b)
{
	if (render_has_tunnels(m))
		buffer_append_str(
			b, "\thttp-response set-header Upgrade websocket if { status 101 }\n");
}

void render_tunnel_table(const struct render_model *m, struct buffer *b)
{
	if (render_has_tunnels(m))
		buffer_append_str(b,
			"\n# WebSockets in progress by `tenant|key|account|client|address of the connection|stream`.\n"
			"backend " TUNNELS_TABLE " from " RENDER_DEFAULTS "\n"
			"\tstick-table type string len 160 size 100k expire 1m store conn_cur\n");
}
