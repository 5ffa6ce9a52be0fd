/* Answers of an account that could not read the state of another one. */
#include "common/provider.h"
#include "common/result.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static void state_of_another_account_is_told_by_its_code(void **state)
{
	static const struct {
		const char *provider;
		unsigned status;
		const char *termination;
		const char *limits;
		bool foreign;
	} rows[] = {
		{"codex", 400, "--", "bt=invalid_request_error;bc=invalid_encrypted_content;",
			true},
		{"openai", 400, "--", "bc=invalid_encrypted_content;", true},
		{"generic", 400, "CD", "bc=invalid_encrypted_content;", true},
		{"anthropic", 400, "--",
			"bt=invalid_request_error;"
			"bm=messages1content0Invalidsignatureinthinkingblock;",
			true},
		{"anthropic", 400, "--", "bm=messages123content45Invalidsignatureinthink;", true},
		{"codex", 400, "--", "bt=invalid_encrypted_content;", false},
		{"codex", 400, "--", "bc=invalid_encrypted_contents;", false},
		{"codex", 400, "--", "", false},
		{"codex", 403, "--", "bc=invalid_encrypted_content;", false},
		{"codex", 200, "--", "bc=invalid_encrypted_content;", false},
		{"codex", 400, "PH", "bc=invalid_encrypted_content;", false},
		{"anthropic", 400, "--", "bm=signatureisInvalid;", false},
		{"anthropic", 400, "--", "bc=invalid_encrypted_content;", false},
		{"gemini", 400, "--", "bc=invalid_encrypted_content;", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct provider *p = provider_find(slice_from_str(rows[i].provider));
		struct result_answer a = {
			.status = rows[i].status, .limits = slice_from_str(rows[i].limits)};
		struct result result;
		memcpy(a.termination, rows[i].termination, 3);
		if (result_has_foreign_state(p, &a) != rows[i].foreign)
			fail_msg("%s %u %s", rows[i].provider, rows[i].status, rows[i].limits);
		/* the account is not at fault */
		result_classify(p, &a, 1, &result);
		assert_true(!rows[i].foreign || result.class == RESULT_PAYLOAD);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(state_of_another_account_is_told_by_its_code),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
