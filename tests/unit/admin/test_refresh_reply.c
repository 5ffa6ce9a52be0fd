/* Replies of token hosts and their outcomes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "admin/upkeep/refresh_reply.h"
#include "common/buffer.h"

#include <stdlib.h>
#include <string.h>

#define T ((int64_t)1800000000000)
/* {"alg":"none"} . {"exp":1900000000} . "sig" */
#define JWT "eyJhbGciOiJub25lIn0.eyJleHAiOjE5MDAwMDAwMDB9.c2ln"

static enum refresh_outcome judge(unsigned status, const char *body, struct refresh_reply *ret)
{
	return refresh_reply_parse(
		&(struct refresh_raw){status, slice_from_str(body), "", T, 0}, ret);
}

static void expect(unsigned status, const char *body, enum refresh_outcome outcome)
{
	struct refresh_reply r;
	enum refresh_outcome got = judge(status, body, &r);

	refresh_reply_fini(&r);
	if (got != outcome)
		fail_msg("%u %s: %s, not %s", status, body, refresh_outcome_name(got),
			refresh_outcome_name(outcome));
}

static void all_tokens_are_taken(void **state)
{
	struct refresh_reply r;

	(void)state;
	assert_int_equal(judge(200,
				 "{\"access_token\":\"" JWT "\",\"refresh_token\":\"rt.2\","
				 "\"id_token\":\"id.2\",\"expires_in\":5,\"scope\":\"x\"}",
				 &r),
		REFRESH_GRANTED);
	assert_true(slice_eq_str(r.access_token, JWT));
	assert_true(slice_eq_str(r.refresh_token, "rt.2"));
	assert_true(slice_eq_str(r.id_token, "id.2"));
	/* exp of the token overrides expires_in. */
	assert_true(r.expires_ms == (int64_t)1900000000000);
	assert_string_equal(r.reason, "");
	refresh_reply_fini(&r);
}

static void each_of_two_tokens_is_optional_but_one_must_be_there(void **state)
{
	struct refresh_reply r;

	(void)state;
	assert_int_equal(judge(200, "{\"access_token\":\"opaque\",\"expires_in\":3600}", &r),
		REFRESH_GRANTED);
	assert_int_equal(r.refresh_token.n, 0);
	assert_true(r.expires_ms == T + 3600000);
	refresh_reply_fini(&r);
	assert_int_equal(
		judge(201, "{\"refresh_token\":\"rt\",\"access_token\":null}", &r), REFRESH_KEPT);
	assert_true(slice_eq_str(r.refresh_token, "rt"));
	assert_int_equal(r.access_token.n, 0);
	assert_true(r.expires_ms == 0);
	refresh_reply_fini(&r);
	expect(200, "{}", REFRESH_LOST);
	expect(200, "{\"access_token\":\"\"}", REFRESH_LOST);
	expect(200, "{\"id_token\":\"i\"}", REFRESH_LOST);
}

static void a_lifetime_counts_from_the_request(void **state)
{
	static const struct {
		int64_t sent_ms, since_ms;
	} rows[] = {{T - 3000, T - 3000}, {T, T}, {0, T}, {T + 1, T},
		{T - REFRESH_REPLY_AGE_MAX_MS - 1, T}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct refresh_raw raw = {200,
			SLICE_LITERAL("{\"access_token\":\"opaque\",\"expires_in\":3600}"), "", T,
			rows[i].sent_ms};
		struct refresh_reply r;
		assert_int_equal(refresh_reply_parse(&raw, &r), REFRESH_GRANTED);
		assert_true(r.expires_ms == rows[i].since_ms + 3600000);
		refresh_reply_fini(&r);
	}
}

static void invalid_lifetimes_are_unknown(void **state)
{
	static const char *const bodies[] = {"{\"access_token\":\"a\"}",
		"{\"access_token\":\"a\",\"expires_in\":0}",
		"{\"access_token\":\"a\",\"expires_in\":-5}",
		"{\"access_token\":\"a\",\"expires_in\":99999999999999}",
		"{\"access_token\":\"a\",\"expires_in\":\"soon\"}"};
	struct refresh_reply r;

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		assert_int_equal(judge(200, bodies[i], &r), REFRESH_GRANTED);
		assert_true(r.expires_ms == 0);
		refresh_reply_fini(&r);
	}
}

static void an_unreadable_reply_leaves_the_outcome_unknown(void **state)
{
	(void)state;
	expect(200, "", REFRESH_LOST);
	expect(200, "{\"access_token\":\"" JWT "\",\"refresh_tok", REFRESH_LOST);
	expect(200, "{\"access_token\":\"a\"", REFRESH_LOST);
	expect(200, "<html>it works</html>", REFRESH_LOST);
	expect(200, "[\"access_token\"]", REFRESH_LOST);
	expect(200, "{\"access_token\":7}", REFRESH_LOST);
	expect(200, "{\"access_token\":\"a b\"}", REFRESH_LOST);
	expect(200, "{\"access_token\":\"a\\nX: y\",\"refresh_token\":\"r\"}", REFRESH_KEPT);
	expect(200, "{\"access_token\":\"a\",\"refresh_token\":{\"x\":1}}", REFRESH_GRANTED);
	expect(200, "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}}}}}",
		REFRESH_LOST);
	for (unsigned status = 500; status < 600; status++)
		expect(status, "{\"error\":\"invalid_grant\"}", REFRESH_LOST);
	expect(0, "", REFRESH_LOST);
	expect(100, "", REFRESH_LOST);
	expect(408, "", REFRESH_LOST);
	expect(425, "", REFRESH_LOST);
}

