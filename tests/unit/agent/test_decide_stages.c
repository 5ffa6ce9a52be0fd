/* One request and one change at a time: which stage refuses, and with which code. */
#include "world.h"

#include "agent/badkeys.h"
#include "common/provider.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

/*
 * A snapshot of one tenant, key, pool, account and backend; a test may change it before it is
 * opened.
 */
struct small {
	struct snapshot_head head;
	struct snapshot_tenant tenant;
	struct snapshot_key key;
	struct snapshot_account account;
	struct snapshot_backend backend;
	struct snapshot_header header;
	const char *prefix, *strip, *tenant_networks, *key_networks;
	const char *provider;
	struct decide_request request;
	char key_text[RELAYKEY_LEN + 1];
	bool draining;
	int64_t unsettled_ms;
	uint32_t upstream_flags;
	const char *banned; /* one network, NULL = none */
	struct badkeys *badkeys;
};

static struct small small_world(void)
{
	struct small s = {
		.head = {.flags = SNAPSHOT_SITE_ENABLED, .keybase = 3, .version = 1},
		.tenant = {.id = 4, .flags = SNAPSHOT_TENANT_ENABLED, .pool_id = 6},
		.key = {.id = 5, .tenant_id = 4},
		.account = {.id = 7, .weight = 1, .egresses = {0, 1}, .headers = {0, 1}},
		.backend = {.id = 8, .first_gen = 2, .last_gen = 4},
		.header = {.first_gen = 1, .last_gen = UINT64_MAX},
		.prefix = "",
		.strip = "",
		.provider = PROVIDER_DEFAULT,
		.tenant_networks = "",
		.key_networks = "",
		.request = {.gen = 3, .id = {1}, .key_lines = 1, .has_src = true},
	};
	s.request.method = SLICE_LITERAL("POST");
	s.request.path = SLICE_LITERAL("/v1/responses");
	assert_int_equal(relaykey_generate(s.key_text), 0);
	return s;
}

static void build(struct small *s, struct buffer *block, struct buffer *base)
{
	struct cidr networks[8];
	size_t n;
	struct snapshot_builder *b = snapshot_builder_new();
	const struct provider *provider = provider_find(slice_from_str(s->provider));
	struct snapshot_upstream upstream = {.id = 1,
		.provider = (uint32_t)provider_index(provider),
		.flags = s->upstream_flags};
	struct snapshot_egress egress = {.id = 2};
	struct snapshot_account_egress choice = {
		.egress = 0, .backends = {0, 1}, .last_gen = UINT64_MAX};
	struct snapshot_pool pool = {.id = 6, .members = {0, 1}};
	struct buffer log = {0};
	struct relaykey_hasher hasher;
	uint32_t member = 0;
	struct snapshot_ban ban = {.expires_ms = WORLD_NOW_MS + 1};

	relaykey_hasher_init(&hasher, s->head.hash_secret);
	relaykey_hash(&hasher, slice_from_str(s->key_text), s->key.hash);
	assert_int_equal(cidr_parse_list(slice_from_str(s->tenant_networks), networks, 8, &n), 0);
	for (size_t i = 0; i < n; i++)
		snapshot_builder_add(b, SNAPSHOT_NETWORK, &networks[i]);
	s->tenant.networks.count = (uint32_t)n;
	s->backend.name = snapshot_builder_text(b, SLICE_LITERAL("b8"));
	s->backend.prefix = snapshot_builder_text(b, slice_from_str(s->prefix));
	s->backend.strip = snapshot_builder_text(b, slice_from_str(s->strip));
	snapshot_builder_add(b, SNAPSHOT_UPSTREAM, &upstream);
	snapshot_builder_add(b, SNAPSHOT_EGRESS, &egress);
	snapshot_builder_add(b, SNAPSHOT_ACCOUNT_EGRESS, &choice);
	snapshot_builder_add(b, SNAPSHOT_BACKEND, &s->backend);
	snapshot_builder_add(b, SNAPSHOT_HEADER, &s->header);
	snapshot_builder_add(b, SNAPSHOT_ACCOUNT, &s->account);
	snapshot_builder_add(b, SNAPSHOT_MEMBER, &member);
	snapshot_builder_add(b, SNAPSHOT_POOL, &pool);
	snapshot_builder_add(b, SNAPSHOT_TENANT, &s->tenant);
	if (s->banned) {
		assert_int_equal(cidr_parse(slice_from_str(s->banned), &ban.network), 0);
		snapshot_builder_add(b, SNAPSHOT_BAN, &ban);
	}
	assert_int_equal(cidr_parse_list(slice_from_str(s->key_networks), networks, 8, &n), 0);
	s->key.networks.count = (uint32_t)n;
	assert_int_equal(keytable_build(3, &s->key, 1, networks, (uint32_t)n, base), 0);
	assert_int_equal(keytable_build(4, NULL, 0, NULL, 0, &log), 0);
	snapshot_builder_set_keylog(b, buffer_slice(&log));
	assert_int_equal(snapshot_builder_finish(b, &s->head, block), 0);
	snapshot_builder_free(b);
	buffer_fini(&log);
}

