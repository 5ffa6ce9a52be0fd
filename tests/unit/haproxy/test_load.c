/*
 * The rendered files, loaded by the installed HAProxy: alone and after a configuration like Debian's.
 * `test_load --write DIR BIND SPOP RECORDS PORT [TLSPORT CA]` writes the files instead, for the
 * end-to-end tests that load them in other versions; options come from the environment.
 */
#include "tests/unit/haproxy/model.h"

#include "haproxy/runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char users_own[] = "global\n\tca-base /etc/ssl/certs\n\tmaxconn 100\n"
				"defaults\n\tmode http\n\tlog global\n\toption httplog\n"
				"\ttimeout connect 5s\n\ttimeout client 50s\n\ttimeout server 50s\n"
				"frontend mine\n\tbind abns@relay-load-test-mine\n";

static void write_file(const char *dir, const char *name, const char *before, struct buffer *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(before, f);
	fwrite(buffer_str(text), 1, text->len, f);
	assert_int_equal(fclose(f), 0);
	buffer_fini(text);
}

static void write_files(const struct render_model *m, const char *before)
{
	struct buffer cfg = {0};
	struct buffer spoe = {0};
	struct errtext e = {""};

	if (render_config(m, &cfg, &e) || render_spoe(m, &spoe, &e))
		fail_msg("%s", e.text);
	write_file(m->output_dir, RENDER_CFG_NAME, before, &cfg);
	write_file(m->output_dir, RENDER_SPOE_NAME, "", &spoe);
}

static void loads(struct model *model, const char *before)
{
	char dir[] = "/tmp/relay-load.XXXXXX";
	char path[64];
	struct errtext e = {""};

	assert_non_null(mkdtemp(dir));
	model->m.output_dir = dir;
	model->m.socket_dir = dir;
	model->m.haproxy_uid = model->m.internal_uid = geteuid();
	write_files(&model->m, before);
	snprintf(path, sizeof(path), "%s/" RENDER_CFG_NAME, dir);
	if (runtime_check("haproxy", path, 60000, &e))
		fail_msg("%s", e.text);
	unlink(path);
	snprintf(path, sizeof(path), "%s/" RENDER_SPOE_NAME, dir);
	unlink(path);
	rmdir(dir);
	model->m.output_dir = NULL;
}

static void loads_alone(void **state)
{
	struct model model;

	(void)state;
	model_init(&model);
	loads(&model, "");
	model_widen(&model);
	loads(&model, "");
}

static void loads_after_the_users_own(void **state)
{
	struct model model;

	(void)state;
	model_init(&model);
	model_widen(&model);
	loads(&model, users_own);
}

static void take_environment(struct model *model)
{
	struct render_model *m = &model->m;
	const char *value;

	m->secret = getenv("SAMPLE_SECRET");
	m->records_have_secret = m->secret != NULL;
	m->options.cert = getenv("SAMPLE_CERT");
	m->options.stats = getenv("SAMPLE_STATS");
	m->options.replay_body = getenv("SAMPLE_REPLAY");
	m->options.accept_proxy = getenv("SAMPLE_PROXY") != NULL;
	m->options.trusted_count = (m->options.trusted[0] = getenv("SAMPLE_TRUST")) != NULL;
	m->admin_socket = getenv("SAMPLE_ADMIN");
	m->internal_socket = getenv("SAMPLE_INTERNAL");
	model->config.requests_max_body =
		(value = getenv("SAMPLE_MAX_BODY")) ? strtoull(value, NULL, 10) : 0;
}

static struct address address_of(const char *text)
{
	struct address address = {0};
	struct errtext e = {""};

	if (address_parse(slice_from_str(text), &address, &e)) {
		fprintf(stderr, "%s\n", e.text);
		exit(2);
	}
	return address;
}

static uint16_t port_of(const char *text)
{
	return (uint16_t)strtoul(text, NULL, 10);
}

static void take_tls(struct model *model, char **args)
{
	for (size_t i = 2; i < model->m.backend_count; i++) {
		model->backends[i].port = port_of(args[0]);
		model->backends[i].ca_file = args[1];
	}
	model->backends[4].host = "other.localhost";
	model->backends[4].egress = RENDER_EGRESS_DIRECT;
}

static void take_check(struct render_model *m, struct address *check)
{
	const char *text = getenv("SAMPLE_CHECK");

	if (!text)
		return;
	*check = address_of(text);
	m->check = check;
}

static int write_sample(int argc, char **argv)
{
	struct model model;
	struct address check;

	model_init(&model);
	model_widen(&model);
	take_environment(&model);
	take_check(&model.m, &check);
	model.m.output_dir = model.m.socket_dir = argv[0];
	model.m.haproxy_uid = model.m.internal_uid = geteuid();
	model.m.options.binds[0] = argv[1];
	model.spop = address_of(argv[2]);
	model.m.records = address_of(argv[3]);
	model.backends[0].port = model.backends[1].port = port_of(argv[4]);
	if (argc == 7)
		take_tls(&model, argv + 5);
	model.backends[0].provider = provider_find(SLICE_LITERAL("codex"));
	model.backends[1].provider = provider_find(SLICE_LITERAL("anthropic"));
	model.internal[0] = model.backends[0];
	model.internal[0].name = "t1-e2";
	model.internal[1].port = port_of(argv[4]);
	model.backends[5] = model.backends[0];
	model.backends[5].name = "b6-refused";
	model.backends[5].port = 1;
	model.backends[6] = model.backends[1];
	model.backends[6].name = "b7-openai";
	model.backends[6].provider = provider_find(SLICE_LITERAL("openai"));
	model.m.backend_count = 7;
	write_files(&model.m, "");
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loads_alone),
		cmocka_unit_test(loads_after_the_users_own),
	};

	if (argc >= 7 && strcmp(argv[1], "--write") == 0)
		return write_sample(argc - 2, argv + 2);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
