/* Unix sockets between HAProxy and the relay: two forms of a path, owners, refused directories. */
#include "tests/unit/haproxy/model.h"

#include <stdio.h>
#include <stdlib.h>

#define AGENT "unix:/var/lib/haproxy/relay/agent.sock"

static struct address parsed(const char *text)
{
	struct address address;

	assert_int_equal(address_parse(slice_from_str(text), &address, NULL), 0);
	return address;
}

static void model_in_chroot(struct model *model)
{
	model_init(model);
	model->spop = parsed(AGENT);
	model->m.socket_dir = "/var/lib/haproxy/relay";
	model->m.options.chroot = "/var/lib/haproxy";
	model->m.haproxy_uid = 107;
}

static size_t count_of(const char *text, const char *part)
{
	size_t n = 0;

	for (; (text = strstr(text, part)); text++)
		n++;
	return n;
}

static void binds_as_root_and_connects_from_inside_the_chroot(void **state)
{
	struct model model;

	(void)state;
	model_in_chroot(&model);
	model.m.records = parsed("unix:/var/lib/haproxy/relay/records.sock");
	char *text = model_render(&model);
	assert_int_equal(count_of(text, "\tbind 'unix@/var/lib/haproxy/relay/relay-again-"), 1);
	assert_int_equal(count_of(text, ".sock' mode 600 uid 107 accept-proxy\n"), 1);
	assert_int_equal(count_of(text, "\tserver again1 'unix@/relay/relay-again-"), 2 * 2 * 2);
	assert_int_equal(count_of(text, "\tserver agent1a 'unix@/relay/agent.sock'\n"), 1);
	assert_int_equal(count_of(text, "\tlog 'unix@/relay/records.sock' "), 2);
	assert_int_equal(count_of(text, "unix@/var/lib/haproxy"), 1);
	free(text);
}

static void has_one_form_without_a_chroot(void **state)
{
	struct model model;

	(void)state;
	model_in_chroot(&model);
	model.m.options.chroot = NULL;
	model.m.haproxy_uid = RENDER_UID_NONE;
	char *text = model_render(&model);
	assert_int_equal(count_of(text, "unix@/relay/"), 0);
	assert_int_equal(count_of(text, "unix@/var/lib/haproxy/relay/agent.sock'"), 2);
	assert_int_equal(count_of(text, ".sock' mode 600 accept-proxy\n"), 1);
	free(text);
}

static void refuses_what_haproxy_cannot_reach(void **state)
{
	struct model model;

	(void)state;
	model_in_chroot(&model);
	model.m.socket_dir = "/var/lib/haproxy2";
	assert_non_null(strstr(model_refusal(&model), "outside of HAProxy's chroot"));
	model_in_chroot(&model);
	model.spop = parsed("unix:/run/spoa-relay/agent.sock");
	assert_non_null(strstr(model_refusal(&model), "the agent's socket /run/spoa-relay"));
	model_in_chroot(&model);
	model.m.records = parsed("unix:/run/records.sock");
	assert_non_null(strstr(model_refusal(&model), "the records socket /run/records.sock"));
	model_in_chroot(&model);
	model.m.options.chroot = "/var/lib/haproxy/";
	assert_non_null(strstr(model_refusal(&model), "ends in /"));
	model_in_chroot(&model);
	model.m.socket_dir = "/var/lib/haproxy/a'b";
	assert_non_null(strstr(model_refusal(&model), "socket directory"));
}

/* An abstract socket and TCP need no path inside. */
static void lets_abstract_sockets_and_tcp_be(void **state)
{
	struct model model;

	(void)state;
	model_in_chroot(&model);
	model.spop = parsed("abns:relay-test");
	char *text = model_render(&model);
	assert_int_equal(count_of(text, "\tserver agent1a 'abns@relay-test'\n"), 1);
	free(text);
}

static void refuses_a_directory_with_a_path_too_long_for_a_socket(void **state)
{
	const int fits = 95 - (int)strlen("/relay-again-0000.sock") - 1;
	char dir[100];
	struct model model;

	(void)state;
	model_in_chroot(&model);
	model.spop = parsed("abns:relay-test");
	model.m.options.chroot = NULL;
	model.m.socket_dir = dir;
	snprintf(dir, sizeof(dir), "/%0*d", fits, 0);
	free(model_render(&model));
	snprintf(dir, sizeof(dir), "/%0*d", fits + 1, 0);
	assert_non_null(strstr(model_refusal(&model), "at most 95"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(binds_as_root_and_connects_from_inside_the_chroot),
		cmocka_unit_test(has_one_form_without_a_chroot),
		cmocka_unit_test(refuses_what_haproxy_cannot_reach),
		cmocka_unit_test(lets_abstract_sockets_and_tcp_be),
		cmocka_unit_test(refuses_a_directory_with_a_path_too_long_for_a_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