/* Decides and copies the path, which the verdict only borrows. */
static enum refusal decide_small(struct small *s, struct decide_verdict *v, char *ret_path)
{
	struct buffer block = {0};
	struct buffer base = {0};
	struct snapshot snapshot;
	struct tables tables;
	struct errtext e;

	build(s, &block, &base);
	assert_int_equal(
		snapshot_open(block.data, block.len, base.data, base.len, &snapshot, &e), 0);
	tables_init(&tables, (struct tables_size){8, 4, 8});
	tables.state.draining = s->draining;
	tables.state.unsettled_ms = s->unsettled_ms;
	tables.state.badkeys = s->badkeys;
	decide(&snapshot, &tables.state, &s->request, WORLD_NOW_MS, 1, v);
	ret_path[0] = '\0';
	strncat(ret_path, v->path_prefix.p ? v->path_prefix.p : "", v->path_prefix.n);
	strncat(ret_path, v->path_rest.p ? v->path_rest.p : "", v->path_rest.n);
	tables_fini(&tables);
	buffer_fini(&block);
	buffer_fini(&base);
	return v->refusal;
}

static enum refusal refusal_of(struct small *s)
{
	struct decide_verdict v;
	char path[2048];

	if (!s->request.key.p)
		s->request.key = slice_from_str(s->key_text);
	return decide_small(s, &v, path);
}

static void allows_a_valid_request(void **state)
{
	struct small s = small_world();

	(void)state;
	assert_int_equal(refusal_of(&s), REFUSAL_NONE);
}

static void says_what_is_wrong_with_a_key(void **state)
{
	struct small s = small_world();

	(void)state;
	s.request.key = SLICE_LITERAL("");
	assert_int_equal(refusal_of(&s), REFUSAL_MISSING_API_KEY);
	s = small_world();
	char flipped[RELAYKEY_LEN + 1];
	memcpy(flipped, s.key_text, sizeof(flipped));
	flipped[10] = flipped[10] == 'a' ? 'b' : 'a';
	s.request.key = slice_from_str(flipped);
	assert_int_equal(refusal_of(&s), REFUSAL_INVALID_API_KEY);
	s = small_world();
	struct small other = small_world();
	s.request.key = slice_from_str(other.key_text);
	assert_int_equal(refusal_of(&s), REFUSAL_INVALID_API_KEY);
	s = small_world();
	s.key.flags = SNAPSHOT_KEY_REVOKED;
	assert_int_equal(refusal_of(&s), REFUSAL_REVOKED_API_KEY);
	s = small_world();
	s.key.expires_ms = WORLD_NOW_MS;
	assert_int_equal(refusal_of(&s), REFUSAL_EXPIRED_API_KEY);
	s.key.expires_ms = WORLD_NOW_MS + 1;
	assert_int_equal(refusal_of(&s), REFUSAL_NONE);
	s = small_world();
	s.request.key_lines = 2;
	assert_int_equal(refusal_of(&s), REFUSAL_BAD_REQUEST);
}

