#include "tests/unit/haproxy/model.h"
#include "tests/unit/haproxy/text.h"

#include "common/result.h"

#include <stdio.h>
#include <stdlib.h>

static char *rendered(struct model *model)
{
	model_init(model);
	model_widen(model);
	return model_render(model);
}

static void deletes_what_the_first_account_set_before_it_sets_the_next_ones(void **state)
{
	struct model model;
	char *text = rendered(&model);
	char *egress = strdup(section_of(text, "defaults relay-egress-defaults "));

	(void)state;
	free(text);
	text = rendered(&model);
	const char *again = section_of(text, "frontend relay-again ");
	assert_before(again, "send-spoe-group relay again\n", "send-spoe-group relay again2");
	assert_before(again, "send-spoe-group relay again2", "-m str deny");
	assert_before(again, "unless relay_allowed", "replace-header anthropic-beta");
	assert_lacks(again, "http-request set-header");
	assert_lacks(again, "set-path");
	for (size_t i = 0; i < provider_auth_count(); i++)
		assert_has(egress, provider_auth_at(i)->header);
	assert_before(egress, "|x-extra|", "set-header X-Extra");
	assert_before(egress, "|connection|", "set-header Connection close");
	assert_lacks(egress, "set-path");
	free(egress);
	free(text);
}

static void goes_by_the_identity_and_the_shape_of_the_first_attempt(void **state)
{
	struct model model;
	char *text = rendered(&model);
	const char *again = section_of(text, "frontend relay-again ");

	(void)state;
	assert_has(again, "\tunique-id-format %[fc_pp_unique_id]\n");
	assert_before(again, "\ttcp-request session silent-drop unless { fc_pp_unique_id ",
		"\tunique-id-format");
	assert_lacks(again, "http-buffer-request");
	assert_before(again, "\thttp-request wait-for-body ", "send-spoe-group relay again\n");
	assert_before(again, "{ var(txn.relay.shape) -m str anthropic }", "-m str deny");
	assert_has(again, "track-sc0 var(txn.relay.track) table relay-track");
	free(text);
}

static void takes_back_only_what_has_another_account(void **state)
{
	static const char rule[] =
		"\thttp-request disable-l7-retry unless { var(txn.relay.alt) -m bool }"
		" || { var(txn.relay.resend) -m bool }\n";
	struct model model;
	char *text = rendered(&model);

	(void)state;
	assert_int_equal(count_of(text, rule), 1);
	assert_has(section_of(text, "defaults relay-egress-defaults "), rule);
	assert_has(section_of(text, "frontend relay-internal "), "disable-l7-retry\n");
	free(text);
}

static void retries_only_from_egress_backends(void **state)
{
	struct model model;
	char *text = rendered(&model);
	const char *token = strstr(text, "\nbackend t1-e2 ");

	(void)state;
	assert_int_equal(count_of(text, "\tretries 1\n"), 1);
	size_t backends = 2 * model.m.backend_count;
	/* one of two, by version; the second backend of an egress takes no answer back */
	assert_int_equal(count_of(text, "\tretry-on "), 2 + model.m.backend_count);
	assert_int_equal(
		count_of(text, "\tretry-on conn-failure empty-response\n"), model.m.backend_count);
	assert_int_equal(count_of(text, "\tserver again1 "), 2 * backends);
	assert_int_equal(count_of(text, "\tserver again2 "), 2 * backends);
	assert_int_equal(count_of(text, " from relay-egress-defaults\n"), backends);
	assert_lacks(token, "server again");
	assert_before(text, "\ndefaults relay-defaults", "\tretries 0\n");
	assert_has(section_of(text, "backend b1-demo-direct.once "),
		"\tretry-on conn-failure empty-response\n");
	free(text);
}

/* The name is written into `out`. */
static void find_name(const struct model *model, char out[64])
{
	char *text = model_render(model);
	const char *bind = strstr(text, "\tbind 'unix@/run/spoa-relay/relay-again-");

	assert_non_null(bind);
	assert_int_equal(sscanf(bind, "\tbind 'unix@%63[^']", out), 1);
	assert_int_equal(count_of(text, out), 1 + 8 * model->m.backend_count);
	free(text);
}

static void has_a_name_for_each_output_directory(void **state)
{
	struct model model;
	char name[64];
	char other[64];

	(void)state;
	model_init(&model);
	find_name(&model, name);
	model.m.gen++;
	find_name(&model, other);
	assert_string_equal(name, other);
	model.m.output_dir = "/somewhere/else";
	find_name(&model, other);
	assert_string_not_equal(name, other);
}

