#include "haproxy/render.h"

#include "common/seam.h"
#include "haproxy/render_node.h"
#include "haproxy/render_parts.h"
#include "haproxy/render_text.h"

#include <inttypes.h>

/* Added to the longest silence of an upstream, so that the upstream's timeout comes first. */
#define CLIENT_TIMEOUT_EXTRA_MS 30000u

static void append_head(const struct render_model *m, struct buffer *b)
{
	buffer_printf(b,
		"# Rendered by spoa-relay, generation %" PRIu64
		". Do not edit: the next rendering overwrites it.\n",
		m->gen);
	buffer_printf(b,
		"#\n"
		"# Load it after your own configuration:\n"
		"#   haproxy -W -f /etc/haproxy/haproxy.cfg -f %s/" RENDER_CFG_NAME "\n"
		"# Always use -W (master-worker): without it a reload of HAProxy 2.6 cuts all streams in\n"
		"# progress. With systemd the drop-in spoa-relay.conf adds the second -f.\n"
		"#\n"
		"# HAProxy merges `global` sections. Your own file sets user, group, chroot, maxconn,\n"
		"# nbthread, ssl-default-bind-* and ca-base.\n"
		"# `bind` lines have paths as root sees them, `server` lines as HAProxy sees them in its\n"
		"# chroot (`relayadm haproxy render --chroot`).\n"
		"# In a file loaded after this one each proxy must name its `defaults` with `from`.\n",
		m->output_dir);
}

/* 2.6 reads `@system-ca` as the name of a file in the user's ca-base. */
static void append_system_ca(const struct render_model *m, struct buffer *b)
{
	bool needed = false;

	for (size_t i = 0; i < m->backend_count; i++)
		needed |= m->backends[i].tls && !m->backends[i].ca_file;
	for (size_t i = 0; i < m->internal_count; i++)
		needed |= m->internal[i].tls && !m->internal[i].ca_file;
	if (!needed)
		return;
	buffer_append_str(b,
		"\t# CA certificates of the system. To use others, set this in HAProxy's environment.\n"
		".if version_before(3.0)\n"
		"\tpresetenv " RENDER_SYSTEM_CA_ENV " /etc/ssl/certs/ca-certificates.crt\n"
		".else\n"
		"\tpresetenv " RENDER_SYSTEM_CA_ENV " @system-ca\n"
		".endif\n");
}

static void append_global(const struct render_model *m, struct buffer *b)
{
	buffer_append_str(b, "\nglobal\n");
	render_buffers(m, b);
	append_system_ca(m, b);
	buffer_printf(b,
		"\t# Of this process: the number of its configuration, and when it started.\n"
		"\tset-var proc." SEAM_PROC_GEN " int(%" PRIu64 ")\n"
		"\tset-var proc." SEAM_PROC_WORKER " date(0,us)\n",
		m->gen);
	if (m->secret) {
		buffer_append_str(b, "\tsetenv " SEAM_SECRET_ENV " ");
		render_word(b, m->secret);
		buffer_append_str(b, "\n");
	}
	if (m->admin_socket && m->admin_socket[0]) {
		buffer_append_str(b, "\tstats socket ");
		render_word(b, m->admin_socket);
		buffer_append_str(b, " mode 660 level admin");
		if (m->admin_group && m->admin_group[0])
			buffer_printf(b, " group %s", m->admin_group);
		buffer_append_str(b, "\n");
	}
}

static uint64_t client_timeout_ms(const struct render_model *m)
{
	uint64_t longest = RENDER_SERVER_TIMEOUT_MS;

	for (size_t i = 0; i < m->backend_count; i++) {
		uint64_t timeout = render_backend_timeout_ms(&m->backends[i]);
		if (timeout > longest)
			longest = timeout;
	}
	return longest + CLIENT_TIMEOUT_EXTRA_MS;
}

static void append_defaults(const struct render_model *m, struct buffer *b)
{
	buffer_printf(b,
		"\ndefaults " RENDER_DEFAULTS "\n"
		"\tmode http\n"
		"\ttimeout connect 7s\n"
		"\t# `timeout server` bounds the wait for the first byte and every later silence. The\n"
		"\t# client's timeout is longer, so a silent upstream is reported as such.\n"
		"\ttimeout server %ums\n"
		"\ttimeout client %" PRIu64 "ms\n"
		"\ttimeout http-request 30s\n"
		"\t# A reload closes a client's idle connection only after a response, so that no request\n"
		"\t# meets a reset. An old process lives that long after a reload.\n"
		"\toption idle-close-on-response\n"
		"\ttimeout http-keep-alive 60s\n"
		"\ttimeout queue 10s\n"
		"\ttimeout tunnel 1h\n"
		"\t# Forward each event of a stream at once; end the upstream request when its client\n"
		"\t# disconnects.\n"
		"\toption http-no-delay\n"
		"\toption abortonclose\n"
		"\toption dontlognull\n"
		"\toption clitcpka\n"
		"\toption srvtcpka\n"
		"\tclitcpka-idle 30s\n"
		"\tsrvtcpka-idle 30s\n"
		"\tretries 0\n"
		"\t# Any request may reuse any idle connection: a backend has one upstream, each request\n"
		"\t# carries its credential, and HAProxy notices at once when the upstream closes.\n"
		"\thttp-reuse always\n"
		"\t# The header policy does not see trailers.\n"
		".if version_atleast(3.2)\n"
		"\toption http-drop-request-trailers\n"
		"\toption http-drop-response-trailers\n"
		".endif\n",
		RENDER_SERVER_TIMEOUT_MS, client_timeout_ms(m));
}

static void append_resolvers(const struct render_model *m, struct buffer *b)
{
	bool needed = false;

	for (size_t i = 0; i < m->backend_count; i++)
		needed |= render_backend_needs_dns(&m->backends[i]);
	for (size_t i = 0; i < m->internal_count; i++)
		needed |= render_backend_needs_dns(&m->internal[i]);
	for (size_t i = 0; i < m->node_count; i++)
		needed |= render_node_needs_dns(&m->nodes[i]);
	if (!needed)
		return;
	buffer_append_str(b,
		"\n# HAProxy resolves the names of upstreams while it runs, and starts without DNS.\n"
		"resolvers " RENDER_RESOLVERS "\n"
		"\tparse-resolv-conf\n"
		"\taccepted_payload_size 8192\n"
		"\tresolve_retries 3\n"
		"\ttimeout resolve 1s\n"
		"\ttimeout retry 1s\n"
		"\thold valid 10s\n"
		"\thold obsolete 30s\n");
}

int render_config(const struct render_model *m, struct buffer *cfg, struct errtext *e)
{
	int error = render_check_model(m, e);

	if (error)
		return error;
	append_head(m, cfg);
	append_global(m, cfg);
	append_resolvers(m, cfg);
	render_agent_backend(m, cfg);
	append_defaults(m, cfg);
	render_frontend(m, cfg);
	render_again(m, cfg);
	render_internal(m, cfg);
	render_black_hole(cfg);
	render_track(m, cfg);
	render_egress_defaults(m, cfg);
	for (size_t i = 0; i < m->backend_count; i++)
		render_backend(m, &m->backends[i], cfg);
	for (size_t i = 0; i < m->internal_count; i++)
		render_internal_backend(m, &m->internal[i], cfg);
	render_nodes(m, client_timeout_ms(m), cfg);
	render_stats(m, cfg);
	return buffer_error(cfg) ? errtext_set(e, buffer_error(cfg), "out of memory") : 0;
}
