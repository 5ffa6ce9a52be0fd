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
	{400, "bad_request misplaced_api_key", "invalid_request_error"},
	{413, "request_too_large", "invalid_request_error"},
	{431, "headers_too_large", "invalid_request_error"},
	{426, "websocket_unsupported", "invalid_request_error"},
	{408, "request_timeout", "invalid_request_error"},
	{429, "rate_limited concurrency_limited accounts_limited", "rate_limit_error"},
	{429, "quota_exceeded accounts_exhausted", "usage_limit_reached"},
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

/* Without an end: retryable, and Retry-After in seconds. By hand, too. */
static const struct {
	const char *codes;
	bool retryable;
	int retry_after;
} plain[] = {
	{"missing_api_key invalid_api_key expired_api_key revoked_api_key tenant_disabled "
	 "ip_not_allowed ip_banned route_denied no_route bad_request request_too_large "
	 "headers_too_large misplaced_api_key websocket_unsupported quota_exceeded accounts_exhausted no_account site_disabled",
		false, 0},
	{"request_timeout", true, 0},
	{"rate_limited concurrency_limited accounts_limited overloaded draining agent_unavailable "
	 "account_switched upstream_unreachable upstream_invalid upstream_timeout",
		true, 1},
	{"circuit_open", true, 5},
};

static void what_waiting_helps_says_how_long(void **state)
{
	(void)state;
	for (int r = REFUSAL_NONE + 1; r < REFUSAL_COUNT; r++) {
		const struct refusal_row *row = refusal_row((enum refusal)r);
		struct refusal_told told = refusal_tell((enum refusal)r, 0, false, 1000);
		size_t i = 0;
		while (i < sizeof(plain) / sizeof(plain[0]) && !has_word(plain[i].codes, row->code))
			i++;
		if (i == sizeof(plain) / sizeof(plain[0]))
			fail_msg("%s is in no row", row->code);
		assert_int_equal(told.retryable, plain[i].retryable);
		assert_int_equal(told.retry_after, plain[i].retry_after);
		assert_int_equal(told.resets_at, 0);
		assert_string_equal(told.type, row->type);
	}
}

#define NOW_MS 1800000000000

/* A refusal with an end, in ms from now. */
static const struct {
	enum refusal refusal;
	int64_t end_ms;
	const char *type;
	int64_t retry_after;
	bool retryable;
} ended[] = {
	{REFUSAL_RATE_LIMITED, 1, "rate_limit_error", 1, true},
	{REFUSAL_RATE_LIMITED, 1001, "rate_limit_error", 2, true},
	{REFUSAL_RATE_LIMITED, 60000, "rate_limit_error", 60, true},
	{REFUSAL_RATE_LIMITED, 60001, "usage_limit_reached", 61, false},
	{REFUSAL_RATE_LIMITED, -5000, "rate_limit_error", 1, true},
	{REFUSAL_ACCOUNTS_LIMITED, 60000, "rate_limit_error", 60, true},
	{REFUSAL_ACCOUNTS_EXHAUSTED, 7200000, "usage_limit_reached", 7200, false},
	{REFUSAL_QUOTA_EXCEEDED, 5000, "usage_limit_reached", 5, false},
	{REFUSAL_QUOTA_EXCEEDED, 86400000, "usage_limit_reached", 86400, false},
	{REFUSAL_CIRCUIT_OPEN, 9500, "overloaded_error", 10, true},
	{REFUSAL_CIRCUIT_OPEN, 60000, "overloaded_error", 10, true},
	{REFUSAL_NO_ACCOUNT, 300000, "overloaded_error", 0, false},
};

static void a_refusal_with_an_end_says_when(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(ended) / sizeof(ended[0]); i++) {
		int64_t end = NOW_MS + ended[i].end_ms;
		struct refusal_told told = refusal_tell(ended[i].refusal, end, true, NOW_MS);
		assert_string_equal(told.type, ended[i].type);
		assert_int_equal(told.retry_after, ended[i].retry_after);
		assert_int_equal(told.retryable, ended[i].retryable);
		assert_int_equal(told.resets_at, (end + 999) / 1000);
		assert_int_equal(refusal_tell(ended[i].refusal, end, false, NOW_MS).resets_at, 0);
	}
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
		cmocka_unit_test(a_refusal_with_an_end_says_when),
		cmocka_unit_test(messages_are_safe_inside_a_json_string),
		cmocka_unit_test(every_refusal_has_a_cause_and_a_remedy),
		cmocka_unit_test(an_unknown_refusal_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
