/* Credential files in `accounts add` and `accounts set`: what is completed, refused, limited and told. */
#include "tests/unit/admin/room.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UPSTREAMS                                                                                  \
	"INSERT INTO upstreams (name, url, provider, created_ms) VALUES"                           \
	" ('codex', 'https://192.0.2.1', 'codex', 0),"                                             \
	" ('claude', 'https://192.0.2.1', 'anthropic', 0),"                                        \
	" ('gemini', 'https://192.0.2.1', 'gemini', 0),"                                           \
	" ('any', 'https://192.0.2.1', 'generic', 0)"

#define CODEX                                                                                      \
	"{\"tokens\":{\"access_token\":\"a\",\"refresh_token\":\"rt-c\",\"account_id\":\"acc\"}}"
#define CLAUDE                                                                                     \
	"{\"claudeAiOauth\":{\"accessToken\":\"sk-ant-oat01-x\",\"refreshToken\":\"rt-cl\","       \
	"\"expiresAt\":4000000000000}}"
#define GEMINI                                                                                     \
	"{\"access_token\":\"ya29.x\",\"refresh_token\":\"rt-g\",\"expiry_date\":4000000000000}"
#define OAUTH                                                                                      \
	"{\"access_token\":\"x\",\"refresh_token\":\"rt-o\",\"expires_at\":4000000000,"            \
	"\"token_url\":\"https://192.0.2.9/t\",\"client_id\":\"ci\",\"client_secret\":\"cs\"}"

static char *body_of(const char *name, const char *upstream, const char *file, const char *more)
{
	json_object *o = more ? json_tokener_parse(more) : json_object_new_object();

	if (name)
		json_object_object_add(o, "name", json_object_new_string(name));
	if (upstream)
		json_object_object_add(o, "upstream", json_object_new_string(upstream));
	if (file)
		json_object_object_add(o, "credentials", json_object_new_string(file));
	char *text = strdup(json_object_to_json_string(o));
	json_object_put(o);
	assert_non_null(text);
	return text;
}

/* The note of the answer, or "". */
static void add(struct room *r, const char *name, const char *upstream, const char *file,
	const char *more, char note[512])
{
	char *body = body_of(name, upstream, file, more);
	json_object *answer = NULL;
	struct room_seen seen;
	unsigned status = room_call(r, COMMAND_ACCOUNTS_ADD, NULL, body, &answer);

	if (status != 200)
		fail_msg("%s: %s", body, json_object_to_json_string(answer));
	json_object *text = json_object_object_get(answer, "note");
	snprintf(note, 512, "%s", text ? json_object_get_string(text) : "");
	json_object_put(answer);
	room_take(r, &seen);
	room_seen_fini(&seen);
	free(body);
}

static void refuse(struct room *r, const char *upstream, const char *file, const char *more,
	unsigned status, const char *words)
{
	char *body = body_of("x", upstream, file, more);

	room_refuse(r, COMMAND_ACCOUNTS_ADD, NULL, body, status, words);
	free(body);
	assert_int_equal(room_number(r, "SELECT count(*) FROM accounts WHERE name = 'x'"), 0);
}

static void expect(struct room *r, const char *condition)
{
	char sql[1024];

	snprintf(sql, sizeof(sql),
		"SELECT count(*) FROM accounts a JOIN upstreams u ON u.id = a.upstream_id WHERE %s",
		condition);
	if (room_number(r, sql) != 1)
		fail_msg("not so: %s", condition);
}

static void what_is_known_of_a_login_is_completed(void **state)
{
	struct room *r = *state;
	char note[512];

	room_run(r, UPSTREAMS);
	add(r, "c", "codex", CODEX, NULL, note);
	assert_non_null(strstr(note, "upstream codex refreshes tokens at https://auth.openai.com"));
	expect(r,
		"a.name = 'c' AND a.login = 'codex' AND a.client_id = 'app_EMoamEEZ73f0CkXaXp7hrann'"
		" AND u.token_url = 'https://auth.openai.com/oauth/token'");
	add(r, "cl", "claude", CLAUDE, NULL, note);
	expect(r,
		"a.name = 'cl' AND a.login = 'claude-code' AND"
		" u.token_url = 'https://platform.claude.com/v1/oauth/token'"
		" AND a.client_id = '9d1c250a-e61b-44d9-88ed-5944d1962f5e'");
	add(r, "o", "any", OAUTH, NULL, note);
	expect(r,
		"a.name = 'o' AND a.login = 'oauth' AND u.token_url = 'https://192.0.2.9/t'"
		" AND a.client_id = 'ci'");
	assert_int_equal(room_number(r,
				 "SELECT count(*) FROM credentials WHERE account_id = 3"
				 " AND field = 'client_secret'"),
		1);
}

