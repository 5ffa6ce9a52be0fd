#include "tests/unit/haproxy/model.h"
#include "tests/unit/haproxy/text.h"

#include "common/refusal.h"
#include "common/seam.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static void is_pure(void **state)
{
	struct model one;
	struct model other;

	(void)state;
	model_init(&one);
	model_init(&other);
	model_widen(&one);
	model_widen(&other);
	char *a = model_render(&one);
	char *b = model_render(&other);
	assert_string_equal(a, b);
	free(a);
	free(b);
}

static void asks_before_it_injects_and_injects_before_it_forwards(void **state)
{
	struct model model;

	(void)state;
	model_init(&model);
	model_widen(&model);
	char *text = model_render(&model);
	assert_before(text, "del-header x-relay- -m beg", "send-spoe-group");
	assert_before(text, "set-src", "send-spoe-group");
	assert_before(text, "send-spoe-group relay decide\n", "send-spoe-group relay decide2");
	assert_before(text, "send-spoe-group relay decide2", "-m str deny");
	assert_before(text,
		"use_backend %[var(txn.relay.be)] if { var(txn.relay.action) -m str allow }",
		"default_backend relay-closed");
	assert_before(text, "del-header authorization", "set-header Authorization");
	assert_before(text, "del-header x-api-key", "set-header x-api-key");
	assert_before(text, "set-header Authorization", "use_backend");
	free(text);
}

/* The line with a message's arguments. Cuts the text off behind it. */
static const char *args_of(char *text, const char *message)
{
	char head[64];

	snprintf(head, sizeof(head), "\nspoe-message %s\n\targs ", message);
	char *line = strstr(text, head);
	if (!line)
		fail_msg("no message %s", message);
	line += strlen(head) - 1;
	*strchr(line, '\n') = '\0';
	return line;
}

static void asks_with_the_arguments_of_each_message(void **state)
{
	static const struct {
		const char *message;
		const char *args;
	} rows[] = {
		/* from the end of the file to its beginning, because each search cuts the text off */
		{"wait2", "gen worker id h method path src name since"},
		{"wait", "gen worker id h method path src name since"},
		{"probe", "gen id account"},
		{"respond", "gen id status lim"},
		{"again2", "gen worker id failed"},
		{"again", "gen worker id failed"},
		{"bodied", "gen worker id h method path src body"},
		{"decide2", "gen worker id h method path src"},
		{"decide", "gen worker id h method path src"},
	};
	struct model model;

	(void)state;
	model_init(&model);
	char *text = model_render(&model);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buffer names = {0};
		const char *line = args_of(text, rows[i].message);
		for (const char *at = line; (at = strchr(at, ' ')); at++) {
			const char *end = strchr(at, '=');
			buffer_printf(&names, "%.*s", (int)(end - at), at);
		}
		assert_string_equal(buffer_str(&names) + 1, rows[i].args);
		buffer_fini(&names);
	}
	free(text);
}

static void asks_for_one_byte_beyond_every_bound(void **state)
{
	struct model model;

	(void)state;
	model_init(&model);
	char *text = model_render(&model);
	assert_int_equal(count_of(text, " h=req.hdrs,bytes(0,32769)"), 5);
	assert_int_equal(count_of(text, " path=pathq,bytes(0,8193)"), 5);
	assert_int_equal(count_of(text, " account=req.fhdr(X-Relay-Account),bytes(0,17)"), 1);
	assert_int_equal(count_of(text, " lim=var(txn.relay.lim),bytes(0,1025)"), 1);
	assert_int_equal(count_of(text, " gen=int(7)"), 9);
	assert_int_equal(count_of(text, " body=req.body,bytes(0,49153)"), 1);
	assert_int_equal(count_of(text, " name=var(txn.relay.name),bytes(0,67)"), 2);
	free(text);
}

static void keeps_the_requests_of_control_apart(void **state)
{
	struct model model;

	(void)state;
	model_init(&model);
	char *text = model_render(&model);
	assert_lacks(text, "frontend relay-internal");
	free(text);
	model_widen(&model);
	text = model_render(&model);
	assert_has(text, "\tbind 'unix@/run/spoa-relay/haproxy-internal.sock' mode 600 uid 996\n");
	const char *frontend = strstr(text, "\nfrontend relay-internal");
	assert_before(frontend, "send-spoe-group relay probe if", "del-header x-relay- -m beg");
	assert_before(frontend, "\thttp-request disable-l7-retry\n", "\nbackend ");
	const char *token = strstr(text, "\nbackend t1-e2 ");
	assert_non_null(token);
	assert_before(token, "\tretries 0\n\thttp-reuse never\n", "server out 127.0.0.1:9443");
	assert_has(token, "\nbackend c-e3 ");
	free(text);
}