static void refuses_a_disabled_or_deleted_tenant(void **state)
{
	struct small s = small_world();

	(void)state;
	s.tenant.flags = 0;
	assert_int_equal(refusal_of(&s), REFUSAL_TENANT_DISABLED);
	s = small_world();
	s.key.tenant_id = 99;
	assert_int_equal(refusal_of(&s), REFUSAL_INVALID_API_KEY);
	s = small_world();
	s.key.tenant_id = 99;
	s.key.flags = SNAPSHOT_KEY_REVOKED;
	assert_int_equal(refusal_of(&s), REFUSAL_INVALID_API_KEY);
}

static void both_allow_lists_must_allow(void **state)
{
	struct small s = small_world();

	(void)state;
	assert_int_equal(ip_parse(SLICE_LITERAL("10.1.2.3"), &s.request.src), 0);
	s.tenant_networks = "10.0.0.0/8,::1";
	assert_int_equal(refusal_of(&s), REFUSAL_NONE);
	s.key_networks = "10.1.0.0/16";
	assert_int_equal(refusal_of(&s), REFUSAL_NONE);
	s.key_networks = "10.2.0.0/16";
	assert_int_equal(refusal_of(&s), REFUSAL_IP_NOT_ALLOWED);
	s.tenant_networks = "192.168.0.0/16";
	s.key_networks = "";
	assert_int_equal(refusal_of(&s), REFUSAL_IP_NOT_ALLOWED);
	s.tenant_networks = "::/0";
	s.request.has_src = false;
	assert_int_equal(refusal_of(&s), REFUSAL_IP_NOT_ALLOWED);
}

static void a_websocket_needs_an_upstream_that_takes_it(void **state)
{
	struct small s = small_world();

	(void)state;
	s.request.websocket = s.request.handshake = true;
	/* before the key */
	s.request.key = SLICE_LITERAL("rk_none");
	assert_int_equal(refusal_of(&s), REFUSAL_WEBSOCKET_UNSUPPORTED);
	s.upstream_flags = SNAPSHOT_UPSTREAM_WEBSOCKET;
	assert_int_equal(refusal_of(&s), REFUSAL_INVALID_API_KEY);
	s.request.key = (struct slice){NULL, 0};
	assert_int_equal(refusal_of(&s), REFUSAL_NONE);
	s.request.handshake = false;
	assert_int_equal(refusal_of(&s), REFUSAL_WEBSOCKET_UNSUPPORTED);
}

static void some_requests_are_never_forwarded(void **state)
{
	struct small s = small_world();

	(void)state;
	s = small_world();
	s.head.options.requests_max_body = 100;
	s.request.length = 101;
	assert_int_equal(refusal_of(&s), REFUSAL_REQUEST_TOO_LARGE);
	s.request.length = 100;
	assert_int_equal(refusal_of(&s), REFUSAL_NONE);
	s = small_world();
	s.request.path = SLICE_LITERAL("/relay/secrets");
	assert_int_equal(refusal_of(&s), REFUSAL_NO_ROUTE);
	s = small_world();
	s.tenant.pool_id = 0;
	assert_int_equal(refusal_of(&s), REFUSAL_NO_ROUTE);
	s = small_world();
	s.head.flags = 0;
	assert_int_equal(refusal_of(&s), REFUSAL_SITE_DISABLED);
	s = small_world();
	s.request.fault = REFUSAL_BAD_REQUEST;
	assert_int_equal(refusal_of(&s), REFUSAL_BAD_REQUEST);
}