static void what_the_operator_gave_comes_first(void **state)
{
	struct room *r = *state;
	char note[512];

	room_run(r,
		UPSTREAMS ";UPDATE upstreams SET token_url = 'https://192.0.2.9/t/',"
			  " client_id = 'mine'");
	add(r, "c", "codex", CODEX, "{\"rpm\":1,\"rph\":1,\"concurrency\":1,\"max_consecutive\":1}",
		note);
	assert_string_equal(note, "");
	expect(r, "a.name = 'c' AND a.client_id = '' AND u.token_url = 'https://192.0.2.9/t/'");
	add(r, "o", "any", OAUTH, "{\"client_id\":\"other\"}", note);
	assert_string_equal(note, "");
	expect(r, "a.name = 'o' AND a.client_id = 'other'");
}

static void each_missing_part_is_named(void **state)
{
	struct room *r = *state;

	room_run(r, UPSTREAMS);
	refuse(r, "gemini", GEMINI, NULL, 400, "client_id and client_secret are missing: give");
	refuse(r, "gemini", GEMINI, "{\"client_id\":\"i\"}", 400, "client_secret is missing");
	refuse(r, "gemini", GEMINI, "{\"client_secret\":\"s\"}", 400, "client_id is missing");
	refuse(r, "any", "{\"refresh_token\":\"r\",\"client_id\":\"i\"}", NULL, 400,
		"token_url is missing: put it into the file, or relayadm upstreams set any");
	refuse(r, "any", "{\"refresh_token\":\"r\",\"token_url\":\"https://192.0.2.9/t\"}", NULL,
		400, "client_id is missing");
	refuse(r, "any",
		"{\"refresh_token\":\"r\",\"client_id\":\"i\",\"token_url\":\"http://192.0.2.9/\"}",
		NULL, 400, "its token URL: it is not https");
	refuse(r, "any", "{\"refresh_token\":\"r\",\"client_id\":\"i\",\"token_url\":\"ftp://x\"}",
		NULL, 400, "its token URL: the URL must start with");
	assert_int_equal(room_number(r, "SELECT count(*) FROM upstreams WHERE token_url <> ''"), 0);
}

/* A file must not lead the tokens of other accounts to a place of its choice. */
static void a_file_cannot_change_the_token_url(void **state)
{
	struct room *r = *state;
	char note[512];

	room_run(r, UPSTREAMS);
	refuse(r, "codex",
		"{\"refresh_token\":\"r\",\"account_id\":\"a\",\"token_url\":\"https://evil.example/\"}",
		NULL, 400, "accounts of upstream codex refresh at https://auth.openai.com");
	add(r, "o", "any", OAUTH, NULL, note);
	refuse(r, "any",
		"{\"refresh_token\":\"r\",\"client_id\":\"i\",\"token_url\":\"https://192.0.2.9/u\"}",
		NULL, 400, "accounts of upstream any refresh at https://192.0.2.9/t: add it to");
}

static void one_refresh_token_has_one_account(void **state)
{
	struct room *r = *state;
	char note[512];

	room_run(r, UPSTREAMS);
	add(r, "c", "codex", CODEX, NULL, note);
	refuse(r, "codex", CODEX, NULL, 409, "account c has this login already");
	char *body = body_of(NULL, NULL, CODEX, NULL);
	assert_int_equal(room_call(r, COMMAND_ACCOUNTS_SET, "c", body, NULL), 200);
	free(body);
}