static void sends_the_secret_only_where_no_local_socket_is(void **state)
{
	struct model model;
	struct address both[2];
	struct errtext e;

	(void)state;
	model_init(&model);
	both[0] = model.spop;
	assert_int_equal(address_parse(SLICE_LITERAL("tcp:127.0.0.1:9002"), &both[1], &e), 0);
	model.m.spop = both;
	model.m.spop_count = 2;
	char *text = model_render(&model);
	assert_lacks(text, "secret=");
	assert_lacks(text, "9002");
	assert_int_equal(count_of(text, "'abns@relay-test'"), 2);
	free(text);
	model.m.spop = &both[1];
	model.m.spop_count = 1;
	text = model_render(&model);
	assert_has(text, "secret=env(" SEAM_SECRET_ENV "),bytes(0,129)");
	assert_int_equal(count_of(text, "'127.0.0.1:9002'"), 2);
	free(text);
}

static void refuses_with_every_status_of_the_table(void **state)
{
	struct model model;
	char part[96];

	(void)state;
	model_init(&model);
	char *text = model_render(&model);
	const char *closed = section_of(text, "backend relay-closed ");
	for (int r = REFUSAL_NONE + 1; r < REFUSAL_COUNT; r++) {
		snprintf(part, sizeof(part), "-m str deny } { var(txn.relay.status) -m int %d }",
			refusal_row((enum refusal)r)->status);
		assert_int_equal(count_of(closed, part), 1);
	}
	free(text);
}

static void never_lets_a_credential_header_pass(void **state)
{
	static const char *const allowed[] = {"x-api-key", "Authorization", "x-relay-*", "cookie"};
	struct model model;

	(void)state;
	model_init(&model);
	model.m.request_allow = allowed;
	model.m.request_allow_count = 2;
	char *text = model_render(&model);
	assert_has(text, "http-request del-header x-api-key\n");
	assert_has(text, "http-request del-header authorization\n");
	assert_has(text, "http-request del-header cookie\n");
	free(text);
	model.m.request_allow = &allowed[3];
	model.m.request_allow_count = 1;
	text = model_render(&model);
	assert_lacks(text, "del-header cookie\n");
	free(text);
}

static void every_header_for_credentials_is_fixed(void **state)
{
	struct model model;
	const char *name;
	char line[96];

	(void)state;
	for (size_t i = 0; i < provider_auth_count(); i++) {
		name = provider_auth_at(i)->header;
		model_init(&model);
		model.m.request_allow = &name;
		model.m.request_allow_count = 1;
		char *text = model_render(&model);
		snprintf(line, sizeof(line), "http-request del-header %s\n", name);
		for (char *c = line; *c; c++)
			*c = (char)tolower(*c);
		/* the second one is first, because a section cuts the text behind it */
		assert_int_equal(count_of(section_of(text, "frontend relay-again "), line), 1);
		assert_int_equal(count_of(section_of(text, "frontend relay-in "), line), 1);
		free(text);
	}
}

/* It would remove the credential that was set before. */
static void an_extra_header_for_credentials_is_not_deleted(void **state)
{
	const char *name = "X-Goog-Api-Key";
	struct model model;

	(void)state;
	model_init(&model);
	model.m.headers = &name;
	model.m.header_count = 1;
	char *text = model_render(&model);
	assert_int_equal(count_of(text, "http-request set-header X-Goog-Api-Key %[var("), 2);
	assert_lacks(text, "http-request del-header X-Goog-Api-Key\n");
	free(text);
}

static void keeps_an_exception_out_of_a_prefix(void **state)
{
	static const char *const allowed[] = {"X-Forwarded-For", "x-forwarded-Proto"};
	struct model model;

	(void)state;
	model_init(&model);
	char *text = model_render(&model);
	assert_has(text, "http-request del-header x-forwarded- -m beg\n");
	free(text);
	model.m.request_allow = allowed;
	model.m.request_allow_count = 2;
	text = model_render(&model);
	assert_has(text, "http-request del-header '^x-forwarded-(?!(for|proto)$)' -m reg\n");
	free(text);
}

