#include "tests/unit/haproxy/model.h"
#include "tests/unit/haproxy/text.h"

#include "common/refusal.h"
#include "common/seam.h"

#include <ctype.h>
#include <regex.h>
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

/* Ends the set for the ordinary request. */
#define ORDINARY "http-request allow if relay_allowed !{ var(txn.relay.hops) -m found }\n"

static void asks_before_it_injects_and_injects_before_it_forwards(void **state)
{
	struct model model;

	(void)state;
	model_init(&model);
	model_widen(&model);
	char *text = model_render(&model);
	assert_before(text, "send-spoe-group relay decide\n", "send-spoe-group relay decide2");
	assert_before(text, "send-spoe-group relay decide2", "-m str deny");
	assert_before(text, "send-spoe-group relay decide\n", "track-sc0");
	assert_before(text, "track-sc0", ORDINARY);
	assert_before(text, "set-path", ORDINARY);
	assert_before(text, ORDINARY, "send-spoe-group relay decide2");
	assert_before(text, "use_backend %[var(txn.relay.be)] if relay_allowed {",
		"default_backend relay-closed");
	const char *egress = section_of(text, "defaults relay-egress-defaults ");
	assert_before(egress, "http-request del-header '^(x-api-key|", "set-header Authorization");
	assert_before(egress, "http-request del-header '^(x-api-key|", "set-header x-api-key");
	free(text);
}

static void opens_a_backend_only_for_what_is_allowed(void **state)
{
	struct model model;

	(void)state;
	model_init(&model);
	model_widen(&model);
	char *text = model_render(&model);
	assert_int_equal(
		count_of(text,
			"\tuse_backend %[var(txn.relay.be)] if relay_allowed { var(txn.relay.be) -m beg b }\n"),
		3);
	assert_int_equal(count_of(text, "\tuse_backend %[var(txn.relay.be)]"), 4);
	assert_int_equal(
		count_of(text, "\tacl relay_allowed var(txn.relay.action) -m str allow\n"), 4);
	assert_int_equal(count_of(text, "relay_allowed var"), 4);
	/* of clients only */
	assert_int_equal(
		count_of(text,
			"\tuse_backend %[var(txn.relay.be)].once if relay_allowed"
			" { var(txn.relay.be) -m beg b } !{ var(txn.relay.alt) -m bool }\n"),
		1);
	/* the last rule of a backend without a server: a refusal without a condition */
	const char *closed = section_of(text, "backend relay-closed ");
	const char *last = strstr(closed, " -m int 4 5 }\n");
	assert_non_null(last);
	assert_before(last, "\thttp-request return status 503 ", "X-Relay-Error agent_unavailable");
	assert_lacks(last, " if {");
	assert_lacks(closed, "server ");
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
	assert_has(text, "http-request del-header '^(x-api-key|authorization|x-relay-.*|");
	assert_has(text, "|cookie|");
	free(text);
	model.m.request_allow = &allowed[3];
	model.m.request_allow_count = 1;
	text = model_render(&model);
	assert_lacks(text, "|cookie|");
	free(text);
}

static void every_header_for_credentials_is_fixed(void **state)
{
	struct model model;
	const char *name;
	char term[96];

	(void)state;
	for (size_t i = 0; i < provider_auth_count(); i++) {
		name = provider_auth_at(i)->header;
		model_init(&model);
		model.m.request_allow = &name;
		model.m.request_allow_count = 1;
		char *text = model_render(&model);
		snprintf(term, sizeof(term), "%s|", name);
		for (char *c = term; *c; c++)
			*c = (char)tolower(*c);
		assert_has(section_of(text, "defaults relay-egress-defaults "), term);
		free(text);
	}
}

static void an_extra_header_for_credentials_is_set_once(void **state)
{
	const char *name = "X-Goog-Api-Key";
	struct model model;

	(void)state;
	model_init(&model);
	model.m.headers = &name;
	model.m.header_count = 1;
	char *text = model_render(&model);
	assert_int_equal(count_of(text, "http-request set-header X-Goog-Api-Key %[var("), 1);
	assert_before(text, "del-header '^(x-api-key|", "set-header x-goog-api-key");
	free(text);
}