/* To send a token again that is used up would end the login. */
static void a_used_up_token_does_not_replace_its_successor(void **state)
{
	struct room *r = *state;
	char note[512];

	room_run(r, UPSTREAMS);
	add(r, "c", "codex", CODEX, NULL, note);
	assert_int_equal(credential_put(r->control.store, r->control.vault, 1,
				 CREDENTIAL_REFRESH_TOKEN, SLICE_LITERAL("rt-2"), 0, &r->e),
		0);
	char *body = body_of(NULL, NULL, CODEX, NULL);
	room_refuse(r, COMMAND_ACCOUNTS_SET, "c", body, 409, "has used up this refresh token");
	free(body);
	refuse(r, "codex", CODEX, NULL, 409, "account c has this login already");
	body = body_of(
		NULL, NULL, "{\"tokens\":{\"refresh_token\":\"rt-3\",\"account_id\":\"a\"}}", NULL);
	assert_int_equal(room_call(r, COMMAND_ACCOUNTS_SET, "c", body, NULL), 200);
	free(body);
	room_call(r, COMMAND_ACCOUNTS_SET, "c", "{\"token\":\"t\"}", NULL);
	assert_int_equal(room_number(r, "SELECT count(*) FROM credentials"), 1);
}

static void a_subscription_brings_limits_and_says_how_to_lift_them(void **state)
{
	struct room *r = *state;
	char note[512];

	room_run(r, UPSTREAMS);
	r->control.config.limit_account_rpm = 10;
	r->control.config.limit_account_rph = 200;
	r->control.config.limit_account_concurrency = 2;
	r->control.config.limit_account_max_consecutive = 5;
	add(r, "cl", "claude", CLAUDE, "{\"rph\":7}", note);
	assert_non_null(strstr(note,
		"account cl has the limits of a subscription: 10 requests a "
		"minute, 2 at a time, 5 in a row; without limits: relayadm accounts "
		"set cl --rpm 0 --concurrency 0 --max-consecutive 0"));
	expect(r,
		"a.name = 'cl' AND a.rpm = 10 AND a.rph = 7 AND a.concurrency = 2"
		" AND a.max_consecutive = 5");
	add(r, "k", "claude", NULL, "{\"token\":\"sk-ant-api03-x\"}", note);
	assert_string_equal(note, "");
	expect(r, "a.name = 'k' AND a.rpm = 0");
	add(r, "s", "codex", NULL, "{\"token\":\"t\"}", note);
	assert_non_null(strstr(note, "account s has the limits of a subscription: 10 requests"));
	add(r, "o", "any", OAUTH, NULL, note);
	assert_null(strstr(note, "limits"));
}

/* The secret of one client is of no use to another. */
static void a_new_login_keeps_the_client_secret_of_the_same_client(void **state)
{
	static const char secrets[] =
		"SELECT count(*) FROM credentials WHERE field = 'client_secret'";
	struct room *r = *state;
	char note[512];

	room_run(r, UPSTREAMS);
	add(r, "g", "gemini", GEMINI, "{\"client_id\":\"i\",\"client_secret\":\"s\"}", note);
	char *body =
		body_of(NULL, NULL, "{\"refresh_token\":\"r2\",\"access_token\":\"ya29.y\"}", NULL);
	assert_int_equal(room_call(r, COMMAND_ACCOUNTS_SET, "g", body, NULL), 200);
	free(body);
	assert_int_equal(room_number(r, secrets), 1);
	body = body_of(NULL, NULL, "{\"refresh_token\":\"r3\",\"client_id\":\"j\"}", NULL);
	room_refuse(r, COMMAND_ACCOUNTS_SET, "g", body, 400, "client_secret is missing");
	free(body);
	assert_int_equal(room_number(r, secrets), 1);
}

static void no_secret_is_shown_or_logged(void **state)
{
	struct room *r = *state;
	json_object *answer = NULL;
	char note[512];

	room_run(r, UPSTREAMS);
	add(r, "o", "any", OAUTH, NULL, note);
	assert_int_equal(room_call(r, COMMAND_ACCOUNTS_LIST, NULL, "{}", &answer), 200);
	const char *text = json_object_to_json_string(answer);
	assert_null(strstr(text, "rt-o"));
	assert_null(strstr(text, "\"cs\""));
	assert_non_null(strstr(text, "\"login\": \"oauth\""));
	assert_non_null(strstr(text, "\"source\": \"credentials\""));
	json_object_put(answer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_known_of_a_login_is_completed),
		TEST(what_the_operator_gave_comes_first),
		TEST(each_missing_part_is_named),
		TEST(a_file_cannot_change_the_token_url),
		TEST(one_refresh_token_has_one_account),
		TEST(a_used_up_token_does_not_replace_its_successor),
		TEST(a_subscription_brings_limits_and_says_how_to_lift_them),
		TEST(a_new_login_keeps_the_client_secret_of_the_same_client),
		TEST(no_secret_is_shown_or_logged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
