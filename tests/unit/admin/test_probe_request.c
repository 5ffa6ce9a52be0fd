/* Probe requests by provider and form of the upstream's URL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "admin/upkeep/probe_request.h"
#include "common/errtext.h"

#include <errno.h>

static const struct provider *named(const char *name)
{
	return provider_find(slice_from_str(name));
}

static void asks(const char *provider, const char *url, const char *strip, const char *want)
{
	char target[PROBE_TARGET_SIZE] = "";
	struct errtext e = {""};
	bool is_page;

	assert_int_equal(probe_target(named(provider), slice_from_str(url), slice_from_str(strip),
				 slice_from_str(""), target, &is_page, &e),
		0);
	assert_string_equal(target, want);
	assert_int_equal(is_page, strstr(want, "/usage") != NULL);
}

/* The same path as for a client's GET /v1/models. */
static void the_path_is_rewritten_as_for_a_client(void **state)
{
	(void)state;
	asks("openai", "https://api.example.com", "", "/v1/models");
	asks("openai", "https://api.example.com/", "", "/v1/models");
	asks("openai", "https://api.example.com/v1", "", "/v1/models");
	asks("openai", "https://api.example.com/openai/v1", "/v1", "/openai/v1/models");
	asks("openai", "https://api.example.com/pre/fix", "/v1", "/pre/fix/models");
	asks("openai", "https://api.example.com/pre/fix", "", "/pre/fix/v1/models");
	asks("openai", "https://api.example.com/pre", "/v", "/pre/v1/models");
	asks("openai", "https://api.example.com/pre", "/v1/models", "/pre/v1/models");
}

static void anthropic_needs_a_version(void **state)
{
	(void)state;
	asks("anthropic", "https://api.example.com", "", "/v1/models?limit=1");
	assert_true(slice_has_prefix(slice_from_str(named("anthropic")->probe.header),
		SLICE_LITERAL("anthropic-version: ")));
	assert_string_equal(named("openai")->probe.header, "");
}

static void codex_probes_request_the_usage_endpoint(void **state)
{
	(void)state;
	asks("codex", "https://c.example.com/backend-api/codex", "/v1", "/backend-api/wham/usage");
	asks("codex", "https://c.example.com/pre/backend-api/codex", "/v1",
		"/pre/backend-api/wham/usage");
	asks("codex", "https://c.example.com/api/codex", "/v1", "/api/codex/usage");
	asks("codex", "https://c.example.com/other", "/v1", "/other/models?client_version=0.150.0");
}

static void each_provider_has_its_version_prefix(void **state)
{
	(void)state;
	asks("gemini", "https://g.example.com", "", "/v1beta/models?pageSize=1");
	asks("gemini", "https://g.example.com/v1beta", "", "/v1beta/models?pageSize=1");
	asks("gemini", "https://g.example.com/pre", "/v1beta", "/pre/models?pageSize=1");
	asks("gemini", "https://g.example.com/v1", "", "/v1/v1beta/models?pageSize=1");
}

static void the_operators_path_is_used_unchanged(void **state)
{
	char target[PROBE_TARGET_SIZE];
	struct errtext e = {""};
	bool is_page;

	(void)state;
	for (size_t i = 0; i < provider_count(); i++) {
		assert_int_equal(
			probe_target(provider_at(i), SLICE_LITERAL("https://u.example.com/pre"),
				SLICE_LITERAL("/v1"), SLICE_LITERAL("/me?x=1"), target, &is_page,
				&e),
			0);
		assert_string_equal(target, "/me?x=1");
		assert_false(is_page);
	}
}

static void some_upstreams_are_not_probed(void **state)
{
	static const struct slice url = {"https://u.example.com", 21};
	char target[PROBE_TARGET_SIZE];
	struct errtext e = {""};
	bool is_page;

	(void)state;
	assert_int_equal(probe_target(named("generic"), url, SLICE_LITERAL(""), SLICE_LITERAL(""),
				 target, &is_page, &e),
		-ENOENT);
	assert_int_equal(probe_target(named("openai"), url, SLICE_LITERAL(""),
				 SLICE_LITERAL("none"), target, &is_page, &e),
		-ENOENT);
	assert_int_equal(probe_target(named("openai"), SLICE_LITERAL("ftp://x"), SLICE_LITERAL(""),
				 SLICE_LITERAL(""), target, &is_page, &e),
		-EINVAL);
}

static void the_longest_target_fits(void **state)
{
	char url[300] = "https://u.example.com";
	char target[PROBE_TARGET_SIZE];
	struct errtext e = {""};
	bool is_page;
	size_t host = strlen(url);

	(void)state;
	memset(url + host, 'a', SEAM_PREFIX_MAX);
	url[host] = '/';
	url[host + SEAM_PREFIX_MAX] = '\0';
	assert_int_equal(probe_target(named("codex"), slice_from_str(url), SLICE_LITERAL(""),
				 SLICE_LITERAL(""), target, &is_page, &e),
		0);
	assert_int_equal(
		strlen(target), SEAM_PREFIX_MAX + strlen("/v1/models?client_version=0.150.0"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_path_is_rewritten_as_for_a_client),
		cmocka_unit_test(anthropic_needs_a_version),
		cmocka_unit_test(codex_probes_request_the_usage_endpoint),
		cmocka_unit_test(the_operators_path_is_used_unchanged),
		cmocka_unit_test(each_provider_has_its_version_prefix),
		cmocka_unit_test(some_upstreams_are_not_probed),
		cmocka_unit_test(the_longest_target_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