/* The expression of the request's header policy, in storage of `regex`. */
static void compile_policy(const char *text, regex_t *regex)
{
	static const char begin[] = "http-request del-header '^(";
	const char *from = strstr(text, begin);
	char expression[4096];

	assert_non_null(from);
	from += strlen(begin) - 2;
	size_t len = strcspn(from, "'");
	assert_true(len < sizeof(expression));
	snprintf(expression, sizeof(expression), "%.*s", (int)len, from);
	assert_int_equal(regcomp(regex, expression, REG_EXTENDED | REG_NOSUB), 0);
}

static void keeps_exceptions_out_of_a_prefix(void **state)
{
	static const char *const allowed[] = {"X-Forwarded-For", "x-forwarded-Proto",
		"x-forwarded-for-a.b", "x-forwarded-p", "x-forwarded--", "via"};
	static const char *const gone[] = {"x-forwarded-", "x-forwarded-f", "x-forwarded-fo",
		"x-forwarded-fox", "x-forwarded-forx", "x-forwarded-for-", "x-forwarded-for-a",
		"x-forwarded-for-axb", "x-forwarded-for-a.bc", "x-forwarded-protocol",
		"x-forwarded-host", "x-forwarded-pr", "x-forwarded-", "x-forwarded---",
		"x-relay-for", "a-api-key", "x-auth-token", "forwarded"};
	static const char *const kept[] = {"x-forwarded", "xx-forwarded-host", "via", "viaduct",
		"key", "x-api-keys", "auth-token", "x-forwarded-for", "x-forwarded-proto",
		"x-forwarded-for-a.b", "x-forwarded-p", "x-forwarded--", "anthropic-version"};
	struct model model;
	regex_t regex;

	(void)state;
	model_init(&model);
	model.m.request_allow = allowed;
	model.m.request_allow_count = sizeof(allowed) / sizeof(allowed[0]);
	char *text = model_render(&model);
	compile_policy(text, &regex);
	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++) {
		if (regexec(&regex, gone[i], 0, NULL, 0))
			fail_msg("%s stays", gone[i]);
	}
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		if (!regexec(&regex, kept[i], 0, NULL, 0))
			fail_msg("%s is removed", kept[i]);
	}
	regfree(&regex);
	free(text);
}

static void needs_no_look_ahead(void **state)
{
	struct model model;

	(void)state;
	model_init(&model);
	model_widen(&model);
	char *text = model_render(&model);
	assert_has(text, "|x-forwarded-([^f].*|f(");
	assert_lacks(text, "(?");
	free(text);
}

static void continues_a_long_list_in_a_second_rule(void **state)
{
	static char names[60][60];
	const char *list[60];
	struct model model;

	(void)state;
	model_init(&model);
	for (size_t i = 0; i < 60; i++) {
		snprintf(names[i], sizeof(names[i]), "X-%050zu", i);
		list[i] = names[i];
	}
	model.m.response_deny = list;
	model.m.response_deny_count = 60;
	char *text = model_render(&model);
	char *client = section_of(text, "frontend relay-in ");
	assert_int_equal(count_of(client, "\thttp-response del-header '^("), 3);
	for (const char *line = client; line; line = strchr(line + 1, '\n'))
		assert_true(strcspn(line + 1, "\n") < 2000);
	free(text);
}

static void sets_every_slot_once(void **state)
{
	struct model model;

	(void)state;
	model_init(&model);
	model_widen(&model);
	char *text = model_render(&model);
	char *egress = section_of(text, "defaults relay-egress-defaults ");
	assert_int_equal(count_of(egress, "set-header ChatGPT-Account-ID "), 1);
	assert_int_equal(count_of(egress, "set-header chatgpt-account-id "), 0);
	assert_int_equal(count_of(egress, "set-header X-Extra "), 1);
	assert_int_equal(count_of(egress, "set-header x-extra "), 0);
	assert_int_equal(count_of(egress, "|chatgpt-account-id|"), 1);
	assert_int_equal(count_of(egress, "|x-extra|"), 1);
	free(text);
}

static void keeps_a_header_that_control_sends_in_probes(void **state)
{
	const char *name = "Anthropic-Version";
	struct model model;

	(void)state;
	model_init(&model);
	char *text = model_render(&model);
	assert_lacks(text, "anthropic-version");
	free(text);
	model.m.headers = &name;
	model.m.header_count = 1;
	text = model_render(&model);
	assert_has(text,
		"\thttp-request del-header Anthropic-Version unless { fe_name relay-internal }\n");
	assert_lacks(text, "|anthropic-version|");
	assert_before(text, "del-header Anthropic-Version", "set-header Anthropic-Version");
	free(text);
}

