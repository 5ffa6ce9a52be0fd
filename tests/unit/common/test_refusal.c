#include "common/refusal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

/* The error codes that users may rely on, written by hand and not from the rows. */
static const struct {
	int status;
	const char *codes;
	const char *type;
} public[] = {
	{401, "missing_api_key invalid_api_key expired_api_key revoked_api_key",
		"authentication_error"},
	{403, "tenant_disabled ip_not_allowed ip_banned route_denied", "permission_error"},
	{404, "no_route", "not_found_error"},
	{400, "bad_request", "invalid_request_error"},
	{413, "request_too_large", "invalid_request_error"},
	{426, "websocket_unsupported", "invalid_request_error"},
	{408, "request_timeout", "invalid_request_error"},
	{429, "rate_limited concurrency_limited accounts_limited", "rate_limit_error"},
	{429, "quota_exceeded", "usage_limit_reached"},
	{503, "no_account circuit_open site_disabled overloaded draining", "overloaded_error"},
	{503, "account_switched", "overloaded_error"},
	{503, "agent_unavailable", "overloaded_error"},
	{502, "upstream_unreachable upstream_invalid", "api_error"},
	{504, "upstream_timeout", "api_error"},
};

static bool has_word(const char *words, const char *word)
{
	size_t n = strlen(word);

	for (const char *at = strstr(words, word); at; at = strstr(at + 1, word)) {
		if ((at == words || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))
			return true;
	}
	return false;
}

static size_t count_words(void)
{
	size_t n = 0;

	for (size_t i = 0; i < sizeof(public) / sizeof(public[0]); i++) {
		n++;
		for (const char *c = public[i].codes; *c; c++)
			n += *c == ' ';
	}
	return n;
}

static void the_rows_are_what_clients_rely_on(void **state)
{
	(void)state;
	for (int r = REFUSAL_NONE + 1; r < REFUSAL_COUNT; r++) {
		const struct refusal_row *row = refusal_row((enum refusal)r);
		size_t i = 0;
		while (i < sizeof(public) / sizeof(public[0]) &&
			!has_word(public[i].codes, row->code))
			i++;
		if (i == sizeof(public) / sizeof(public[0]))
			fail_msg("%s is not public", row->code);
		assert_int_equal(row->status, public[i].status);
		assert_string_equal(row->type, public[i].type);
	}
	assert_int_equal(REFUSAL_COUNT - 1, count_words());
}

static void what_waiting_helps_says_how_long(void **state)
{
	(void)state;
	for (int r = REFUSAL_NONE + 1; r < REFUSAL_COUNT; r++) {
		const struct refusal_row *row = refusal_row((enum refusal)r);
		if (row->status == 503)
			assert_true(row->retryable && row->retry_after >= 1);
		if (!row->retryable)
			assert_int_equal(row->retry_after, 0);
		if (row->status < 500 && row->status != 429 && row->status != 408)
			assert_false(row->retryable);
	}
	assert_int_equal(refusal_row(REFUSAL_ACCOUNT_SWITCHED)->retry_after, 1);
}

static void messages_are_safe_inside_a_json_string(void **state)
{
	(void)state;
	for (int r = 0; r < REFUSAL_COUNT; r++) {
		for (const char *c = refusal_row((enum refusal)r)->message; *c; c++)
			assert_true(*c >= 0x20 && *c < 0x7f && *c != '"' && *c != '\\');
	}
}

static bool is_text_for_a_document(const char *text)
{
	size_t n = strlen(text);

	for (size_t i = 0; i < n; i++) {
		if (text[i] < 0x20 || text[i] == 0x7f)
			return false;
	}
	return n > 20 && text[n - 1] == '.';
}

static void every_refusal_has_a_cause_and_a_remedy(void **state)
{
	(void)state;
	for (int r = REFUSAL_NONE + 1; r < REFUSAL_COUNT; r++) {
		assert_true(is_text_for_a_document(refusal_row((enum refusal)r)->cause));
		assert_true(is_text_for_a_document(refusal_row((enum refusal)r)->remedy));
	}
}

static void an_unknown_refusal_is_none(void **state)
{
	(void)state;
	assert_string_equal(refusal_row((enum refusal)REFUSAL_COUNT)->code, "");
	assert_string_equal(refusal_row((enum refusal)1000)->code, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rows_are_what_clients_rely_on),
		cmocka_unit_test(what_waiting_helps_says_how_long),
		cmocka_unit_test(messages_are_safe_inside_a_json_string),
		cmocka_unit_test(every_refusal_has_a_cause_and_a_remedy),
		cmocka_unit_test(an_unknown_refusal_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