static void a_refresh_token_may_be_long(void **state)
{
	struct buffer body = {0};

	(void)state;
	buffer_append_str(&body, "{\"access_token\":\"a\",\"refresh_token\":\"");
	for (int i = 0; i < 250000; i++)
		buffer_append_str(&body, "x");
	buffer_append_str(&body, "\"}");
	struct refresh_reply r;
	assert_int_equal(judge(200, buffer_str(&body), &r), REFRESH_GRANTED);
	assert_int_equal(r.refresh_token.n, 250000);
	refresh_reply_fini(&r);
	buffer_fini(&body);
}

static void rejections_have_three_forms(void **state)
{
	static const char *const codes[] = {"invalid_grant", "refresh_token_expired",
		"refresh_token_reused", "refresh_token_invalidated"};
	static const char *const forms[] = {"{\"error\":\"%s\",\"error_description\":\"x\"}",
		"{\"error\":{\"message\":\"m\",\"type\":\"t\",\"code\":\"%s\"}}",
		"{\"code\":\"%s\"}"};
	static const unsigned statuses[] = {400, 401, 403};
	struct buffer body = {0};
	struct refresh_reply r;

	(void)state;
	for (size_t i = 0; i < 4 * 3 * 3; i++) {
		buffer_clear(&body);
		const char *form = forms[i / 4 % 3];
		const char *hole = strstr(form, "%s");
		buffer_append(&body, form, (size_t)(hole - form));
		buffer_append_str(&body, codes[i % 4]);
		buffer_append_str(&body, hole + 2);
		assert_int_equal(judge(statuses[i / 12], buffer_str(&body), &r), REFRESH_REJECTED);
		assert_string_equal(r.reason, codes[i % 4]);
		refresh_reply_fini(&r);
	}
	buffer_fini(&body);
}

static void other_errors_leave_the_token_valid(void **state)
{
	(void)state;
	expect(400, "{\"error\":\"invalid_request\"}", REFRESH_REFUSED);
	expect(401, "{\"error\":\"invalid_client\"}", REFRESH_REFUSED);
	expect(400, "{\"error\":\"invalid_grants\"}", REFRESH_REFUSED);
	expect(401, "", REFRESH_REFUSED);
	expect(401, "invalid_grant", REFRESH_REFUSED);
	expect(401, "{\"error\":[\"invalid_grant\"]}", REFRESH_REFUSED);
	expect(404, "{\"error\":\"invalid_grant\"}", REFRESH_REFUSED);
	expect(429, "{\"error\":\"refresh_token_reused\"}", REFRESH_REFUSED);
	expect(302, "", REFRESH_REFUSED);
}

static void a_request_has_the_form_of_its_host_whatever_is_in_it(void **state)
{
	struct refresh_request r = {.client_id = SLICE_LITERAL("app_1"),
		.refresh_token = SLICE_LITERAL("rt\"\\\x01z"),
		.is_json = true};
	struct buffer body = {0};

	(void)state;
	refresh_request_format(&r, &body);
	assert_string_equal(buffer_str(&body),
		"{\"client_id\":\"app_1\",\"grant_type\":\"refresh_token\","
		"\"refresh_token\":\"rt\\\"\\\\\\u0001z\"}");
	buffer_clear(&body);
	r.client_secret = SLICE_LITERAL("s&=+ \xc3\xa9");
	refresh_request_format(&r, &body);
	assert_non_null(strstr(buffer_str(&body), "\"client_secret\":\"s&=+ \xc3\xa9\","));
	buffer_clear(&body);
	r.is_json = false;
	refresh_request_format(&r, &body);
	assert_string_equal(buffer_str(&body),
		"client_id=app_1&client_secret=s%26%3D%2B%20%C3%A9&grant_type=refresh_token"
		"&refresh_token=rt%22%5C%01z");
	buffer_fini(&body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_tokens_are_taken),
		cmocka_unit_test(each_of_two_tokens_is_optional_but_one_must_be_there),
		cmocka_unit_test(a_lifetime_counts_from_the_request),
		cmocka_unit_test(invalid_lifetimes_are_unknown),
		cmocka_unit_test(an_unreadable_reply_leaves_the_outcome_unknown),
		cmocka_unit_test(a_refresh_token_may_be_long),
		cmocka_unit_test(rejections_have_three_forms),
		cmocka_unit_test(other_errors_leave_the_token_valid),
		cmocka_unit_test(a_request_has_the_form_of_its_host_whatever_is_in_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
