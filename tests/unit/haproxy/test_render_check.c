#include "tests/unit/haproxy/model.h"

#include <errno.h>

static void assert_refused(const struct model *model, const char *part)
{
	const char *reason = model_refusal(model);

	if (!strstr(reason, part))
		fail_msg("\"%s\" does not say \"%s\"", reason, part);
}

static void refuses_a_bind_that_is_no_address(void **state)
{
	static const char *const bad[] = {"", "8080", "localhost:80", "1.2.3.4:0", "1.2.3.4:65536",
		"::1:80", "[::1]", "1.2.3.4:80 ssl", "1.2.3.4:80\nglobal"};
	static const char *const good[] = {"*:80", ":80", "[::1]:80", "0.0.0.0:1"};
	struct model model;

	(void)state;
	model_init(&model);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		model.m.options.binds[0] = bad[i];
		assert_refused(&model, "bind address");
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct buffer text = {0};
		model.m.options.binds[0] = good[i];
		assert_int_equal(render_config(&model.m, &text, NULL), 0);
		buffer_fini(&text);
	}
	model.m.options.bind_count = 0;
	assert_refused(&model, "addresses to bind");
}

static void refuses_paths_that_end_a_word(void **state)
{
	static const char *const bad[] = {
		"/a'b", "/a\"b", "/a\\b", "/a\nb", "relative", "", "/\xc3\xa4"};
	struct model model;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		model_init(&model);
		model.m.options.cert = bad[i];
		assert_refused(&model, "certificate");
		model_init(&model);
		model.m.output_dir = bad[i];
		assert_refused(&model, "output directory");
		model_init(&model);
		model.backends[1].ca_file = bad[i];
		assert_refused(&model, "backend b2-demo-five: CA file");
		if (!bad[i][0])
			continue;
		model_init(&model);
		model.m.admin_socket = bad[i];
		assert_refused(&model, "admin socket");
		model_init(&model);
		model.m.internal_socket = bad[i];
		assert_refused(&model, "internal socket");
	}
}

static void refuses_header_names_that_are_none(void **state)
{
	static const char *const bad[] = {
		"", "a b", "a:b", "a(b", "x\r\nhost", "caf\xc3\xa9", "a'b", "%[src]", "*", "a*b"};
	struct model model;
	const char *list[1];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		list[0] = bad[i];
		model_init(&model);
		model.m.headers = list;
		model.m.header_count = 1;
		assert_refused(&model, "extra header");
		model_init(&model);
		model.m.response_deny = list;
		model.m.response_deny_count = 1;
		assert_refused(&model, "response header to strip");
		model_init(&model);
		model.m.request_allow = list;
		model.m.request_allow_count = 1;
		assert_refused(&model, "request header to let pass");
	}
}

static void refuses_extra_headers_that_frame_a_message(void **state)
{
	static const char *const bad[] = {"Host", "Content-Length", "Transfer-Encoding",
		"Connection", "X-Relay-Error", "upgrade", "x-request-id"};
	struct model model;

	(void)state;
	model_init(&model);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		model.m.headers = &bad[i];
		model.m.header_count = 1;
		assert_refused(&model, "belongs to");
	}
}

static void refuses_backends_it_cannot_write(void **state)
{
	struct model model;

	(void)state;
	model_init(&model);
	model.backends[0].name = "b1 x";
	assert_refused(&model, "backend name");
	model_init(&model);
	model.backends[1].name = model.backends[0].name;
	assert_refused(&model, "two backends");
	model_init(&model);
	model_widen(&model);
	model.internal[1].name = model.internal[0].name;
	assert_refused(&model, "two backends");
	model_init(&model);
	model.backends[0].host = "a.example weight 1";
	assert_refused(&model, "neither a host name");
	model_init(&model);
	model.backends[0].host = "str(a)";
	assert_refused(&model, "neither a host name");
	model_init(&model);
	model.backends[0].port = 0;
	assert_refused(&model, "port 0");
	model_init(&model);
	model.backends[0].host_header = "a%[env(HOME)]";
	assert_refused(&model, "host header");
	model_init(&model);
	model.backends[1].egress_address = "eth0";
	assert_refused(&model, "backend b2-demo-five: source address");
	model_init(&model);
	model.backends[1].egress = RENDER_EGRESS_SOCKS4;
	model.backends[1].egress_address = "proxy.example:1080";
	assert_refused(&model, "SOCKS4 proxy");
	model_init(&model);
	model.backends[1].egress_address = NULL;
	assert_refused(&model, "source address is empty");
}

static void refuses_secrets_that_break_a_record(void **state)
{
	static const char *const bad[] = {"", "a b", "a'b", "a\"b", "a\\b", "a\nb"};
	char longest[130];
	struct model model;

	(void)state;
	model_init(&model);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		model.m.secret = bad[i];
		assert_refused(&model, "secret");
	}
	memset(longest, 'x', sizeof(longest));
	longest[129] = '\0';
	model.m.secret = longest;
	assert_refused(&model, "the secret is longer than 128");
}

static void refuses_keys_of_ids_that_haproxy_cannot_read(void **state)
{
	static const char *const bad[] = {NULL, "",
		"c2hvcnQ=", "bm90IGJhc2U2NCBhdCBhbGwsIGJ1dCBsb25n!",
		"b25lIGRpZ2l0IHRvbyBtYW55IGhlcmUgICA",
		"dHdvIG1hbnkgcGFkcyBhdCB0aGUgZW5k===", "cGFkcyBpbiB0aGUgbWlkZGxlIG9m==aXQx"};
	struct model model;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		model_init(&model);
		model.m.id_key = bad[i];
		assert_refused(&model, "the key of request ids");
	}
}

static void refuses_networks_and_listeners_that_are_none(void **state)
{
	struct model model;

	(void)state;
	model_init(&model);
	model.m.options.trusted[0] = "10.0.0.1/8";
	model.m.options.trusted_count = 1;
	assert_refused(&model, "trusted network");
	model_init(&model);
	model.m.spop_count = 0;
	assert_refused(&model, "agent listeners");
	model_init(&model);
	model.m.options.stats = "stats.example:80";
	assert_refused(&model, "stats address");
	model_init(&model);
	model.m.admin_socket = "/run/a.sock";
	model.m.admin_group = "a b";
	assert_refused(&model, "group");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_a_bind_that_is_no_address),
		cmocka_unit_test(refuses_paths_that_end_a_word),
		cmocka_unit_test(refuses_header_names_that_are_none),
		cmocka_unit_test(refuses_extra_headers_that_frame_a_message),
		cmocka_unit_test(refuses_backends_it_cannot_write),
		cmocka_unit_test(refuses_secrets_that_break_a_record),
		cmocka_unit_test(refuses_keys_of_ids_that_haproxy_cannot_read),
		cmocka_unit_test(refuses_networks_and_listeners_that_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
