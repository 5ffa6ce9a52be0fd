/* The facts in the row of each provider, and the invariants of all rows. */
#include "common/provider.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/seam.h"

static const struct row {
	const char *name;
	const char *auth; /* header with scheme */
	const char *oauth_token;
	const char *oauth; /* the same for this token */
	const char *list;  /* header and value besides, with the OAuth token */
	const char *path;  /* of a client's request */
	const char *shape;
	const char *limit_header; /* the first */
	const char *limit_prefix;
	const char *probe; /* method and path */
	const char *probe_header;
	const char *account_header;
	const char *state_header;
	bool is_subscription;
	const char *login; /* of its first form of credential file */
	const char *token_host;
} rows[] = {
	{"openai", "Authorization: Bearer ", NULL, NULL, NULL, "/v1/chat/completions", "openai",
		"x-ratelimit-limit-requests", "x-ratelimit-", "GET /v1/models", "", NULL, NULL,
		false, "codex", "https://auth.openai.com/oauth/token"},
	{"codex", "Authorization: Bearer ", NULL, NULL, NULL, "/v1/responses", "openai",
		"x-codex-primary-used-percent", "x-codex-", "GET /v1/models?client_version=0.150.0",
		"", "ChatGPT-Account-ID", "x-codex-turn-state", true, "codex",
		"https://auth.openai.com/oauth/token"},
	{"anthropic", "x-api-key: ", "sk-ant-oat01-x", "Authorization: Bearer ",
		"anthropic-beta: oauth-2025-04-20", "/v1/messages", "anthropic",
		"anthropic-ratelimit-unified-status", "anthropic-ratelimit-",
		"GET /v1/models?limit=1", "anthropic-version: 2023-06-01", NULL, NULL, false,
		"claude-code", "https://platform.claude.com/v1/oauth/token"},
	{"generic", "Authorization: Bearer ", NULL, NULL, NULL, "/anything", "openai",
		"x-ratelimit-limit-requests", "x-ratelimit-", NULL, "", NULL, NULL, false, "codex",
		"https://auth.openai.com/oauth/token"},
	{"gemini", "x-goog-api-key: ", "ya29.x", "Authorization: Bearer ", NULL,
		"/v1beta/models/m:generateContent", "gemini", NULL, NULL,
		"GET /v1beta/models?pageSize=1", "", NULL, NULL, false, "gemini-cli",
		"https://oauth2.googleapis.com/token"},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void same(const char *is, const char *wanted)
{
	assert_int_equal(is == NULL, wanted == NULL);
	if (wanted)
		assert_string_equal(is, wanted);
}

static void check_auth(const struct provider *p, const char *token, const char *wanted)
{
	const struct provider_auth *a = provider_auth(p, slice_from_str(token));
	char text[64];

	snprintf(text, sizeof(text), "%s: %s", a->header, a->scheme);
	assert_string_equal(text, wanted);
	assert_ptr_equal(provider_auth_at(provider_auth_index(a)), a);
}

static void check_oauth(const struct provider *p, const struct row *row)
{
	char text[64];

	assert_int_equal(p->oauth_prefix != NULL, row->oauth_token != NULL);
	assert_int_equal(p->oauth_auth != NULL, row->oauth_token != NULL);
	if (!row->oauth_token)
		return;
	check_auth(p, row->oauth_token, row->oauth);
	if (!row->list) {
		assert_null(p->oauth_auth->list_header);
		return;
	}
	snprintf(text, sizeof(text), "%s: %s", p->oauth_auth->list_header,
		p->oauth_auth->list_value);
	assert_string_equal(text, row->list);
}

static void check_probe(const struct provider *p, const struct row *row)
{
	char text[64];

	assert_string_equal(p->probe.header, row->probe_header);
	assert_int_equal(p->probe.path != NULL, row->probe != NULL);
	if (!row->probe)
		return;
	snprintf(text, sizeof(text), "%s %s", p->probe.method, p->probe.path);
	assert_string_equal(text, row->probe);
}

static void each_row_has_the_facts_of_its_provider(void **state)
{
	(void)state;
	assert_int_equal(provider_count(), ROWS);
	for (size_t i = 0; i < ROWS; i++) {
		const struct row *row = &rows[i];
		const struct provider *p = provider_find(slice_from_str(row->name));
		assert_non_null(p);
		assert_ptr_equal(provider_at(i), p);
		assert_int_equal(provider_index(p), i);
		check_auth(p, "a-key", row->auth);
		check_auth(p, "", row->auth);
		check_oauth(p, row);
		assert_string_equal(
			provider_shape_at(provider_shape_of_path(slice_from_str(row->path)))->name,
			row->shape);
		same(p->limit_headers ? p->limit_headers->header : NULL, row->limit_header);
		same(p->limit_prefixes ? p->limit_prefixes[0] : NULL, row->limit_prefix);
		check_probe(p, row);
		same(p->account_header, row->account_header);
		same(p->state_header, row->state_header);
		assert_int_equal(p->is_subscription, row->is_subscription);
		same(p->files ? p->files[0]->login : NULL, row->login);
		same(p->files ? p->files[0]->host->url : NULL, row->token_host);
	}
}

/* A form without an object of tokens would hide the forms behind it. */
static void every_form_of_file_is_found_by_its_login_and_can_be_recognised(void **state)
{
	(void)state;
	for (size_t i = 0; i < provider_count(); i++) {
		const struct provider_file *const *form = provider_at(i)->files;
		for (; *form; form++) {
			const struct provider_file *f = *form;
			assert_ptr_equal(provider_file_find(slice_from_str(f->login)), f);
			assert_non_null(f->host);
			assert_true(f->name && f->remedy && f->access_token && f->refresh_token);
			assert_true(f->tokens != NULL || form[1] == NULL);
		}
	}
	assert_null(provider_file_find(SLICE_LITERAL("")));
	assert_null(provider_file_find(SLICE_LITERAL("none")));
}

static void only_the_names_of_rows_are_found(void **state)
{
	static const char *const bad[] = {"", "OpenAI", "openai ", "open", "openaix", "|"};
	char choices[256] = "";

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_null(provider_find(slice_from_str(bad[i])));
	assert_non_null(provider_find(SLICE_LITERAL(PROVIDER_DEFAULT)));
	for (size_t i = 0; i < provider_count(); i++) {
		strcat(choices, i ? "|" : "");
		strcat(choices, provider_at(i)->name);
	}
	assert_string_equal(PROVIDER_CHOICES, choices);
}

static void a_prefix_identifies_an_oauth_token(void **state)
{
	const struct provider *p = provider_find(SLICE_LITERAL("anthropic"));

	(void)state;
	check_auth(p, "sk-ant-api03-1", "x-api-key: ");
	check_auth(p, "sk-ant-oa", "x-api-key: ");
	check_auth(
		provider_find(SLICE_LITERAL("openai")), "sk-ant-oat01-1", "Authorization: Bearer ");
}

/* --- every way to authenticate, every shape --- */

static bool is_token(const char *s)
{
	for (const char *c = s; *c; c++) {
		if (!isalnum((unsigned char)*c) && *c != '-')
			return false;
	}
	return *s != '\0';
}

static void a_variable_has_one_meaning(void **state)
{
	(void)state;
	for (size_t i = 0; i < provider_auth_count(); i++) {
		const struct provider_auth *a = provider_auth_at(i);
		assert_true(is_token(a->header));
		assert_true(provider_is_auth_header(a->header));
		for (int v = 0; v < SEAM_VAR_COUNT; v++) {
			assert_string_not_equal(a->variable, seam_var_name((enum seam_var)v));
			if (a->list_header)
				assert_string_not_equal(
					a->list_variable, seam_var_name((enum seam_var)v));
		}
		for (size_t k = 0; k < i; k++) {
			const struct provider_auth *other = provider_auth_at(k);
			if (strcmp(a->variable, other->variable) != 0)
				continue;
			assert_string_equal(a->header, other->header);
			assert_string_equal(a->scheme, other->scheme);
		}
	}
	assert_false(provider_is_auth_header("x-other-key"));
	assert_true(provider_is_auth_header("AUTHORIZATION"));
}

static void a_shape_is_chosen_by_whole_path_segments(void **state)
{
	static const struct {
		const char *path, *shape;
	} cases[] = {
		{"", "openai"},
		{"/", "openai"},
		{"/v1/message", "openai"},
		{"/v1/messages", "anthropic"},
		{"/v1/messages/count_tokens", "anthropic"},
		{"/v1/messagesx", "openai"},
		{"/x/v1/messages", "openai"},
		{"/v1beta", "gemini"},
		{"/v1beta/models", "gemini"},
		{"/v1beta1/models", "openai"},
		{"/v1betamodels", "openai"},
		{"/V1BETA/models", "openai"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(
			provider_shape_at(provider_shape_of_path(slice_from_str(cases[i].path)))
				->name,
			cases[i].shape);
}

static bool names_status(const struct provider_shape *s, int status)
{
	const char *name = provider_status_name(s, status);

	return name && name[0] != '\0' && !strpbrk(name, "\"';%");
}

static void a_status_without_a_row_has_the_name_of_its_hundred(void **state)
{
	size_t shape = provider_shape_of_path(SLICE_LITERAL("/v1beta"));
	const struct provider_shape *gemini = provider_shape_at(shape);

	(void)state;
	assert_string_equal(provider_status_name(gemini, 404), "NOT_FOUND");
	assert_string_equal(provider_status_name(gemini, 451), "INVALID_ARGUMENT");
	assert_string_equal(provider_status_name(gemini, 503), "UNAVAILABLE");
	assert_string_equal(provider_status_name(gemini, 504), "DEADLINE_EXCEEDED");
	assert_string_equal(provider_status_name(gemini, 507), "UNAVAILABLE");
	assert_null(provider_status_name(provider_shape_at(0), 404));
}

static void each_shape_names_every_status_and_is_distinct(void **state)
{
	(void)state;
	assert_null(provider_shape_at(0)->paths);
	for (size_t i = 0; i < provider_shape_count(); i++) {
		const struct provider_shape *s = provider_shape_at(i);
		assert_int_equal(s->paths == NULL, i == 0);
		assert_non_null(strstr(s->close, "\"%[unique-id]\""));
		for (size_t k = 0; k < provider_shape_count(); k++) {
			const struct provider_shape *other = provider_shape_at(k);
			bool same_sign =
				s->id_header && strncmp(other->open, s->sign, strlen(s->sign)) == 0;
			assert_int_equal(same_sign, s->id_header && k == i);
		}
		for (int status = 400; s->statuses && status < 600; status++)
			assert_true(names_status(s, status));
	}
}

/* --- the limits text of every row --- */

static bool is_key(const char *s)
{
	for (const char *c = s; *c; c++) {
		if (!islower((unsigned char)*c) && !isdigit((unsigned char)*c))
			return false;
	}
	return *s != '\0';
}

static bool has_key(const struct provider *p, const char *key)
{
	for (const struct provider_header *h = p->limit_headers; h && h->key; h++) {
		if (strcmp(h->key, key) == 0)
			return true;
	}
	for (const struct provider_field *f = p->body_fields; f->key; f++) {
		if (strcmp(f->key, key) == 0)
			return true;
	}
	return false;
}

static bool has_family(const struct provider *p, const char *header)
{
	for (size_t i = 0; p->limit_prefixes[i]; i++) {
		if (strncmp(header, p->limit_prefixes[i], strlen(p->limit_prefixes[i])) == 0)
			return true;
	}
	return false;
}

static size_t check_headers(const struct provider *p, const struct provider_header *h)
{
	size_t n = 0;

	for (; h && h->key; h++) {
		assert_true(is_key(h->key) && is_token(h->header));
		for (const char *c = h->header; *c; c++)
			assert_false(isupper((unsigned char)*c));
		assert_true(h == result_common_headers() || h == result_common_headers() + 1 ||
			has_family(p, h->header));
		n += strlen(h->key) + sizeof("=;") - 1 + RESULT_VALUE_MAX;
	}
	return n;
}

static void the_longest_limits_text_fits_into_a_record(void **state)
{
	(void)state;
	for (size_t i = 0; i < provider_count(); i++) {
		const struct provider *p = provider_at(i);
		size_t n = sizeof("st=999;") - 1;
		n += check_headers(p, result_common_headers());
		n += check_headers(p, p->limit_headers);
		for (const struct provider_field *f = p->body_fields; f->key; f++) {
			assert_true(is_key(f->key));
			n += strlen(f->key) + sizeof("=;") - 1 + RESULT_VALUE_MAX;
		}
		assert_true(n <= RESULT_LIMITS_MAX);
	}
}

static void every_error_of_a_stream_is_a_reason_to_move(void **state)
{
	(void)state;
	for (size_t i = 0; i < provider_count(); i++) {
		const struct provider *p = provider_at(i);
		assert_int_equal(p->events == NULL, p->event_fields == NULL);
		assert_non_null(p->generation_paths);
		for (const struct provider_event *e = p->events; e && e->word; e++) {
			size_t n = strlen(e->word);
			/* between the dots the word must fit into its field */
			assert_true(n > 2 && n - 2 <= RESULT_VALUE_MAX);
			assert_true(e->word[0] == '.' && e->word[n - 1] == '.');
			assert_null(memchr(e->word + 1, '.', n - 2));
			assert_true(e->class != RESULT_SUCCESS && e->class != RESULT_PAYLOAD &&
				e->class != RESULT_CLIENT);
		}
	}
}

static void check_key(const struct provider *p, const char *key)
{
	if (key && !has_key(p, key))
		fail_msg("%s: nothing has the key %s", p->name, key);
}

static void every_key_in_a_rule_is_collected(void **state)
{
	(void)state;
	for (size_t i = 0; i < provider_count(); i++) {
		const struct provider *p = provider_at(i);
		check_key(p, p->retry_field);
		for (const struct provider_limit *l = p->limits; l && l->end; l++) {
			check_key(p, l->used);
			check_key(p, l->limit);
			check_key(p, l->left);
			check_key(p, l->end);
			check_key(p, l->end_too);
			assert_true(l->used ? l->whole > 0 : l->limit && l->left);
		}
		for (const struct provider_result *r = p->results; r && r->status; r++) {
			check_key(p, r->key);
			check_key(p, r->end);
			check_key(p, r->end_too);
			assert_int_equal(r->key == NULL, r->word == NULL);
			assert_true(r->key || (p->limits && r->class == RESULT_WINDOW));
		}
		for (const struct provider_result *r = p->foreign_state; r && r->status; r++) {
			assert_true(r->key && r->word && r->class == RESULT_PAYLOAD);
			check_key(p, r->key);
		}
		/* otherwise nothing ends a conversation whose state is at another account */
		assert_true(!p->bound_state || p->foreign_state);
	}
}

static void a_path_of_its_own_list_is_never_foreign(void **state)
{
	(void)state;
	for (size_t i = 0; i < provider_count(); i++) {
		const struct provider *p = provider_at(i);
		assert_true(p->title && p->title[0]);
		assert_null(provider_foreign_path(p, SLICE_LITERAL("/v1/models")));
		for (size_t n = 0; p->api_paths && p->api_paths[n]; n++) {
			const char *path = p->api_paths[n];
			assert_true(path[0] == '/' && path[strlen(path) - 1] != '/');
			assert_null(provider_foreign_path(p, slice_from_str(path)));
		}
	}
	const struct provider *any = provider_find(SLICE_LITERAL(PROVIDER_DEFAULT));
	assert_null(provider_foreign_path(any, SLICE_LITERAL("/v1/messages")));
}

/* --- usage pages --- */

static void check_window(const struct provider_page_window *w)
{
	assert_true(w->path[0] && w->used && w->used[0] && w->whole > 0 && w->end);
	for (const char *c = w->path; *c; c++)
		assert_true(islower((unsigned char)*c) || *c == '_' || *c == '.');
}

static void a_usage_page_has_places_and_windows(void **state)
{
	(void)state;
	for (size_t i = 0; i < provider_count(); i++) {
		const struct provider_page *page = &provider_at(i)->page;
		size_t windows = 0;
		if (!page->places) {
			assert_null(page->windows);
			continue;
		}
		for (const struct provider_place *place = page->places; place->base; place++)
			assert_true(place->base[0] == '/' && place->path[0] == '/');
		for (const struct provider_page_window *w = page->windows; w->path; w++) {
			check_window(w);
			windows++;
		}
		assert_true(windows > 0);
	}
	assert_non_null(provider_find(SLICE_LITERAL("codex"))->page.places);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_row_has_the_facts_of_its_provider),
		cmocka_unit_test(every_form_of_file_is_found_by_its_login_and_can_be_recognised),
		cmocka_unit_test(only_the_names_of_rows_are_found),
		cmocka_unit_test(a_prefix_identifies_an_oauth_token),
		cmocka_unit_test(a_variable_has_one_meaning),
		cmocka_unit_test(a_shape_is_chosen_by_whole_path_segments),
		cmocka_unit_test(a_status_without_a_row_has_the_name_of_its_hundred),
		cmocka_unit_test(each_shape_names_every_status_and_is_distinct),
		cmocka_unit_test(the_longest_limits_text_fits_into_a_record),
		cmocka_unit_test(every_error_of_a_stream_is_a_reason_to_move),
		cmocka_unit_test(every_key_in_a_rule_is_collected),
		cmocka_unit_test(a_path_of_its_own_list_is_never_foreign),
		cmocka_unit_test(a_usage_page_has_places_and_windows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
