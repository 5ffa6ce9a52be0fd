#include "common/errtext.h"
#include "tests/unit/spoe/cmocka_env.h"

#include "admin/upkeep/authjson.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* {"alg":"none"} . {"exp":1893456000} . x */
#define HEADER "eyJhbGciOiJub25lIn0"
#define JWT HEADER ".eyJleHAiOjE4OTM0NTYwMDB9.x"
#define JWT_EXP_MS ((int64_t)1893456000000)

static const struct provider_file *auth_json(void)
{
	return provider_find(SLICE_LITERAL("codex"))->file;
}

static void refuse(const char *text, const char *message)
{
	struct authjson a;
	struct errtext e = {""};

	assert_int_equal(authjson_parse(auth_json(), slice_from_str(text), &a, &e), -EINVAL);
	if (!strstr(e.text, message))
		fail_msg("%s: \"%s\" lacks \"%s\"", text, e.text, message);
}

static void takes_the_tokens_of_a_login(void **state)
{
	static const char text[] =
		"{\"OPENAI_API_KEY\":null,\"tokens\":{\"id_token\":\"idt\",\"access_token\":\"" JWT
		"\",\"refresh_token\":\"rt\",\"account_id\":\"acc\"},"
		"\"last_refresh\":\"2026-01-01T00:00:00Z\"}";
	struct authjson a;
	struct errtext e;

	(void)state;
	assert_int_equal(authjson_parse(auth_json(), slice_from_str(text), &a, &e), 0);
	assert_true(slice_eq_str(a.access_token, JWT));
	assert_true(slice_eq_str(a.refresh_token, "rt"));
	assert_true(slice_eq_str(a.id_token, "idt"));
	assert_true(slice_eq_str(a.account_id, "acc"));
	assert_int_equal(a.expires_ms, JWT_EXP_MS);
	authjson_fini(&a);
}

/* The refresh token brings the rest. */
static void beside_a_refresh_token_nothing_else_is_required(void **state)
{
	static const char *const others[] = {
		"\"x\":1",
		"\"access_token\":null",
		"\"access_token\":7",
		"\"access_token\":\"\"",
		"\"access_token\":\"a b\"",
		"\"access_token\":\"a\",\"id_token\":{\"x\":1}",
		"\"access_token\":\"opaque\",\"id_token\":\"a\\nb\"",
		"\"access_token\":\"a.e30.c\",\"id_token\":null",
	};
	struct authjson a;
	struct errtext e;
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		snprintf(text, sizeof(text),
			"{\"tokens\":{\"account_id\":\"acc\",\"refresh_token\":\"r t\",%s}}",
			others[i]);
		assert_int_equal(authjson_parse(auth_json(), slice_from_str(text), &a, &e), 0);
		assert_true(slice_eq_str(a.refresh_token, "r t"));
		assert_int_equal(a.access_token.n > 0, i >= 5);
		assert_true(a.id_token.n == 0 && a.expires_ms == 0);
		authjson_fini(&a);
	}
	refuse("{\"tokens\":{\"account_id\":\"a\",\"access_token\":\"" JWT
	       "\",\"refresh_token\":7}}",
		"tokens.refresh_token is not a string");
}

static void takes_an_api_key(void **state)
{
	struct authjson a;
	struct errtext e;

	(void)state;
	assert_int_equal(
		authjson_parse(auth_json(),
			SLICE_LITERAL("{\"OPENAI_API_KEY\":\"sk-x\",\"tokens\":null}"), &a, &e),
		0);
	assert_true(slice_eq_str(a.access_token, "sk-x"));
	assert_int_equal(a.refresh_token.n, 0);
	assert_int_equal(a.expires_ms, 0);
	authjson_fini(&a);
}

