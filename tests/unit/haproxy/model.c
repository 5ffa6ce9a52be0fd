#include "tests/unit/haproxy/model.h"

#include <errno.h>
#include <stdlib.h>

static const char *const extra[] = {"X-Extra", "chatgpt-account-id", "x-extra"};
static const char *const deny[] = {"X-Internal-*", "Server-Timing"};
static const char *const allow[] = {"x-forwarded-for", "via", "X-API-Key"};

static struct address parsed(const char *text)
{
	struct address address;
	struct errtext e;

	assert_int_equal(address_parse(slice_from_str(text), &address, &e), 0);
	return address;
}

void model_init(struct model *model)
{
	*model = (struct model){0};
	config_init(&model->config);
	model->spop = parsed("abns:relay-test");
	model->backends[0] = (struct render_backend){
		.name = "b1-demo-direct",
		.host = "127.0.0.1",
		.port = 9000,
		.host_header = "127.0.0.1:9000",
		.provider = provider_at(0),
		.egress = RENDER_EGRESS_DIRECT,
	};
	model->backends[1] = (struct render_backend){
		.name = "b2-demo-five",
		.host = "localhost",
		.port = 9000,
		.host_header = "up.example",
		.provider = provider_at(0),
		.egress = RENDER_EGRESS_SOURCE,
		.egress_address = "127.0.0.5",
		.first_byte_timeout_ms = 2000,
	};
	model->m = (struct render_model){
		.config = &model->config,
		.gen = 7,
		.output_dir = "/etc/spoa-relay/haproxy",
		.spop = &model->spop,
		.spop_count = 1,
		.socket_dir = "/run/spoa-relay",
		.haproxy_uid = RENDER_UID_NONE,
		.internal_uid = RENDER_UID_NONE,
		.records = parsed("udp:127.0.0.1:9001"),
		.id_key = "a2V5IG9mIHRoZSBpZHMgb2YgYWxsIHJlcXVlc3RzICE=",
		.backends = model->backends,
		.backend_count = 2,
	};
	model->m.options.binds[0] = "127.0.0.1:8080";
	model->m.options.bind_count = 1;
}

void model_widen(struct model *model)
{
	struct render_model *m = &model->m;
	const struct render_backend tls = {
		.name = "b3-tls-direct",
		.host = "localhost",
		.port = 9443,
		.tls = true,
		.host_header = "localhost",
		.provider = provider_at(0),
		.egress = RENDER_EGRESS_DIRECT,
	};

	model->backends[2] = tls;
	model->backends[3] = tls;
	model->backends[3].name = "b4-tls-six";
	model->backends[3].host = "::1";
	model->backends[3].egress = RENDER_EGRESS_SOURCE;
	model->backends[3].egress_address = "::1";
	model->backends[4] = tls;
	model->backends[4].name = "b5-tls-socks";
	model->backends[4].egress = RENDER_EGRESS_SOCKS4;
	model->backends[4].egress_address = "127.0.0.1:1080";
	model->backends[4].first_byte_timeout_ms = 3600000;
	m->backend_count = 5;
	model->internal[0] = model->backends[4];
	model->internal[0].name = "t1-e2";
	model->internal[1] = model->backends[1];
	model->internal[1].name = "c-e3";
	m->internal = model->internal;
	m->internal_count = 2;
	m->haproxy_uid = 107;
	m->internal_socket = "/run/spoa-relay/haproxy-internal.sock";
	m->internal_uid = 996;
	m->options.accept_proxy = true;
	m->options.trusted[0] = "10.0.0.0/8";
	m->options.trusted[1] = "fd00::/8";
	m->options.trusted_count = 2;
	m->options.stats = "127.0.0.1:8404";
	m->secret = "a$ecret#{with}%signs";
	m->records_have_secret = true;
	m->headers = extra;
	m->header_count = 3;
	m->request_deny = m->response_deny = deny;
	m->request_deny_count = m->response_deny_count = 2;
	m->request_allow = allow;
	m->request_allow_count = 3;
	model->config.requests_max_body = 100000;
}

char *model_render(const struct model *model)
{
	struct buffer text = {0};
	struct errtext e = {""};
	int error = render_config(&model->m, &text, &e);

	if (!error)
		error = render_spoe(&model->m, &text, &e);
	if (error)
		fail_msg("%s", e.text);
	char *copy = strdup(buffer_str(&text));
	buffer_fini(&text);
	assert_non_null(copy);
	return copy;
}

const char *model_refusal(const struct model *model)
{
	static struct errtext e;
	struct buffer text = {0};

	e.text[0] = '\0';
	assert_int_equal(render_config(&model->m, &text, &e), -EINVAL);
	assert_int_equal(text.len, 0);
	buffer_fini(&text);
	return e.text;
}
