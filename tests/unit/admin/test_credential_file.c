#include "common/errtext.h"
#include "tests/unit/spoe/cmocka_env.h"

#include "admin/upkeep/credential_file.h"
#include "admin/upkeep/jwt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* {"alg":"none"} . {"exp":1893456000} . x */
#define HEADER "eyJhbGciOiJub25lIn0"
#define JWT HEADER ".eyJleHAiOjE4OTM0NTYwMDB9.x"
#define JWT_EXP_MS ((int64_t)1893456000000)

#define NOW_MS ((int64_t)1800000000000)

static const struct provider *provider(const char *name)
{
	return provider_find(slice_from_str(name));
}

static int parse(const char *name, const char *text, struct credential_file *ret, struct errtext *e)
{
	return credential_file_parse(provider(name), slice_from_str(text), NOW_MS, ret, e);
}

static void refuse(const char *text, const char *message)
{
	struct credential_file a;
	struct errtext e = {""};

	assert_int_equal(parse("codex", text, &a, &e), -EINVAL);
	if (!strstr(e.text, message))
		fail_msg("%s: \"%s\" lacks \"%s\"", text, e.text, message);
}

static void takes_the_tokens_of_a_login(void **state)
{
	static const char text[] =
		"{\"OPENAI_API_KEY\":null,\"tokens\":{\"id_token\":\"idt\",\"access_token\":\"" JWT
		"\",\"refresh_token\":\"rt\",\"account_id\":\"acc\"},"
		"\"last_refresh\":\"2026-01-01T00:00:00Z\"}";
	struct credential_file a;
	struct errtext e;

	(void)state;
	assert_int_equal(parse("codex", text, &a, &e), 0);
	assert_true(slice_eq_str(a.access_token, JWT));
	assert_true(slice_eq_str(a.refresh_token, "rt"));
	assert_true(slice_eq_str(a.id_token, "idt"));
	assert_true(slice_eq_str(a.account_id, "acc"));
	assert_int_equal(a.expires_ms, JWT_EXP_MS);
	credential_file_fini(&a);
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
	struct credential_file a;
	struct errtext e;
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		snprintf(text, sizeof(text),
			"{\"tokens\":{\"account_id\":\"acc\",\"refresh_token\":\"r t\",%s}}",
			others[i]);
		assert_int_equal(parse("codex", text, &a, &e), 0);
		assert_true(slice_eq_str(a.refresh_token, "r t"));
		assert_int_equal(a.access_token.n > 0, i >= 5);
		assert_true(a.id_token.n == 0 && a.expires_ms == 0);
		credential_file_fini(&a);
	}
	refuse("{\"tokens\":{\"account_id\":\"a\",\"access_token\":\"" JWT
	       "\",\"refresh_token\":7}}",
		"tokens.refresh_token is not a string");
}

static void takes_an_api_key(void **state)
{
	struct credential_file a;
	struct errtext e;

	(void)state;
	assert_int_equal(
		parse("codex", "{\"OPENAI_API_KEY\":\"sk-x\",\"tokens\":null}", &a, &e), 0);
	assert_true(slice_eq_str(a.access_token, "sk-x"));
	assert_int_equal(a.refresh_token.n, 0);
	assert_int_equal(a.expires_ms, 0);
	credential_file_fini(&a);
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
	struct credential_file a;
	struct errtext e = {""};

	(void)state;
	assert_int_equal(parse("codex",
				 "{\"tokens\":{\"access_token\":\"canary.canary"
				 ".canary\",\"account_id\":\"canary\"}}",
				 &a, &e),
		-EINVAL);
	assert_null(strstr(e.text, "canary"));
}

/* {"exp":1893456000,"https://api.openai.com/auth":{"chatgpt_account_id":"acc-claim"}} */
#define CLAIM                                                                                      \
	"eyJleHAiOjE4OTM0NTYwMDAsImh0dHBzOi8vYXBpLm9wZW5haS5jb20vYXV0aCI6eyJjaGF0Z3B0X2FjY291bnRf" \
	"aWQiOiJhY2MtY2xhaW0ifX0"
#define JWT_CLAIM HEADER "." CLAIM ".x"