static void errors_name_the_field(void **state)
{
	(void)state;
	refuse("", "not JSON: it ends too early");
	refuse("{\"tokens\":", "not JSON: it ends too early");
	refuse("{} x", "not JSON");
	refuse("[]", "not a JSON object");
	refuse("{}", "neither tokens nor OPENAI_API_KEY");
	refuse("{\"OPENAI_API_KEY\":5}", "OPENAI_API_KEY is not a string");
	refuse("{\"OPENAI_API_KEY\":\"\"}", "neither tokens nor OPENAI_API_KEY");
	refuse("{\"tokens\":[]}", "tokens is not an object");
	refuse("{\"tokens\":{}}", "tokens.access_token is missing");
	refuse("{\"tokens\":{\"access_token\":7}}", "tokens.access_token is not a string");
	refuse("{\"tokens\":{\"access_token\":\"" JWT "\"}}", "tokens.account_id is missing");
	refuse("{\"tokens\":{\"access_token\":\"abc\",\"account_id\":\"a\"}}",
		"tokens.access_token: it is not a JWT");
}

static void errors_contain_no_secret(void **state)
{
	struct authjson a;
	struct errtext e = {""};

	(void)state;
	assert_int_equal(authjson_parse(auth_json(),
				 SLICE_LITERAL("{\"tokens\":{\"access_token\":\"canary.canary"
					       ".canary\",\"account_id\":\"canary\"}}"),
				 &a, &e),
		-EINVAL);
	assert_null(strstr(e.text, "canary"));
}

static void refuse_jwt(const char *jwt, const char *message)
{
	struct errtext e = {""};
	int64_t ms;

	assert_int_equal(authjson_jwt_expiry(slice_from_str(jwt), &ms, &e), -EINVAL);
	if (!strstr(e.text, message))
		fail_msg("%s: \"%s\" lacks \"%s\"", jwt, e.text, message);
}

static void reads_the_expiry_of_a_jwt(void **state)
{
	struct errtext e;
	int64_t ms = 0;

	(void)state;
	assert_int_equal(authjson_jwt_expiry(SLICE_LITERAL(JWT), &ms, &e), 0);
	assert_int_equal(ms, JWT_EXP_MS);
	assert_int_equal(
		authjson_jwt_expiry(SLICE_LITERAL(HEADER ".eyJleHAiOjE4OTM0NTYwMDB9==.x"), &ms, &e),
		0);
}

static void rejects_a_malformed_jwt(void **state)
{
	(void)state;
	refuse_jwt("", "three parts");
	refuse_jwt("a.b", "three parts");
	refuse_jwt("a.b.c.d", "three parts");
	refuse_jwt("a..c", "three parts");
	refuse_jwt("a.b.c", "not base64url");
	refuse_jwt("a.e+/=.c", "not base64url");
	refuse_jwt("a.e30.c", "has no exp");
	refuse_jwt("a.W10.c", "not a JSON object");
	refuse_jwt("a.eyJleHAi.c", "not JSON");
	refuse_jwt("a.eyJleHAiOiIxIn0.c", "not a time in seconds"); /* "1" */
	refuse_jwt("a.eyJleHAiOjB9.c", "not a time in seconds");    /* 0 */
	refuse_jwt("a.eyJleHAiOi0xfQ.c", "not a time in seconds");  /* -1 */
	refuse_jwt("a.eyJleHAiOjk5OTk5OTk5OTk5OTk5OTk5OTl9.c", "not a time in seconds");
}

static void bounds_the_payload(void **state)
{
	size_t n = AUTHJSON_PAYLOAD_MAX * 2;
	char *jwt = malloc(n + 5);
	struct errtext e = {""};
	int64_t ms;

	(void)state;
	assert_non_null(jwt);
	memset(jwt, 'A', n + 4);
	jwt[1] = '.';
	jwt[n + 2] = '.';
	jwt[n + 4] = '\0';
	assert_int_equal(authjson_jwt_expiry(slice_from_str(jwt), &ms, &e), -EINVAL);
	assert_non_null(strstr(e.text, "larger than"));
	free(jwt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_the_tokens_of_a_login),
		cmocka_unit_test(beside_a_refresh_token_nothing_else_is_required),
		cmocka_unit_test(takes_an_api_key),
		cmocka_unit_test(errors_name_the_field),
		cmocka_unit_test(errors_contain_no_secret),
		cmocka_unit_test(reads_the_expiry_of_a_jwt),
		cmocka_unit_test(rejects_a_malformed_jwt),
		cmocka_unit_test(bounds_the_payload),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