static void an_account_must_be_usable_by_the_asking_generation(void **state)
{
	struct small s = small_world();

	(void)state;
	s.request.gen = 1;
	assert_int_equal(refusal_of(&s), REFUSAL_CIRCUIT_OPEN);
	s.request.gen = 5;
	assert_int_equal(refusal_of(&s), REFUSAL_CIRCUIT_OPEN);
	s.request.gen = 4;
	assert_int_equal(refusal_of(&s), REFUSAL_NONE);
	s.account.first_gen = 5;
	assert_int_equal(refusal_of(&s), REFUSAL_CIRCUIT_OPEN);
	s = small_world();
	s.account.flags = SNAPSHOT_ACCOUNT_SUSPENDED;
	assert_int_equal(refusal_of(&s), REFUSAL_NO_ACCOUNT);
	s.account.flags = SNAPSHOT_ACCOUNT_NO_CREDENTIAL;
	assert_int_equal(refusal_of(&s), REFUSAL_NO_ACCOUNT);
	s = small_world();
	s.account.expires_ms = WORLD_NOW_MS;
	assert_int_equal(refusal_of(&s), REFUSAL_NO_ACCOUNT);
}

/* A clock that was set ahead just now makes no credential old, and one that was set back none young. */
static void the_age_of_a_credential_ignores_a_step_of_the_clock(void **state)
{
	struct small s = small_world();

	(void)state;
	s.unsettled_ms = 86400000;
	s.account.expires_ms = WORLD_NOW_MS - 86400000 + 1;
	assert_int_equal(refusal_of(&s), REFUSAL_NONE);
	s.account.expires_ms--;
	assert_int_equal(refusal_of(&s), REFUSAL_NO_ACCOUNT);
	s.unsettled_ms = -86400000;
	s.account.expires_ms = WORLD_NOW_MS + 86400000;
	assert_int_equal(refusal_of(&s), REFUSAL_NO_ACCOUNT);
}

static void self_use_serves_own_tenants_only(void **state)
{
	struct small s = small_world();

	(void)state;
	s.head.flags |= SNAPSHOT_SITE_SELF_USE;
	assert_int_equal(refusal_of(&s), REFUSAL_SITE_DISABLED);
	s.tenant.flags |= SNAPSHOT_TENANT_OWN;
	assert_int_equal(refusal_of(&s), REFUSAL_NONE);
	s.tenant.flags = SNAPSHOT_TENANT_OWN;
	assert_int_equal(refusal_of(&s), REFUSAL_TENANT_DISABLED);
	s.head.flags = SNAPSHOT_SITE_SELF_USE;
	assert_int_equal(refusal_of(&s), REFUSAL_SITE_DISABLED);
}

static void a_banned_address_is_refused_before_its_key_is_checked(void **state)
{
	struct small s = small_world();

	(void)state;
	assert_int_equal(ip_parse(SLICE_LITERAL("192.0.2.7"), &s.request.src), 0);
	s.banned = "192.0.2.0/24";
	assert_int_equal(refusal_of(&s), REFUSAL_IP_BANNED);
	s.request.key = SLICE_LITERAL("nonsense");
	assert_int_equal(refusal_of(&s), REFUSAL_IP_BANNED);
	s.request.key = slice_from_str(s.key_text);
	s.banned = "192.0.3.0/24";
	assert_int_equal(refusal_of(&s), REFUSAL_NONE);
	s.banned = "::/0";
	s.request.has_src = false;
	assert_int_equal(refusal_of(&s), REFUSAL_NONE);
	s.head.flags = 0;
	s.request.has_src = true;
	assert_int_equal(refusal_of(&s), REFUSAL_SITE_DISABLED);
}

