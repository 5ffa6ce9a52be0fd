#include "common/provider.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

static void every_provider_is_found_by_its_name(void **state)
{
	static const char *const names[] = {"openai", "codex", "anthropic", "generic"};
	static const char *const bad[] = {"", "OpenAI", "openai ", "open", "openaix"};
	enum provider p = PROVIDER_COUNT;

	(void)state;
	assert_int_equal(sizeof(names) / sizeof(names[0]), PROVIDER_COUNT);
	for (int i = 0; i < PROVIDER_COUNT; i++) {
		assert_int_equal(provider_parse(slice_from_str(names[i]), &p), 0);
		assert_int_equal(p, i);
		assert_string_equal(provider_row(p)->name, names[i]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(provider_parse(slice_from_str(bad[i]), &p), -EINVAL);
}

/* Bearer everywhere except for Anthropic's API keys; only OAuth adds to anthropic-beta. */
static void the_credential_decides_how_to_authenticate(void **state)
{
	static const struct {
		enum provider provider;
		const char *credential;
		enum snapshot_auth auth;
	} cases[] = {
		{PROVIDER_OPENAI, "sk-proj-1", SNAPSHOT_AUTH_BEARER},
		{PROVIDER_OPENAI, "sk-ant-oat01-1", SNAPSHOT_AUTH_BEARER},
		{PROVIDER_CODEX, "eyJhbGciOi", SNAPSHOT_AUTH_BEARER},
		{PROVIDER_GENERIC, "", SNAPSHOT_AUTH_BEARER},
		{PROVIDER_ANTHROPIC, "sk-ant-api03-1", SNAPSHOT_AUTH_X_API_KEY},
		{PROVIDER_ANTHROPIC, "sk-ant-oat01-1", SNAPSHOT_AUTH_ANTHROPIC_OAUTH},
		{PROVIDER_ANTHROPIC, "sk-ant-oa", SNAPSHOT_AUTH_X_API_KEY},
		{PROVIDER_ANTHROPIC, "", SNAPSHOT_AUTH_X_API_KEY},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(
			provider_auth(cases[i].provider, slice_from_str(cases[i].credential)),
			cases[i].auth);
}

static void only_codex_names_its_account_in_a_header(void **state)
{
	(void)state;
	for (int p = 0; p < PROVIDER_COUNT; p++) {
		const char *header = provider_row((enum provider)p)->account_header;
		if (p == PROVIDER_CODEX)
			assert_string_equal(header, "ChatGPT-Account-ID");
		else
			assert_null(header);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_provider_is_found_by_its_name),
		cmocka_unit_test(the_credential_decides_how_to_authenticate),
		cmocka_unit_test(only_codex_names_its_account_in_a_header),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