static const struct {
	const char *provider;
	const char *text;
	const char *login, *access, *refresh, *account, *token_url, *client_id, *secret;
	int64_t expires_ms;
} files[] = {
	{"codex",
		"\xef\xbb\xbf{\"tokens\":{\"access_token\":\"" JWT
		"\",\"refresh_token\":\"rt\",\"account_id\":\"acc\"}}",
		"codex", JWT, "rt", "acc", "", "", "", JWT_EXP_MS},
	{"codex",
		"{\"auth_mode\":\"chatgpt\",\"tokens\":{\"id_token\":\"" JWT_CLAIM
		"\",\"access_token\":\"" JWT "\",\"refresh_token\":\"rt\"}}",
		"codex", JWT, "rt", "acc-claim", "", "", "", JWT_EXP_MS},
	{"codex",
		"{\"tokens\":{\"id_token\":\"x\",\"access_token\":\"" JWT_CLAIM
		"\",\"account_id\":null}}",
		"codex", JWT_CLAIM, "", "acc-claim", "", "", "", JWT_EXP_MS},
	{"codex",
		"{\"type\":\"codex\",\"access_token\":\"" JWT
		"\",\"refresh_token\":\"rt\",\"account_id\":\"acc\",\"email\":\"a@b\","
		"\"expired\":\"2026-01-01T00:00:00Z\"}",
		"codex-flat", JWT, "rt", "acc", "", "", "", JWT_EXP_MS},
	{"codex", "{\"refresh_token\":\"rt\",\"id_token\":\"" JWT_CLAIM "\"}", "codex-flat", "",
		"rt", "acc-claim", "", "", "", 0},
	{"anthropic",
		"{\"claudeAiOauth\":{\"accessToken\":\"sk-ant-oat01-x\",\"refreshToken\":"
		"\"sk-ant-ort01-y\",\"expiresAt\":1893456000123,\"scopes\":[\"user:inference\"],"
		"\"subscriptionType\":\"max\"},\"mcpOAuth\":{}}",
		"claude-code", "sk-ant-oat01-x", "sk-ant-ort01-y", "", "", "", "", 1893456000123},
	{"anthropic",
		"{\"access_token\":\"sk-ant-oat01-x\",\"refresh_token\":\"sk-ant-ort01-y\","
		"\"expired\":\"2030-01-01T00:00:00Z\"}",
		"claude-code-flat", "sk-ant-oat01-x", "sk-ant-ort01-y", "", "", "", "", JWT_EXP_MS},
	{"gemini",
		"{\"access_token\":\"ya29.a\",\"refresh_token\":\"1//b\",\"token_type\":\"Bearer\","
		"\"scope\":\"openid\",\"expiry_date\":1893456000000.7791}",
		"gemini-cli", "ya29.a", "1//b", "", "", "", "", JWT_EXP_MS},
	{"gemini",
		"{\"type\":\"authorized_user\",\"client_id\":\"ci\",\"client_secret\":\"cs\","
		"\"refresh_token\":\"1//b\"}",
		"gemini-cli", "", "1//b", "", "", "ci", "cs", 0},
	{"generic",
		"{\"access_token\":\"a\",\"refresh_token\":\"r\",\"expires_at\":1893456000,"
		"\"token_url\":\"https://h/t\",\"client_id\":\"ci\"}",
		"oauth", "a", "r", "", "https://h/t", "ci", "", JWT_EXP_MS},
	{"generic",
		"{\"access_token\":\"a\",\"expires_in\":\"3600\",\"token_uri\":\"https://h/t\"}",
		"oauth", "a", "", "", "https://h/t", "", "", NOW_MS + 3600000},
	{"generic",
		"{\"access_token\":\"a\",\"refresh_token\":\"r\",\"expires_in\":3600,"
		"\"last_refresh\":\"2030-01-01T00:00:00+00:00\"}",
		"oauth", "a", "r", "", "", "", "", JWT_EXP_MS + 3600000},
	{"generic", "{\"access_token\":\"a\"}", "oauth", "a", "", "", "", "", "", 0},
	{"openai", "{\"OPENAI_API_KEY\":\"sk-x\"}", "codex", "sk-x", "", "", "", "", "", 0},
};

static void each_form_is_recognised_and_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct credential_file f;
		struct errtext e = {""};
		if (parse(files[i].provider, files[i].text, &f, &e))
			fail_msg("%s: %s", files[i].text, e.text);
		assert_string_equal(f.form->login, files[i].login);
		assert_true(slice_eq_str(f.access_token, files[i].access));
		assert_true(slice_eq_str(f.refresh_token, files[i].refresh));
		assert_true(slice_eq_str(f.account_id, files[i].account));
		assert_true(slice_eq_str(f.token_url, files[i].token_url));
		assert_true(slice_eq_str(f.client_id, files[i].client_id));
		assert_true(slice_eq_str(f.client_secret, files[i].secret));
		assert_int_equal(f.expires_ms, files[i].expires_ms);
		credential_file_fini(&f);
	}
}