static void tells_the_client_to_come_again_when_it_cannot_take_back(void **state)
{
	static const char condition[] =
		"relay_switched { var(txn.relay.alt) -m bool }"
		" || relay_event relay_event_known { var(txn.relay.alt) -m bool }\n";
	struct model model;
	char *text = rendered(&model);
	char *client;

	(void)state;
	assert_int_equal(count_of(text, condition), 4);
	assert_int_equal(count_of(text, "\tacl relay_switched status 401 403 429 503 529\n"), 2);
	client = section_of(text, "frontend relay-in ");
	assert_before(client, "http-response allow if { srv_name -m beg again }",
		"send-spoe-group relay respond");
	assert_before(
		client, "send-spoe-group relay respond", "hdr X-Relay-Error account_switched");
	assert_before(client, "http-response allow if { status lt 400 }",
		"send-spoe-group relay respond");
	assert_before(client, "http-response del-header '^(x-relay-.*|",
		"http-response allow if { status lt 400 }");
	for (size_t i = 0; i < provider_count(); i++) {
		const struct provider_event *e = provider_at(i)->events;
		for (; e && e->word; e++)
			assert_has(client, e->word);
	}
	free(text);
}

static size_t check_values(const char *backend, const struct provider_header *h)
{
	char part[96];
	size_t n = 0;

	for (; h && h->key; h++, n++) {
		snprintf(part, sizeof(part), "%s=%%[res.fhdr(%s),field(1,;),bytes(0,%d)];", h->key,
			h->header, RESULT_VALUE_MAX);
		assert_has(backend, part);
	}
	return n;
}

static void check_body(const char *backend, const struct provider *p)
{
	char part[128];
	size_t n = 0;

	for (const struct provider_field *f = p->body_fields; f->key; f++, n++) {
		snprintf(part, sizeof(part),
			"%s=%%[res.body,bytes(0,4096),json_query('\\$.error.%s'", f->key, f->path);
		assert_has(backend, part);
	}
	/* once for the response that the client gets, once for one that HAProxy takes back */
	assert_int_equal(count_of(backend, "json_query('\\$.error."), 2 * n);
	assert_lacks(backend, "wait-for-body");
}

/* Without the events, which name the same fields. */
static struct provider without_events(const struct provider *p)
{
	struct provider copy = *p;

	copy.event_fields = NULL;
	return copy;
}

static void takes_the_limits_of_the_provider(void **state)
{
	struct model model;

	(void)state;
	for (size_t i = 0; i < provider_count(); i++) {
		const struct provider p = without_events(provider_at(i));
		model_init(&model);
		model.backends[1].provider = &p;
		char *text = model_render(&model);
		char *backend = section_of(text, "backend b2-demo-five ");
		size_t common = check_values(backend, result_common_headers());
		size_t own = check_values(backend, p.limit_headers);
		size_t id = p.id_header ? 1 : 0;
		assert_int_equal(count_of(backend, "res.fhdr("), id + 2 * common + 3 * own);
		assert_int_equal(count_of(backend, " if { status lt 400 } { res.hdr_names -m sub "),
			p.limit_headers ? 1 : 0);
		for (size_t f = 0; p.limit_prefixes && p.limit_prefixes[f]; f++)
			assert_has(backend, p.limit_prefixes[f]);
		check_body(backend, &p);
		assert_before(backend, "http-response allow if { srv_name -m beg again }",
			"set-var-fmt(txn.relay.lim)");
		free(text);
	}
}

static void tells_the_next_attempt_what_was_taken_back(void **state)
{
	static const char field[] =
		" set-proxy-v2-tlv-fmt(0xE1) %[var(txn.relay.failed),bytes(0,1000)]"
		" pool-max-conn 0\n";
	struct model model;
	char *text = rendered(&model);

	(void)state;
	/* the answer, and in each of the two backends of an egress whether the connection was used before */
	assert_int_equal(count_of(text, "\ttcp-response content "), 5 * model.m.backend_count);
	assert_int_equal(
		count_of(text, ".failed) \"ru=%[bc_reused];\" if {"), 2 * model.m.backend_count);
	assert_int_equal(
		count_of(text, ".failed) \"po=%[bc_src_port];\" if {"), 2 * model.m.backend_count);
	assert_int_equal(count_of(text, field), 4 * model.m.backend_count);
	assert_before(text, "set-var-fmt(txn.rly.failed) \"%[fc_pp_tlv(0xE1)]st=0;ru=none;\"",
		".elif version_atleast(3.0)");
	assert_int_equal(count_of(text, " failed=var(txn.rly.failed),bytes(0,1025)\n"), 2);
	assert_before(text, "set-var-fmt(txn.rly.failed) \"%[fc_pp_tlv(0xE1)]st=0;\"",
		"send-spoe-group relay again\n");
	/* the rule waits as long as for the response itself, and only where it can be taken back */
	const char *backend = section_of(text, "backend b2-demo-five ");
	assert_has(backend,
		".if version_atleast(3.0)\n"
		"\t# For the next attempt: the response that another account replaces.\n"
		"\ttcp-response inspect-delay 2000ms\n"
		"\ttcp-response content set-var-fmt(txn.relay.failed) \"st=%[status];ra=");
	assert_has(backend, "\" if { var(txn.relay.alt) -m bool } { status ge 400 }\n.endif\n");
	free(text);
}

