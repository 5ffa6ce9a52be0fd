/* Remote egress nodes: their rendering, and the backends that cannot use one. */
#include "tests/unit/haproxy/model.h"

#include <stdlib.h>
#include <string.h>

static const struct render_node far = {
	.name = "relay-node-4",
	.host = "node.example",
	.port = 8443,
	.cert = "/etc/relay/client.pem",
	.ca_file = "/etc/relay/nodes.pem",
};

static void model_with_node(struct model *model, struct render_node *nodes)
{
	model_init(model);
	nodes[0] = nodes[1] = far;
	model->m.nodes = nodes;
	model->m.node_count = 1;
	model->backends[1] = (struct render_backend){
		.name = "b2-demo-far",
		.host = "up.example",
		.port = 443,
		.tls = true,
		.host_header = "up.example",
		.provider = provider_at(0),
		.egress = RENDER_EGRESS_NODE,
		.egress_address = "relay-node-4",
	};
}

/* A copy of the line from `start` on. */
static char *line(const char *text, const char *start)
{
	const char *at = strstr(text, start);

	assert_non_null(at);
	return strndup(at, strcspn(at, "\n"));
}

static void speaks_tls_with_the_upstream_behind_the_listener(void **state)
{
	struct render_node nodes[2];
	struct model model;

	(void)state;
	model_with_node(&model, nodes);
	char *text = model_render(&model);
	const char *backend = strstr(text, "\nbackend b2-demo-far ");
	assert_non_null(backend);
	char *out = line(strstr(backend, "\tserver out "), "server out ");
	char *bind = line(strstr(text, "\nlisten relay-node-4 "), "bind ");
	assert_ptr_equal(strstr(out, "server out 'unix@/run/spoa-relay/relay-node-4-"), out);
	char *mode = strstr(bind, " mode 600");
	assert_non_null(mode);
	assert_int_equal(strncmp(out + strlen("server out "), bind + strlen("bind "),
				 (size_t)(mode - bind) - strlen("bind ")),
		0);
	assert_non_null(strstr(out, " ssl verify required "));
	assert_non_null(strstr(out, " sni str(up.example) verifyhost up.example"));
	assert_non_null(strstr(out, " check-sni up.example"));
	assert_null(strstr(out, "resolvers"));
	assert_null(strstr(out, "no-check-ssl"));
	free(bind);
	free(out);
	free(text);
}

static void proves_itself_to_the_node_and_checks_its_name(void **state)
{
	struct render_node nodes[2];
	struct model model;

	(void)state;
	model_with_node(&model, nodes);
	char *text = model_render(&model);
	char *node = line(text, "server node ");
	assert_string_equal(node,
		"server node node.example:8443 tcp-ut 15s ssl ssl-min-ver TLSv1.2 verify required"
		" crt '/etc/relay/client.pem' ca-file '/etc/relay/nodes.pem' verifyhost node.example"
		" resolvers relay-dns init-addr last,libc,none");
	assert_non_null(strstr(text, "\nresolvers relay-dns\n"));
	free(node);
	free(text);
	nodes[0].host = "2001:db8::7";
	text = model_render(&model);
	node = line(text, "server node ");
	assert_string_equal(node,
		"server node [2001:db8::7]:8443 tcp-ut 15s ssl ssl-min-ver TLSv1.2 verify required"
		" crt '/etc/relay/client.pem' ca-file '/etc/relay/nodes.pem'");
	free(node);
	free(text);
}

static void shows_a_node_neither_plain_text_nor_addresses(void **state)
{
	struct render_node nodes[2];
	struct model model;

	(void)state;
	model_with_node(&model, nodes);
	model.backends[1].tls = false;
	assert_string_equal(model_refusal(&model),
		"backend b2-demo-far: up.example is plain HTTP, which an egress node would see: "
		"https is needed");
	model.backends[1].tls = true;
	model.backends[1].host = "127.0.0.1";
	assert_string_equal(model_refusal(&model),
		"backend b2-demo-far: 127.0.0.1 is an address, but an egress node needs a name");
}

static void refuses_nodes_that_cannot_be_written(void **state)
{
	struct render_node nodes[2];
	struct model model;

	(void)state;
	model_with_node(&model, nodes);
	model.backends[1].egress_address = "relay-node-5";
	assert_string_equal(
		model_refusal(&model), "backend b2-demo-far: there is no egress node relay-node-5");
	model.backends[1].egress_address = "relay-node-4";
	model.m.node_count = 2;
	assert_string_equal(model_refusal(&model), "two egress nodes are named relay-node-4");
	model.m.node_count = 1;
	nodes[0].cert = "client.pem";
	assert_string_equal(model_refusal(&model),
		"egress node relay-node-4: certificate \"client.pem\" is not an absolute path");
	nodes[0].cert = "/tmp/it's";
	assert_non_null(strstr(model_refusal(&model), "quote"));
	nodes[0] = far;
	nodes[0].host = "node example";
	assert_non_null(strstr(model_refusal(&model), "neither a host name"));
	nodes[0] = far;
	nodes[0].port = 0;
	assert_non_null(strstr(model_refusal(&model), "port 0"));
}

static void renders_nothing_without_nodes(void **state)
{
	struct model model;

	(void)state;
	model_init(&model);
	char *text = model_render(&model);
	assert_null(strstr(text, "relay-node"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(speaks_tls_with_the_upstream_behind_the_listener),
		cmocka_unit_test(proves_itself_to_the_node_and_checks_its_name),
		cmocka_unit_test(shows_a_node_neither_plain_text_nor_addresses),
		cmocka_unit_test(refuses_nodes_that_cannot_be_written),
		cmocka_unit_test(renders_nothing_without_nodes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
