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
	const char *again = section_of(text, "frontend relay-again ");

	(void)state;
	assert_before(again, "send-spoe-group relay again\n", "send-spoe-group relay again2");
	assert_before(again, "send-spoe-group relay again2", "del-header authorization\n");
	assert_before(again, "-m str deny", "del-header authorization\n");
	assert_before(again, "unless { var(txn.relay.action) -m str allow }", "del-header");
	assert_before(again, "del-header authorization\n", "set-header Authorization");
	assert_before(again, "del-header x-api-key\n", "set-header x-api-key");
	assert_before(again, "replace-header anthropic-beta", "set-header anthropic-beta");
	assert_before(again, "del-header X-Extra\n", "set-header X-Extra");
	assert_before(again, "set-header X-Extra", "use_backend");
	assert_lacks(again, "set-path");
	free(text);
}

static void goes_by_the_identity_and_the_shape_of_the_first_attempt(void **state)
{
	struct model model;
	char *text = rendered(&model);
	const char *again = section_of(text, "frontend relay-again ");

	(void)state;
	assert_has(again, "\tunique-id-format %[fc_pp_unique_id]\n");
	assert_has(again, " accept-proxy\n\toption http-buffer-request\n");
	assert_before(again, "{ var(txn.relay.shape) -m str anthropic }", "-m str deny");
	assert_has(again, "track-sc0 var(txn.relay.track) table relay-track");
	free(text);
}

static void takes_back_only_what_has_another_account(void **state)
{
	static const char rule[] =
		"\thttp-request disable-l7-retry unless { var(txn.relay.alt) -m bool }\n";
	struct model model;
	char *text = rendered(&model);

	(void)state;
	assert_int_equal(count_of(text, rule), 2);
	assert_has(section_of(text, "frontend relay-internal "), "disable-l7-retry\n");
	assert_has(section_of(text, "frontend relay-again "), rule);
	assert_has(section_of(text, "frontend relay-in "), rule);
	free(text);
}

static void retries_only_from_egress_backends(void **state)
{
	struct model model;
	char *text = rendered(&model);
	const char *token = strstr(text, "\nbackend t1-e2 ");

	(void)state;
	assert_int_equal(count_of(text, "\tretries 1\n"), 1);
	assert_int_equal(count_of(text, "\tretry-on "), 2); /* one of two, by version */
	assert_int_equal(count_of(text, "\tserver again1 "), model.m.backend_count);
	assert_int_equal(count_of(text, "\tserver again2 "), model.m.backend_count);
	assert_int_equal(count_of(text, " from relay-egress-defaults\n"), model.m.backend_count);
	assert_lacks(token, "server again");
	assert_before(text, "\ndefaults relay-defaults", "\tretries 0\n");
	free(text);
}

/* The name is written into `out`. */
static void find_name(const struct model *model, char out[64])
{
	char *text = model_render(model);
	const char *bind = strstr(text, "\tbind abns@relay-again-");

	assert_non_null(bind);
	assert_int_equal(sscanf(bind, "\tbind abns@%63[^ ]", out), 1);
	assert_int_equal(count_of(text, out), 1 + 2 * model->m.backend_count);
	free(text);
}

static void has_a_name_that_no_other_instance_has(void **state)
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
	model_init(&model);
	model.spop.text[0] = 'A';
	find_name(&model, other);
	assert_string_not_equal(name, other);
}

static void tells_the_client_to_come_again_when_it_cannot_take_back(void **state)
{
	static const char condition[] =
		"if { var(txn.relay.alt) -m bool } { status 401 403 429 503 529 }\n";
	struct model model;
	char *text = rendered(&model);
	char *client;

	(void)state;
	assert_int_equal(count_of(text, condition), 4);
	client = section_of(text, "frontend relay-in ");
	assert_before(client, "http-response allow if { srv_name -m beg again }",
		"send-spoe-group relay respond");
	assert_before(client, "send-spoe-group relay respond", "st=%[status];");
	assert_before(client, "st=%[status];", "hdr X-Relay-Error account_switched");
	assert_before(
		client, "hdr X-Relay-Error account_switched", "http-response del-header x-relay-");
	free(text);
}

static size_t check_values(const char *backend, const struct provider_header *h)
{
	char part[96];
	size_t n = 0;

	for (; h && h->key; h++, n++) {
		snprintf(part, sizeof(part), "%s=%%[res.fhdr(%s),bytes(0,%d)];", h->key, h->header,
			RESULT_VALUE_MAX);
		assert_has(backend, part);
	}
	return n;
}

static void check_body(const char *backend, const struct provider *p)
{
	char part[128];
	size_t n = 0;

	for (const struct provider_field *f = p->body_fields; f->key; f++, n++) {
		snprintf(part, sizeof(part), "%s=%%[res.body,json_query('\\$.error.%s'", f->key,
			f->path);
		assert_has(backend, part);
	}
	assert_int_equal(count_of(backend, "res.body,"), n);
	snprintf(part, sizeof(part),
		" if { status %s } { res.hdr(content-type) -m beg application/json }\n",
		p->body_statuses);
	assert_int_equal(count_of(backend, part), 2);
}

static void takes_the_limits_of_the_provider(void **state)
{
	struct model model;

	(void)state;
	for (size_t i = 0; i < provider_count(); i++) {
		const struct provider *p = provider_at(i);
		model_init(&model);
		model.backends[1].provider = p;
		char *text = model_render(&model);
		char *backend = section_of(text, "backend b2-demo-five ");
		size_t n = check_values(backend, result_common_headers());
		n += check_values(backend, p->limit_headers);
		assert_int_equal(count_of(backend, "res.fhdr("), n);
		size_t families = 0;
		while (p->limit_prefixes && p->limit_prefixes[families])
			families++;
		assert_int_equal(count_of(backend, "res.hdr_names -m sub "), families);
		check_body(backend, p);
		assert_before(backend, "http-response allow if { srv_name -m beg again }",
			"set-var-fmt(txn.relay.lim)");
		free(text);
	}
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
		cmocka_unit_test(has_a_name_that_no_other_instance_has),
		cmocka_unit_test(tells_the_client_to_come_again_when_it_cannot_take_back),
		cmocka_unit_test(takes_the_limits_of_the_provider),
		cmocka_unit_test(checks_every_backend_from_its_own_address),
		cmocka_unit_test(asks_the_agent_how_a_server_is),
		cmocka_unit_test(gives_up_earlier_within_an_attempt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