static void reads_the_error_at_the_head_of_a_stream(void **state)
{
	struct model model;
	char *text = rendered(&model);
	const char *backend = section_of(text, "backend b2-demo-five ");
	const char *rule = strstr(backend, "set-var-fmt(txn.relay.lim) \"st=%[status];ev=.");

	(void)state;
	assert_non_null(rule);
	assert_has(rule,
		";%[var(txn.relay.lim)]\" if { status 200 }"
		" { res.fhdr(content-type) -i -m beg text/event-stream } relay_event\n");
	assert_int_equal(count_of(backend, "\tacl relay_event "), 2);
	free(text);
}

static void asks_for_plain_answers_of_models_only(void **state)
{
	struct model model;

	(void)state;
	for (size_t i = 0; i < provider_count(); i++) {
		const struct provider *p = provider_at(i);
		model_init(&model);
		model.backends[1].provider = p;
		char *text = model_render(&model);
		char *backend = section_of(text, "backend b2-demo-five ");
		char *rule = strstr(backend,
			"\thttp-request set-header Accept-Encoding identity if { method POST }"
			" { path -m end /");
		if (!rule)
			rule = strstr(backend, " if { method POST } { path -m end :");
		assert_non_null(rule);
		*strchr(rule + 1, '\n') = '\0';
		for (size_t k = 0; p->generation_paths[k]; k++)
			assert_has(rule, p->generation_paths[k]);
		free(text);
	}
}

static void closes_idle_connections_before_the_upstream_does(void **state)
{
	struct model model;
	char *text = rendered(&model);

	(void)state;
	assert_int_equal(count_of(text, " pool-max-conn 100 pool-purge-delay 1s"),
		2 * model.m.backend_count);
	assert_int_equal(count_of(text, "\tserver fresh "), model.m.backend_count);
	assert_int_equal(
		count_of(text, "/out pool-max-conn 0 tcp-ut 15s\n"), model.m.backend_count);
	assert_before(text, "\tuse-server fresh if { fe_name relay-again }",
		"\tuse-server out if TRUE\n");
	assert_has(section_of(text, "frontend relay-again "),
		"\thttp-request set-bc-tos 0 if { var(txn.relay.fresh) -m bool }"
		" || !{ var(txn.relay.alt) -m bool }\n");
	free(text);
}

static void checks_every_backend_from_its_own_address(void **state)
{
	struct model model;
	char *text = rendered(&model);

	(void)state;
	assert_int_equal(count_of(text, " check inter 10s fall 3 rise 1"), model.m.backend_count);
	assert_has(text, " source 127.0.0.5 check inter");
	assert_int_equal(count_of(text, " no-check-ssl"), 3);
	assert_int_equal(count_of(text, " check-via-socks4"), 1);
	assert_lacks(text, "agent-check");
	free(text);
}

static void asks_the_agent_how_a_server_is(void **state)
{
	struct model model;
	struct address check;
	struct errtext e;

	(void)state;
	model_init(&model);
	model.m.check = &check;
	assert_int_equal(address_parse(SLICE_LITERAL("tcp:127.0.0.1:9005"), &check, &e), 0);
	char *text = model_render(&model);
	assert_has(text,
		" agent-check agent-addr 127.0.0.1 agent-port 9005 agent-inter 2s"
		" agent-send \"b1-demo-direct\\n\"");
	assert_int_equal(count_of(text, " agent-check "), 2);
	free(text);
	assert_int_equal(address_parse(SLICE_LITERAL("tcp:[::1]:9005"), &check, &e), 0);
	text = model_render(&model);
	assert_has(text, " agent-addr ::1 agent-port 9005 ");
	free(text);
}

static void gives_up_earlier_within_an_attempt(void **state)
{
	struct model model;
	char *text = rendered(&model);
	const char *backend = section_of(text, "backend b2-demo-five ");

	(void)state;
	assert_has(backend, "\ttimeout server 2000ms\n");
	assert_has(backend, "set-timeout server 1960ms if { var(txn.relay.mark) -m beg 2. }");
	assert_has(backend, "set-timeout server 1920ms if { var(txn.relay.mark) -m beg 3. }");
	assert_has(backend, "set-timeout server 1880ms if { var(txn.relay.mark) -m beg 4. }");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deletes_what_the_first_account_set_before_it_sets_the_next_ones),
		cmocka_unit_test(goes_by_the_identity_and_the_shape_of_the_first_attempt),
		cmocka_unit_test(takes_back_only_what_has_another_account),
		cmocka_unit_test(retries_only_from_egress_backends),
		cmocka_unit_test(has_a_name_for_each_output_directory),
		cmocka_unit_test(tells_the_client_to_come_again_when_it_cannot_take_back),
		cmocka_unit_test(takes_the_limits_of_the_provider),
		cmocka_unit_test(tells_the_next_attempt_what_was_taken_back),
		cmocka_unit_test(reads_the_error_at_the_head_of_a_stream),
		cmocka_unit_test(asks_for_plain_answers_of_models_only),
		cmocka_unit_test(closes_idle_connections_before_the_upstream_does),
		cmocka_unit_test(checks_every_backend_from_its_own_address),
		cmocka_unit_test(asks_the_agent_how_a_server_is),
		cmocka_unit_test(gives_up_earlier_within_an_attempt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