static void an_agents_ban_holds_until_the_snapshot_has_taken_it(void **state)
{
	static const uint8_t seed[SIPHASH_KEY_LEN];
	struct small s = small_world();
	struct badkeys badkeys;

	(void)state;
	assert_int_equal(badkeys_init(&badkeys, seed), 0);
	assert_int_equal(ip_parse(SLICE_LITERAL("192.0.2.7"), &s.request.src), 0);
	s.badkeys = &badkeys;
	s.head.bans_taken = 4;
	assert_int_equal(refusal_of(&s), REFUSAL_NONE);
	struct cidr network = badkeys_network(&s.request.src);
	badkeys_ban(&badkeys, 4, &network, WORLD_NOW_MS + 1);
	assert_int_equal(refusal_of(&s), REFUSAL_IP_BANNED);
	s.head.bans_taken = 5;
	assert_int_equal(refusal_of(&s), REFUSAL_NONE);
	badkeys_fini(&badkeys);
}

static void says_which_bad_keys_to_cache(void **state)
{
	static const uint8_t seed[SIPHASH_KEY_LEN];
	struct small s = small_world();
	struct small other = small_world();
	struct decide_verdict v;
	struct badkeys badkeys;
	char path[2048];

	(void)state;
	assert_int_equal(badkeys_init(&badkeys, seed), 0);
	s.badkeys = &badkeys;
	s.request.key = slice_from_str(s.key_text);
	assert_int_equal(decide_small(&s, &v, path), REFUSAL_NONE);
	assert_int_equal(v.bad_key.n, 0);
	s.request.key = SLICE_LITERAL("sk-not-ours");
	assert_int_equal(decide_small(&s, &v, path), REFUSAL_INVALID_API_KEY);
	assert_true(slice_eq_str(v.bad_key, "sk-not-ours"));
	assert_false(v.bad_key_unknown);
	s.request.key = slice_from_str(other.key_text);
	assert_int_equal(decide_small(&s, &v, path), REFUSAL_INVALID_API_KEY);
	assert_true(slice_eq_str(v.bad_key, other.key_text));
	assert_true(v.bad_key_unknown && !v.bad_key_cached);
	badkeys_cache(&badkeys, v.bad_key, s.head.version);
	assert_int_equal(decide_small(&s, &v, path), REFUSAL_INVALID_API_KEY);
	assert_true(v.bad_key_cached && !v.bad_key_unknown);
	/* a new snapshot may have the key */
	s.head.version++;
	memcpy(s.key_text, other.key_text, sizeof(s.key_text));
	assert_int_equal(decide_small(&s, &v, path), REFUSAL_NONE);
	s.key.flags = SNAPSHOT_KEY_REVOKED;
	assert_int_equal(decide_small(&s, &v, path), REFUSAL_REVOKED_API_KEY);
	assert_int_equal(v.bad_key.n, 0);
	badkeys_fini(&badkeys);
}

struct path_case {
	const char *prefix, *strip, *path, *expected;
	bool changed;
};

static void paths_are_rewritten_on_segment_boundaries(void **state)
{
	static const struct path_case cases[] = {
		{"", "", "/v1/x", "/v1/x", false},
		{"/api", "", "/v1/x", "/api/v1/x", true},
		{"", "/v1", "/v1/x", "/x", true},
		{"/api", "/v1", "/v1/x", "/api/x", true},
		{"", "/v1", "/v1", "/", true},
		{"", "/v1", "/v1beta/x", "/v1beta/x", false},
		{"/api", "/v1", "/v2/x", "/api/v2/x", true},
	};
	struct decide_verdict v;
	char path[2048];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct small s = small_world();
		s.request.key = slice_from_str(s.key_text);
		s.prefix = cases[i].prefix;
		s.strip = cases[i].strip;
		s.request.path = slice_from_str(cases[i].path);
		assert_int_equal(decide_small(&s, &v, path), REFUSAL_NONE);
		assert_string_equal(path, cases[i].expected);
		assert_int_equal(v.path_changed, cases[i].changed);
	}
}