static void each_refusal_says_what_is_missing(void **state)
{
	static const struct {
		const char *provider, *text, *message;
	} bad[] = {
		{"anthropic", "{\"mcpOAuth\":{}}",
			".credentials.json: holds no claudeAiOauth: log in with claude first"},
		{"anthropic", "{\"claudeAiOauth\":{}}", "claudeAiOauth.accessToken is missing"},
		{"anthropic", "{\"claudeAiOauth\":[]}", "claudeAiOauth is not an object"},
		{"anthropic",
			"{\"claudeAiOauth\":{\"accessToken\":\"x\",\"expiresAt\":1700000000000}}",
			"expired at 2023-11-14T22:13:20Z, and there is no refresh token"},
		{"codex", "{\"claudeAiOauth\":{\"accessToken\":\"x\"}}",
			".credentials.json: is a login of claude-code, which an upstream of provider "
			"codex does not read"},
		{"gemini", "{\"tokens\":{\"access_token\":\"x\"}}",
			"auth.json: is a login of codex, which an upstream of provider gemini"},
		{"gemini", "{\"installed\":{}}", "holds no refresh_token: log in with gemini"},
		{"gemini", "{\"refresh_token\":5}", ": refresh_token is not a string"},
		{"codex", "{\"access_token\":\"abc\",\"account_id\":\"a\"}",
			"auth.json: access_token: it is not a JWT"},
		{"codex", "{\"refresh_token\":\"r\"}",
			"auth.json: account_id is missing, and no token names the account"},
		{"generic", "{\"access_token\":\"a\",\"token_url\":5}",
			"token_url is not a string"},
		{"generic", "{}", "neither tokens nor OPENAI_API_KEY"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct credential_file f;
		struct errtext e = {""};
		assert_int_equal(parse(bad[i].provider, bad[i].text, &f, &e), -EINVAL);
		if (!strstr(e.text, bad[i].message))
			fail_msg("%s: \"%s\" lacks \"%s\"", bad[i].text, e.text, bad[i].message);
	}
}

static void an_odd_time_is_no_time(void **state)
{
	static const char *const odd[] = {"null", "true", "\"soon\"", "-5", "0", "1e999", "{}",
		"99999999999999999999", "\"\""};

	(void)state;
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		struct credential_file f;
		struct errtext e = {""};
		char text[256];
		snprintf(text, sizeof(text),
			"{\"access_token\":\"a\",\"refresh_token\":\"r\",\"expires_at\":%s}",
			odd[i]);
		if (parse("generic", text, &f, &e))
			fail_msg("%s: %s", text, e.text);
		assert_int_equal(f.expires_ms, 0);
		credential_file_fini(&f);
	}
}

static void refuse_jwt(const char *jwt, const char *message)
{
	struct errtext e = {""};
	int64_t ms;

	assert_int_equal(jwt_expiry(slice_from_str(jwt), &ms, &e), -EINVAL);
	if (!strstr(e.text, message))
		fail_msg("%s: \"%s\" lacks \"%s\"", jwt, e.text, message);
}

static void reads_the_expiry_of_a_jwt(void **state)
{
	struct errtext e;
	int64_t ms = 0;

	(void)state;
	assert_int_equal(jwt_expiry(SLICE_LITERAL(JWT), &ms, &e), 0);
	assert_int_equal(ms, JWT_EXP_MS);
	assert_int_equal(
		jwt_expiry(SLICE_LITERAL(HEADER ".eyJleHAiOjE4OTM0NTYwMDB9==.x"), &ms, &e), 0);
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
	size_t n = JWT_PAYLOAD_MAX * 2;
	char *jwt = malloc(n + 5);
	struct errtext e = {""};
	int64_t ms;

	(void)state;
	assert_non_null(jwt);
	memset(jwt, 'A', n + 4);
	jwt[1] = '.';
	jwt[n + 2] = '.';
	jwt[n + 4] = '\0';
	assert_int_equal(jwt_expiry(slice_from_str(jwt), &ms, &e), -EINVAL);
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
		cmocka_unit_test(each_form_is_recognised_and_read),
		cmocka_unit_test(each_refusal_says_what_is_missing),
		cmocka_unit_test(an_odd_time_is_no_time),
		cmocka_unit_test(reads_the_expiry_of_a_jwt),
		cmocka_unit_test(rejects_a_malformed_jwt),
		cmocka_unit_test(bounds_the_payload),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