static void deletes_before_it_sets_every_slot_once(void **state)
{
	struct model model;

	(void)state;
	model_init(&model);
	model_widen(&model);
	char *text = model_render(&model);
	char *client = section_of(text, "frontend relay-in ");
	assert_int_equal(count_of(client, "set-header ChatGPT-Account-ID "), 1);
	assert_int_equal(count_of(client, "set-header chatgpt-account-id "), 0);
	assert_int_equal(count_of(client, "set-header X-Extra "), 1);
	assert_int_equal(count_of(client, "set-header x-extra "), 0);
	assert_before(client, "del-header X-Extra", "set-header X-Extra");
	free(text);
}

static void never_balances_to_the_server_of_an_egress(void **state)
{
	struct model model;

	(void)state;
	model_init(&model);
	model_widen(&model);
	char *text = model_render(&model);
	assert_int_equal(count_of(text, "\tuse-server out if TRUE\n"), 7);
	assert_int_equal(count_of(text, "\tserver out "), 7);
	assert_int_equal(count_of(text, " weight 0"), 2 * 5); /* `out` and `fresh` */
	assert_has(text, "server out 127.0.0.1:9000 weight 0 source 127.0.0.5 ");
	assert_has(text, "server out [::1]:9443 weight 0 source [::1] ssl verify required");
	assert_has(text, " socks4 127.0.0.1:1080 ssl verify required");
	assert_int_equal(count_of(text, "ssl verify required"), 4 + 3);
	assert_has(text, "default_backend relay-closed\n");
	free(text);
}

static void looks_names_up_in_the_family_of_the_egress(void **state)
{
	struct model model;

	(void)state;
	model_init(&model);
	char *text = model_render(&model);
	assert_lacks(text, "resolvers");
	free(text);
	model.backends[0].host = "api.example";
	model.backends[1].host = "api.example";
	model.backends[1].egress_address = "2001:db8::5";
	text = model_render(&model);
	assert_int_equal(count_of(text, "\nresolvers relay-dns\n"), 1);
	assert_has(text,
		"server out api.example:9000 weight 0 resolvers relay-dns "
		"init-addr last,libc,none resolve-prefer ipv4");
	assert_has(text,
		"source [2001:db8::5] resolvers relay-dns "
		"init-addr last,libc,none resolve-prefer ipv6");
	free(text);
}

static void checks_the_name_in_a_certificate_where_haproxy_can(void **state)
{
	struct model model;

	(void)state;
	model_init(&model);
	model.backends[0].tls = true;
	char *text = model_render(&model);
	assert_has(text, "ca-file \"${SPOA_RELAY_CA}\" verifyhost 127.0.0.1");
	free(text);
	model.backends[0].ca_file = "/etc/ca file.pem";
	text = model_render(&model);
	assert_has(text, "ca-file '/etc/ca file.pem' check ");
	assert_lacks(text, "SPOA_RELAY_CA");
	free(text);
	model.backends[0].host = "api.example";
	text = model_render(&model);
	assert_has(text, "ca-file '/etc/ca file.pem' sni str(api.example) verifyhost api.example");
	free(text);
}

static void lets_the_client_wait_longer_than_any_upstream(void **state)
{
	struct model model;

	(void)state;
	model_init(&model);
	char *text = model_render(&model);
	assert_has(text, "\ttimeout server 600000ms\n\ttimeout client 630000ms\n");
	assert_has(text, "\ttimeout server 2000ms\n");
	free(text);
	model_widen(&model);
	text = model_render(&model);
	assert_has(text, "\ttimeout client 3630000ms\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_pure),
		cmocka_unit_test(asks_before_it_injects_and_injects_before_it_forwards),
		cmocka_unit_test(asks_with_the_arguments_of_each_message),
		cmocka_unit_test(asks_for_one_byte_beyond_every_bound),
		cmocka_unit_test(keeps_the_requests_of_control_apart),
		cmocka_unit_test(sends_the_secret_only_where_no_local_socket_is),
		cmocka_unit_test(refuses_with_every_status_of_the_table),
		cmocka_unit_test(never_lets_a_credential_header_pass),
		cmocka_unit_test(every_header_for_credentials_is_fixed),
		cmocka_unit_test(an_extra_header_for_credentials_is_not_deleted),
		cmocka_unit_test(keeps_an_exception_out_of_a_prefix),
		cmocka_unit_test(deletes_before_it_sets_every_slot_once),
		cmocka_unit_test(never_balances_to_the_server_of_an_egress),
		cmocka_unit_test(looks_names_up_in_the_family_of_the_egress),
		cmocka_unit_test(checks_the_name_in_a_certificate_where_haproxy_can),
		cmocka_unit_test(lets_the_client_wait_longer_than_any_upstream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
