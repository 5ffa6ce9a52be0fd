#include "haproxy/render_node.h"

#include "haproxy/render_parts.h"
#include "haproxy/render_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define NODE_DEFAULTS "relay-node-defaults"
/* Less than the 7 s of the backend that uses the node, so that the node is reported as failed. */
#define NODE_CONNECT_S 5

static int check_node(const struct render_node *n, struct errtext *e)
{
	int error = render_check_name("node", n->name, e);

	if (!error)
		error = render_check_host("host", n->host, e);
	if (!error && n->port == 0)
		error = errtext_set(e, -EINVAL, "port 0 cannot be connected to");
	if (!error)
		error = render_check_path("certificate", n->cert, e);
	if (!error)
		error = render_check_path("CA file", n->ca_file, e);
	return error ? errtext_prefix(e, error, "egress node %s", n->name) : 0;
}

int render_node_check_all(const struct render_model *m, struct errtext *e)
{
	for (size_t i = 0; i < m->node_count; i++) {
		const struct render_node *n = &m->nodes[i];
		int error = check_node(n, e);
		if (error)
			return error;
		for (size_t k = 0; k < i; k++) {
			if (strcmp(n->name, m->nodes[k].name) == 0)
				return errtext_set(
					e, -EINVAL, "two egress nodes are named %s", n->name);
		}
	}
	return 0;
}

static const struct render_node *find_node(const struct render_model *m, const char *name)
{
	for (size_t i = 0; i < m->node_count; i++) {
		if (strcmp(m->nodes[i].name, name) == 0)
			return &m->nodes[i];
	}
	return NULL;
}

/* A node finds the upstream by its SNI, and would see plain text. */
int render_node_check_backend(
	const struct render_model *m, const struct render_backend *k, struct errtext *e)
{
	if (!find_node(m, k->egress_address))
		return errtext_set(e, -EINVAL, "there is no egress node %s", k->egress_address);
	if (!k->tls)
		return errtext_set(e, -EINVAL,
			"%s is plain HTTP, which an egress node would see: https is needed",
			k->host);
	if (render_host_is_numeric(k->host))
		return errtext_set(
			e, -EINVAL, "%s is an address, but an egress node needs a name", k->host);
	return 0;
}

bool render_node_needs_dns(const struct render_node *n)
{
	return !render_host_is_numeric(n->host) && !render_host_is_loopback(n->host);
}

/* HAProxy never compares addresses in a certificate: for those the operator's CA is the only check. */
static void append_node(const struct render_model *m, const struct render_node *n, struct buffer *b)
{
	bool v6 = render_host_is_v6(n->host);

	buffer_printf(b, "\nlisten %s from " NODE_DEFAULTS "\n\tbind ", n->name);
	render_own_bind(m, n->name, b);
	buffer_printf(b,
		"\n\tserver node %s%s%s:%u tcp-ut " RENDER_UNACKNOWLEDGED
		" ssl ssl-min-ver TLSv1.2 verify required crt ",
		v6 ? "[" : "", render_host_is_loopback(n->host) ? "127.0.0.1" : n->host,
		v6 ? "]" : "", n->port);
	render_word(b, n->cert);
	buffer_append_str(b, " ca-file ");
	render_word(b, n->ca_file);
	if (!render_host_is_numeric(n->host))
		buffer_printf(b, " verifyhost %s", n->host);
	if (render_node_needs_dns(n))
		buffer_append_str(b, " resolvers " RENDER_RESOLVERS " init-addr last,libc,none");
	buffer_append_str(b, "\n");
}

void render_nodes(const struct render_model *m, uint64_t silence_ms, struct buffer *b)
{
	if (m->node_count == 0)
		return;
	buffer_printf(b,
		"\n# Remote egress nodes. TLS with the upstream runs inside TLS with the node, so the node\n"
		"# sees a name and encrypted bytes. These listeners serve the backends above.\n"
		"defaults " NODE_DEFAULTS "\n"
		"\tmode tcp\n"
		"\tretries 0\n"
		"\ttimeout connect %us\n"
		"\ttimeout client %" PRIu64 "ms\n"
		"\ttimeout server %" PRIu64 "ms\n"
		"\toption srvtcpka\n"
		"\tsrvtcpka-idle 30s\n",
		NODE_CONNECT_S, silence_ms, silence_ms);
	for (size_t i = 0; i < m->node_count; i++)
		append_node(m, &m->nodes[i], b);
}
