#include "common/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

static struct config config;
static struct errtext error;

static int parse(const char *text)
{
	return config_parse(&config, "relay.conf", slice_from_str(text), &error);
}

static void defaults_are_a_whole_configuration(void **state)
{
	(void)state;
	assert_int_equal(parse(""), 0);
	assert_string_equal(config.admin_socket.s, "/run/spoa-relay/admin.sock");
	assert_string_equal(config.store_url.s, "sqlite:/var/lib/spoa-relay/relay.db");
	assert_int_equal(config.sticky_ttl_ms, 24 * 3600 * 1000);
	assert_int_equal(config.limit_key_rpm, 30);
	assert_int_equal(config.limit_tenant_daily, 500);
	assert_int_equal(config.bad_keys_max, 20);
	assert_int_equal(config.ban_ms, 600 * 1000);
	assert_string_equal(config.spop_listen.s, "unix:/run/spoa-relay/agent.sock");
	assert_string_equal(
		config.haproxy_internal_socket.s, "/run/spoa-relay/haproxy-internal.sock");
}

static void the_sockets_of_haproxy_have_one_directory(void **state)
{
	(void)state;
	assert_int_equal(parse("[relay]\nrun_dir = /run/other\n"), 0);
	assert_string_equal(config.spop_listen.s, "unix:/run/other/agent.sock");
	assert_int_equal(parse("[haproxy]\nsocket_dir = /var/lib/haproxy/relay\n"), 0);
	assert_string_equal(config.spop_listen.s, "unix:/var/lib/haproxy/relay/agent.sock");
	assert_string_equal(
		config.haproxy_internal_socket.s, "/var/lib/haproxy/relay/haproxy-internal.sock");
	assert_string_equal(config.admin_socket.s, "/run/spoa-relay/admin.sock");
}

struct mistake {
	const char *text;
	const char *message; /* a part of it */
};

