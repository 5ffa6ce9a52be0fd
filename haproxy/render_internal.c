/*
 * The internal frontend: requests of the control process (token refresh, probes, egress checks) use the
 * same HAProxy and the same addresses as requests of clients. The mode of the socket limits its users.
 */
#include "common/seam.h"
#include "haproxy/render_parts.h"
#include "haproxy/render_text.h"

#include <inttypes.h>

#define PROBED "{ var(txn.rly.probe) -m found }"
#define WANTED "var(txn.rly.backend)"

static bool has_internal(const struct render_model *m)
{
	return m->internal_socket && m->internal_socket[0];
}

static void append_bind(const struct render_model *m, struct buffer *b)
{
	struct buffer address = {0};

	buffer_printf(&address, "unix@%s", m->internal_socket);
	buffer_append_str(b, "\tbind ");
	render_word(b, buffer_str(&address));
	if (m->internal_uid != RENDER_UID_NONE)
		buffer_printf(b, " mode 600 uid %" PRIu32, m->internal_uid);
	else if (m->admin_group && m->admin_group[0])
		buffer_printf(b, " mode 660 group %s", m->admin_group);
	else
		buffer_append_str(b, " mode 600");
	buffer_append_str(b, "\n\toption http-buffer-request\n");
	if (buffer_error(&address))
		b->error = buffer_error(&address);
	buffer_fini(&address);
}

static void append_probe(struct buffer *b)
{
	buffer_append_str(b,
		"\n\t# A probe names an account: the agent chooses the egress and the credential. Other\n"
		"\t# requests name a backend and bring what they need; they leave no end record.\n"
		"\thttp-request set-var(txn.rly.probe) req.fhdr(" SEAM_HEADER_ACCOUNT ")\n"
		"\thttp-request set-var(txn.rly.backend) req.fhdr(" SEAM_HEADER_BACKEND ")\n"
		"\thttp-request set-log-level silent unless " PROBED "\n");
	render_ask(SEAM_MSG_PROBE, PROBED, b);
	render_ask_again(SEAM_MSG_PROBE, PROBED, b);
	buffer_append_str(b, "\thttp-request del-header x-relay- -m beg\n");
	render_denials(b);
	render_refusal(b, REFUSAL_AGENT_UNAVAILABLE, "if " PROBED " !relay_allowed");
}

void render_internal(const struct render_model *m, struct buffer *b)
{
	if (!has_internal(m))
		return;
	buffer_append_str(b, "\nfrontend " SEAM_FRONTEND_INTERNAL " from " RENDER_DEFAULTS "\n");
	append_bind(m, b);
	render_log(m, b);
	render_new_id(m, b);
	render_engine(m, SEAM_ENGINE, b);
	render_own_errors(b);
	render_allowed(b);
	render_error_shapes(b, RENDER_PATHS_UPSTREAM);
	append_probe(b);
	render_tracking(b);
	buffer_append_str(b,
		"\n\t# A probe is about one account: never try another. It uses a new connection, so that\n"
		"\t# its end is always reported.\n"
		"\thttp-request disable-l7-retry\n"
		".if version_atleast(3.0)\n");
	render_own_connection(b, "if " PROBED);
	buffer_append_str(b,
		".endif\n"
		"\thttp-response del-header x-relay- -m beg unless"
		" { srv_name -m beg " SEAM_SERVER_AGAIN " }\n");
	render_after_response(b);
	buffer_append_str(b,
		"\n\tuse_backend %[" RENDER_BACKEND_NAME "] if " RENDER_HAS_BACKEND "\n"
		"\tuse_backend %[" WANTED "] if !" PROBED " { " WANTED
		" -m reg '^(t[0-9]+|c)-e[0-9]+$' }\n"
		"\tdefault_backend " RENDER_BLACK_HOLE "\n");
}

/* Each request gets a new connection and is sent at most once: refresh tokens are single-use. */
void render_internal_backend(
	const struct render_model *m, const struct render_backend *k, struct buffer *b)
{
	buffer_printf(b,
		"\nbackend %s from " RENDER_DEFAULTS "\n"
		"\ttimeout server %ums\n"
		"\tretries 0\n"
		"\thttp-reuse never\n",
		k->name, RENDER_INTERNAL_TIMEOUT_MS);
	render_host(k, b);
	/* the only server of its backend: it may have a weight, and the stats page shows it as up */
	render_server(m, k, "", b);
	render_server_end(k, b);
}