static void a_path_of_another_api_has_no_route(void **state)
{
	static const struct {
		const char *provider, *path, *message;
	} cases[] = {
		{"openai", "/v1/messages", "serves the OpenAI API, not /v1/messages"},
		{"openai", "/v1/messages/count_tokens", "serves the OpenAI API, not /v1/messages"},
		{"codex", "/v1beta/models/m:generateContent", "serves the OpenAI API, not /v1beta"},
		{"anthropic", "/v1/responses", "serves the Anthropic API, not /v1/responses"},
		{"gemini", "/v1/chat/completions",
			"serves the Gemini API, not /v1/chat/completions"},
		{"anthropic", "/v1/chat/completions", NULL},
		{"openai", "/v1/messages2", NULL},
		{"openai", "/v1/models", NULL},
		{"openai", "/anything", NULL},
		{"generic", "/v1/messages", NULL},
		{"generic", "/v1beta/models", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct small s = small_world();
		struct decide_verdict v;
		char path[2048];
		s.request.key = slice_from_str(s.key_text);
		s.request.path = slice_from_str(cases[i].path);
		s.provider = cases[i].provider;
		assert_int_equal(decide_small(&s, &v, path),
			cases[i].message ? REFUSAL_NO_ROUTE : REFUSAL_NONE);
		if (!cases[i].message) {
			assert_null(v.foreign_path);
			continue;
		}
		snprintf(path, sizeof(path), "serves the %s API, not %s", v.provider->title,
			v.foreign_path);
		assert_string_equal(path, cases[i].message);
	}
}

static void health_and_live_are_public_and_report_draining(void **state)
{
	static const char *const paths[] = {"/relay/health", "/relay/live"};
	struct decide_verdict v;
	char path[2048];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct small s = small_world();
		s.request.path = slice_from_str(paths[i]);
		s.request.method = SLICE_LITERAL("GET");
		decide_small(&s, &v, path);
		assert_int_equal(v.action, DECIDE_ANSWER);
		assert_true(v.healthy);
		assert_int_equal(v.is_live, i == 1);
		s.draining = true;
		decide_small(&s, &v, path);
		assert_int_equal(v.action, DECIDE_ANSWER);
		assert_false(v.healthy);
		s.draining = false;
		s.request.method = SLICE_LITERAL("POST");
		decide_small(&s, &v, path);
		assert_int_equal(v.refusal, REFUSAL_MISSING_API_KEY);
	}
}

static void a_draining_relay_refuses_new_requests_first(void **state)
{
	struct small s = small_world();
	struct decide_verdict v;
	char path[2048];

	(void)state;
	s.draining = true;
	decide_small(&s, &v, path);
	assert_int_equal(v.action, DECIDE_DENY);
	assert_int_equal(v.refusal, REFUSAL_DRAINING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allows_a_valid_request),
		cmocka_unit_test(says_what_is_wrong_with_a_key),
		cmocka_unit_test(refuses_a_disabled_or_deleted_tenant),
		cmocka_unit_test(both_allow_lists_must_allow),
		cmocka_unit_test(a_websocket_needs_an_upstream_that_takes_it),
		cmocka_unit_test(some_requests_are_never_forwarded),
		cmocka_unit_test(an_account_must_be_usable_by_the_asking_generation),
		cmocka_unit_test(the_age_of_a_credential_ignores_a_step_of_the_clock),
		cmocka_unit_test(self_use_serves_own_tenants_only),
		cmocka_unit_test(a_banned_address_is_refused_before_its_key_is_checked),
		cmocka_unit_test(an_agents_ban_holds_until_the_snapshot_has_taken_it),
		cmocka_unit_test(says_which_bad_keys_to_cache),
		cmocka_unit_test(paths_are_rewritten_on_segment_boundaries),
		cmocka_unit_test(a_path_of_another_api_has_no_route),
		cmocka_unit_test(health_and_live_are_public_and_report_draining),
		cmocka_unit_test(a_draining_relay_refuses_new_requests_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