static void mistakes_name_file_and_line(void **state)
{
	static const struct mistake mistakes[] = {
		{"\n[relay]\nlog_levle = info\n",
			"relay.conf:3: unknown key 'log_levle' in section [relay]"},
		{"[rely]\n", "relay.conf:1: unknown section 'rely'"},
		{"[relay\n", "relay.conf:1:"},
		{"key = value\n", "relay.conf:1: a key before the first [section]"},
		{"[relay]\nnonsense\n", "relay.conf:2:"},
		{"[relay]\nlog_level = loud\n",
			"relay.conf:2: log_level: error, warning, info or debug"},
		{"[log]\nlevel = loud\n", "relay.conf:2: log_level: error, warning, info or debug"},
		{"[relay]\nlog_level = info\n[log]\nlevel = info\n",
			"relay.conf:4: given twice: 'level'"},
		{"[log]\nrequests = some\n", "relay.conf:2: requests: off, errors or all"},
		{"[relay]\nstate_dir = relative\n", "relay.conf:2: state_dir: an absolute path"},
		{"[cors]\norigins = https://a.example, example.com\n",
			"[cors] origins: \"example.com\" is no origin"},
		{"[cors]\norigins = https://a.example/\n", "is no origin as browsers send it"},
		{"[cors]\norigins = https://a.example' if TRUE\n", "is no origin"},
		{"[cors]\norigins = *, https://a.example\n", "* means all origins"},
		{"[cors]\norigins = null\n", "\"null\" is no origin"},
		{"[sticky]\nttl = 5 minutes\n", "relay.conf:2: ttl: a duration"},
		{"[requests]\nmax_body = -1\n", "relay.conf:2: max_body: a number of bytes"},
		{"[relay]\nregion = a\nregion = b\n", "relay.conf:3: given twice: 'region'"},
		{"[relay]\nregion = ${NO_SUCH_VARIABLE}\n",
			"relay.conf:2: the environment has no variable"},
		{"[relay]\nregion = ${OPEN\n", "relay.conf:2: ${ without }"},
		{"[limits]\nbad_keys = 65\n",
			"relay.conf:2: bad_keys: a number from 0 to 64 is expected"},
		{"[health]\nhalf_open = 0\n",
			"relay.conf:2: half_open: a number from 1 to 4 is expected"},
		{"[health]\nretry_percent = 101\n", "retry_percent: a number from 0 to 100"},
		{"[limits]\nban = 999ms\n", "relay.conf: [limits] ban: at least 1s"},
		{"[spop]\nlisten = tcp:127.0.0.1:1\n", "secret is required"},
		{"[spop]\nlisten = udp:127.0.0.1:1\n", "udp cannot carry SPOP"},
		{"[spop]\nlisten = tcp:localhost:1\nsecret = x\n", "numeric address"},
		{"[events]\nlisten = tcp:127.0.0.1:1\n", "udp:HOST:PORT or unix:PATH is expected"},
		{"[admin]\nmetrics = unix:/x\n", "tcp:HOST:PORT is expected"},
		{"[relay]\nagent_user = spoa-relay\n", "must differ"},
		{"[redis]\nurl = redis://127.0.0.1\n", "not available in this version"},
		{"[store]\nurl = mysql://x\n", "sqlite:/ABSOLUTE/PATH"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		struct config before;
		assert_int_equal(parse(""), 0);
		before = config;
		assert_int_not_equal(parse(mistakes[i].text), 0);
		if (!strstr(error.text, mistakes[i].message))
			fail_msg("'%s' is not in '%s'", mistakes[i].message, error.text);
		assert_memory_equal(&before, &config, sizeof(before));
	}
}

static void the_environment_fills_in(void **state)
{
	(void)state;
	setenv("RELAY_TEST_SECRET", "from-outside", 1);
	assert_int_equal(parse("[spop]\nlisten = tcp:[::1]:9000, unix:/run/x\n"
			       "secret = a${RELAY_TEST_SECRET}b${RELAY_TEST_SECRET}\n"),
		0);
	assert_string_equal(config.spop_secret.s, "afrom-outsidebfrom-outside");
	struct address addresses[ADDRESS_LIST_MAX];
	assert_int_equal(config_spop_listeners(&config, addresses), 2);
	assert_int_equal(addresses[0].kind, ADDRESS_TCP);
	assert_string_equal(addresses[1].text, "unix:/run/x");
}

static void what_is_printed_can_be_read_again(void **state)
{
	struct buffer out = {0};

	(void)state;
	assert_int_equal(parse("[relay]\nregion = eu\nlog_level = debug\n[sticky]\nttl = 90m\n"
			       "[requests]\nmax_body = 3k\n[log]\nrequests = errors\n"),
		0);
	struct config first = config;
	config_print(&config, &out);
	assert_int_equal(parse(buffer_str(&out)), 0);
	assert_memory_equal(&first, &config, sizeof(first));
	buffer_fini(&out);
}

static void every_option_is_explained(void **state)
{
	(void)state;
	for (size_t i = 0; i < CONFIG_ROW_COUNT; i++) {
		const char *help = config_rows[i].help;
		if (strlen(help) < 20 || help[strlen(help) - 1] != '.')
			fail_msg("[%s] %s: '%s'", config_rows[i].section, config_rows[i].key, help);
	}
}

static void secrets_are_not_printed(void **state)
{
	struct buffer out = {0};

	(void)state;
	assert_int_equal(parse("[spop]\nsecret = very-secret\n"), 0);
	config_print(&config, &out);
	assert_null(strstr(buffer_str(&out), "very-secret"));
	buffer_fini(&out);
}

static void a_reload_takes_only_what_it_can(void **state)
{
	struct buffer frozen = {0};

	(void)state;
	assert_int_equal(parse("[relay]\nregion = eu\n"), 0);
	struct config running = config;
	assert_int_equal(parse("[relay]\nregion = us\nstate_dir = /elsewhere\nnode_id = n\n"), 0);
	config_needs_restart(&running, &config, &frozen);
	assert_string_equal(
		buffer_str(&frozen), "relay.state_dir, relay.node_id, store.url, secrets.key_file");
	config_reload(&running, &config);
	assert_string_equal(running.region.s, "us");
	assert_string_equal(running.state_dir.s, "/var/lib/spoa-relay");
	buffer_fini(&frozen);
}

/* Else new files for HAProxy would name a socket in a directory that the running relay does not use. */
static void a_path_derived_from_a_directory_waits_for_the_restart_with_it(void **state)
{
	(void)state;
	assert_int_equal(parse("[relay]\nrun_dir = /run/here\n"), 0);
	struct config running = config;
	assert_int_equal(parse("[relay]\nrun_dir = /run/there\n"), 0);
	config_reload(&running, &config);
	assert_string_equal(running.run_dir.s, "/run/here");
	assert_string_equal(running.haproxy_socket_dir.s, "/run/here");
	assert_string_equal(running.haproxy_internal_socket.s, "/run/here/haproxy-internal.sock");
	/* a path that the file names is taken, and given up again */
	assert_int_equal(parse("[haproxy]\ninternal_socket = /run/x.sock\n"), 0);
	config_reload(&running, &config);
	assert_string_equal(running.haproxy_internal_socket.s, "/run/x.sock");
	assert_int_equal(parse(""), 0);
	config_reload(&running, &config);
	assert_string_equal(running.haproxy_internal_socket.s, "/run/here/haproxy-internal.sock");
}

static void a_range_is_in_the_unit_of_its_option(void **state)
{
	static const struct {
		struct config_row row;
		const char *expected;
	} cases[] = {
		{{.type = CONFIG_NUMBER, .range = {1, 4}}, "a number from 1 to 4"},
		{{.type = CONFIG_NUMBER}, "a number from 0 to 4294967295"},
		{{.type = CONFIG_DURATION, .range = {100, 60000}},
			"a duration such as 250ms, 10s, 5m, 24h, 30d, from 100ms to 1m"},
		{{.type = CONFIG_DURATION}, "a duration such as 250ms, 10s, 5m, 24h, 30d"},
		{{.type = CONFIG_SIZE, .range = {512, 4096}},
			"a number of bytes such as 4096, 64k, 10m, from 512 to 4096"},
		{{.type = CONFIG_PATH}, "an absolute path"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buffer text = {0};
		config_expected(&cases[i].row, &text);
		assert_string_equal(buffer_str(&text), cases[i].expected);
		buffer_fini(&text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_a_whole_configuration),
		cmocka_unit_test(the_sockets_of_haproxy_have_one_directory),
		cmocka_unit_test(mistakes_name_file_and_line),
		cmocka_unit_test(the_environment_fills_in),
		cmocka_unit_test(what_is_printed_can_be_read_again),
		cmocka_unit_test(every_option_is_explained),
		cmocka_unit_test(secrets_are_not_printed),
		cmocka_unit_test(a_reload_takes_only_what_it_can),
		cmocka_unit_test(a_path_derived_from_a_directory_waits_for_the_restart_with_it),
		cmocka_unit_test(a_range_is_in_the_unit_of_its_option),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