/* The wait is behind the decision, and behind the tracking, without which the slot would be healed. */
static void waits_for_a_body_only_where_it_can_be_replayed(void **state)
{
	static const struct {
		const char *replay;
		const char *buffer;
		const char *limit;
	} rows[] = {
		{NULL, "\ttune.bufsize 65536\n\ttune.maxrewrite 8192\n", "le 47000 }\n"},
		{"48k", "\ttune.bufsize 65536\n\ttune.maxrewrite 8192\n", "le 47000 }\n"},
		{"144k", "\ttune.bufsize 163840\n\ttune.maxrewrite 16384\n", "le 143000 }\n"},
		{"off", "\ttune.bufsize 65536\n\ttune.maxrewrite 8192\n", NULL},
	};
	static const char rule[] = " if relay_retry { req.hdr_val(content-length) le ";
	struct model model;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		model_init(&model);
		model.m.options.replay_body = rows[i].replay;
		char *text = model_render(&model);
		assert_has(text, rows[i].buffer);
		char *client = section_of(text, "frontend relay-in ");
		assert_lacks(client, "http-buffer-request");
		assert_before(client, "send-spoe-group relay decide\n", "wait-for-body");
		assert_before(client, "track-sc0", "wait-for-body");
		assert_int_equal(count_of(client, rule), rows[i].limit ? 2 : 0);
		if (rows[i].limit)
			assert_int_equal(count_of(client, rows[i].limit), 2);
		free(text);
	}
}

static void copies_no_body_where_none_is_replayed(void **state)
{
	struct model model;

	(void)state;
	model_init(&model);
	model.m.options.replay_body = "off";
	char *text = model_render(&model);
	assert_has(section_of(text, "defaults relay-egress-defaults "),
		"\thttp-request disable-l7-retry unless { method GET HEAD }\n");
	free(text);
	model.m.options.replay_body = "47k";
	assert_non_null(strstr(model_refusal(&model), "48k, 144k or off"));
}

static void brings_a_location_below_the_upstream_back(void **state)
{
	static const char condition[] = " if { status 201 202 301:308 }\n";
	struct model model;

	(void)state;
	model_init(&model);
	model.backends[0].host_header = "api.example:8443";
	char *text = model_render(&model);
	assert_has(text,
		"\thttp-response replace-header Location '^(https?://api\\.example:8443)(/.*)$' '\\2'");
	assert_int_equal(count_of(text, condition), 2 * model.m.backend_count);
	free(text);
	model.backends[0].prefix = "/a.b/c%20d";
	model.backends[0].strip = "/v1%x";
	text = model_render(&model);
	assert_has(
		text, " Location '^(https?://api\\.example:8443)?/a\\.b/c%20d(/.*)$' '/v1%%x\\2'");
	free(text);
	model.backends[0].strip = "/v1' if TRUE";
	assert_non_null(strstr(model_refusal(&model), "path prefix to strip"));
	model.backends[0].strip = "/v1";
	model.backends[0].prefix = "/a\\1";
	assert_non_null(strstr(model_refusal(&model), "path prefix of an upstream"));
}

static void lets_only_listed_pages_read(void **state)
{
	struct model model;

	(void)state;
	model_init(&model);
	char *text = model_render(&model);
	assert_lacks(text, "rly.origin");
	assert_lacks(text, "Access-Control-");
	assert_lacks(text, "access-control-");
	free(text);
	snprintf(model.config.cors_origins.s, sizeof(model.config.cors_origins.s),
		" https://a.example,, http://b.example:8080 ");
	text = model_render(&model);
	assert_has(text,
		"\thttp-request set-var(txn.rly.origin) req.fhdr(origin,-1)"
		" if { req.fhdr(origin,-1) -m str https://a.example http://b.example:8080 }\n");
	assert_before(text, "http-request return status 204 ", "if { method TRACE CONNECT }");
	assert_before(text, "http-request return status 204 ", "send-spoe-group relay decide\n");
	assert_before(text, "http-after-response add-header Vary Origin\n",
		"http-after-response allow if !{");
	assert_lacks(text, "Allow-Credentials");
	/* the upstream sees nothing of the page, and says nothing to it: two frontends, one rule for requests */
	assert_int_equal(count_of(text, "access-control-.*"), 3);
	free(text);
	snprintf(model.config.cors_origins.s, sizeof(model.config.cors_origins.s), "*");
	text = model_render(&model);
	assert_has(text,
		"\thttp-request set-var(txn.rly.origin) str(*) if { req.fhdr(origin,-1) -m found }\n");
	assert_lacks(text, "Vary Origin");
	assert_lacks(text, "Allow-Credentials");
	free(text);
}

static void bounds_bodies_with_and_without_a_length(void **state)
{
	struct model model;

	(void)state;
	model_init(&model);
	model.config.requests_max_body = 1000;
	char *text = model_render(&model);
	char *client = section_of(text, "frontend relay-in ");
	assert_before(client, "if { req.hdr_val(content-length) gt 1000 }\n", "send-spoe-group");
	assert_before(client, "send-spoe-group relay decide\n", " at-least 1001 if relay_allowed ");
	assert_int_equal(count_of(client, " { req.body_size gt 1000 }\n"), 2);
	free(text);
	model.config.requests_max_body = 100000;
	text = model_render(&model);
	assert_has(text, " { req.body_size gt 47000 }\n");
	free(text);
}

static void removes_every_kind_of_headers(void **state)
{
	struct model model;

	(void)state;
	model_init(&model);
	char *text = model_render(&model);
	char *client = section_of(text, "frontend relay-in ");
	assert_int_equal(count_of(client, "{ var(txn.relay.kinds) -m sub ;"),
		SEAM_KIND_PLACES * strlen(SEAM_KIND_CHARACTERS));
	assert_has(client,
		"\thttp-request del-header 'p$' -m reg if { var(txn.relay.kinds) -m sub ;p0; }\n");
	assert_has(client,
		"\thttp-request del-header '9....$' -m reg if { var(txn.relay.kinds) -m sub ;94; }\n");
	assert_before(client, ORDINARY, "if relay_allowed { var(txn.relay.hops) -m found }");
	assert_before(client, "if relay_allowed { var(txn.relay.hops) -m found }", "-m sub ;p0;");
	free(text);
}

static void never_balances_to_the_server_of_an_egress(void **state)
{
	struct model model;

	(void)state;
	model_init(&model);
	model_widen(&model);
	char *text = model_render(&model);
	assert_int_equal(count_of(text, "\tuse-server out if TRUE\n"), 7 + 5);
	assert_int_equal(count_of(text, "\tserver out "), 7 + 5);
	assert_int_equal(count_of(text, " weight 0"), 3 * 5); /* `out` twice, and `fresh` */
	assert_has(text, "server out 127.0.0.1:9000 weight 0 source 127.0.0.5 ");
	assert_has(text, "server out [::1]:9443 weight 0 source [::1] ssl verify required");
	assert_has(text, " socks4 127.0.0.1:1080 ssl verify required");
	assert_int_equal(count_of(text, "ssl verify required"), 4 + 3 + 3);
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
		cmocka_unit_test(opens_a_backend_only_for_what_is_allowed),
		cmocka_unit_test(asks_with_the_arguments_of_each_message),
		cmocka_unit_test(asks_for_one_byte_beyond_every_bound),
		cmocka_unit_test(keeps_the_requests_of_control_apart),
		cmocka_unit_test(sends_the_secret_only_where_no_local_socket_is),
		cmocka_unit_test(refuses_with_every_status_of_the_table),
		cmocka_unit_test(never_lets_a_credential_header_pass),
		cmocka_unit_test(every_header_for_credentials_is_fixed),
		cmocka_unit_test(an_extra_header_for_credentials_is_set_once),
		cmocka_unit_test(keeps_exceptions_out_of_a_prefix),
		cmocka_unit_test(needs_no_look_ahead),
		cmocka_unit_test(continues_a_long_list_in_a_second_rule),
		cmocka_unit_test(sets_every_slot_once),
		cmocka_unit_test(removes_every_kind_of_headers),
		cmocka_unit_test(waits_for_a_body_only_where_it_can_be_replayed),
		cmocka_unit_test(copies_no_body_where_none_is_replayed),
		cmocka_unit_test(brings_a_location_below_the_upstream_back),
		cmocka_unit_test(lets_only_listed_pages_read),
		cmocka_unit_test(bounds_bodies_with_and_without_a_length),
		cmocka_unit_test(keeps_a_header_that_control_sends_in_probes),
		cmocka_unit_test(never_balances_to_the_server_of_an_egress),
		cmocka_unit_test(looks_names_up_in_the_family_of_the_egress),
		cmocka_unit_test(checks_the_name_in_a_certificate_where_haproxy_can),
		cmocka_unit_test(lets_the_client_wait_longer_than_any_upstream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
