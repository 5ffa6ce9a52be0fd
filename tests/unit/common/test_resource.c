/* Which requests reach resources of an account, in every spelling of their path. */
#include "common/resource.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static enum resource ask(
	const char *provider, const char *method, const char *base, const char *path, bool named)
{
	const struct resource_request r = {.method = slice_from_str(method),
		.base = slice_from_str(base),
		.path = slice_from_str(path),
		.names_resources = named};

	return resource_of(provider_find(slice_from_str(provider)), &r);
}

static void expect(enum resource expected, const char *provider, const char *method,
	const char *base, const char *path)
{
	enum resource found = ask(provider, method, base, path, false);

	if (found != expected)
		fail_msg(
			"%s: %s %s%s is %d, not %d", provider, method, base, path, found, expected);
}

struct family {
	const char *provider, *path;
};

static const struct family families[] = {
	{"openai", "/v1/files"},
	{"openai", "/v1/uploads"},
	{"openai", "/v1/batches"},
	{"openai", "/v1/vector_stores"},
	{"openai", "/v1/containers"},
	{"openai", "/v1/conversations"},
	{"openai", "/v1/assistants"},
	{"openai", "/v1/threads"},
	{"openai", "/v1/fine_tuning"},
	{"openai", "/v1/evals"},
	{"openai", "/v1/videos"},
	{"openai", "/v1/audio/voices"},
	{"openai", "/v1/audio/voice_consents"},
	{"openai", "/v1/skills"},
	{"openai", "/v1/agents"},
	{"openai", "/v1/realtime/calls"},
	{"openai", "/v1/chatkit/threads"},
	{"codex", "/v1/files"},
	{"anthropic", "/v1/files"},
	{"anthropic", "/v1/messages/batches"},
	{"anthropic", "/v1/skills"},
	{"anthropic", "/v1/sessions"},
	{"anthropic", "/v1/agents"},
	{"anthropic", "/v1/environments"},
	{"anthropic", "/v1/memory_stores"},
	{"anthropic", "/v1/vaults"},
	{"anthropic", "/v1/user_profiles"},
	{"anthropic", "/v1/deployments"},
	{"anthropic", "/v1/deployment_runs"},
	{"anthropic", "/v1/dreams"},
	{"anthropic", "/v1/tunnels"},
	{"generic", "/api/v1/files"},
	{"generic", "/v1/messages/batches"},
	{"gemini", "/v1beta/files"},
	{"gemini", "/upload/v1beta/files"},
	{"gemini", "/v1beta/batches"},
	{"gemini", "/v1beta/cachedContents"},
	{"gemini", "/v1beta/tunedModels"},
	{"gemini", "/v1beta/corpora"},
	{"gemini", "/v1beta/fileSearchStores"},
	{"gemini", "/v1beta/models/m/operations"},
	{"gemini", "/v1beta/models/m:batchGenerateContent"},
	{"gemini", "/v1beta/models/m:asyncBatchEmbedContent"},
	{"gemini", "/v1beta/models/m:predictLongRunning"},
};

static void every_family_is_found_at_any_depth_with_any_method(void **state)
{
	static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "X"};
	char path[200];

	(void)state;
	for (size_t i = 0; i < COUNT(families); i++) {
		const struct family *f = &families[i];
		expect(RESOURCE_NEW, f->provider, "POST", "", f->path);
		for (size_t m = 0; m < COUNT(methods); m++) {
			if (m != 1)
				expect(RESOURCE_OLD, f->provider, methods[m], "", f->path);
			snprintf(path, sizeof(path), "%s/id", f->path);
			expect(RESOURCE_OLD, f->provider, methods[m], "", path);
			snprintf(path, sizeof(path), "%s/id/x/y/z", f->path);
			expect(RESOURCE_OLD, f->provider, methods[m], "", path);
		}
	}
}

static void what_a_generation_makes_is_below_it(void **state)
{
	static const struct {
		const char *provider, *method, *path;
		enum resource expected;
	} rows[] = {
		{"openai", "POST", "/v1/responses", RESOURCE_NONE},
		{"openai", "POST", "/v1/chat/completions", RESOURCE_NONE},
		{"openai", "POST", "/v1/responses/", RESOURCE_NONE},
		{"openai", "POST", "/v1/responses/compact", RESOURCE_NONE},
		{"openai", "POST", "/v1/responses/input_tokens", RESOURCE_NONE},
		{"openai", "GET", "/v1/responses", RESOURCE_OLD},
		{"openai", "GET", "/v1/chat/completions", RESOURCE_OLD},
		{"openai", "GET", "/v1/responses/resp_1", RESOURCE_OLD},
		{"openai", "POST", "/v1/responses/resp_1/cancel", RESOURCE_OLD},
		{"openai", "POST", "/v1/responses/compact/x", RESOURCE_OLD},
		{"openai", "POST", "/v1/responses/compacted", RESOURCE_OLD},
		{"openai", "DELETE", "/v1/chat/completions/c_1", RESOURCE_OLD},
		{"openai", "POST", "/openai/deployments/d/chat/completions", RESOURCE_NONE},
		{"codex", "POST", "/v1/responses", RESOURCE_NONE},
		{"codex", "POST", "/v1/responses/compact", RESOURCE_NONE},
		{"anthropic", "POST", "/v1/messages", RESOURCE_NONE},
		{"anthropic", "POST", "/v1/messages/count_tokens", RESOURCE_NONE},
		{"gemini", "POST", "/v1beta/interactions", RESOURCE_NONE},
		{"gemini", "GET", "/v1beta/interactions/i", RESOURCE_OLD},
		{"gemini", "POST", "/v1beta/models/m:generateContent", RESOURCE_NONE},
		{"gemini", "POST", "/v1beta/models/m:batchEmbedContents", RESOURCE_NONE},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		expect(rows[i].expected, rows[i].provider, rows[i].method, "", rows[i].path);
}

/* Of OpenAI's Responses. An upstream may answer another GET as if it asked for no WebSocket. */
static void a_websocket_to_a_model_needs_no_resource(void **state)
{
	static const struct {
		const char *method, *path;
		enum resource expected;
	} rows[] = {{"GET", "/v1/responses", RESOURCE_NONE},
		{"GET", "/v1/responses/r", RESOURCE_OLD}, {"DELETE", "/v1/responses", RESOURCE_OLD},
		{"GET", "/v1/chat/completions", RESOURCE_OLD}, {"GET", "/v1/files", RESOURCE_OLD},
		{"GET", "/v1/realtime", RESOURCE_NONE}};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct resource_request r = {.method = slice_from_str(rows[i].method),
			.path = slice_from_str(rows[i].path),
			.opens_socket = true};
		assert_int_equal(
			resource_of(provider_find(SLICE_LITERAL("openai")), &r), rows[i].expected);
		assert_int_equal(
			resource_of(provider_find(SLICE_LITERAL("codex")), &r), rows[i].expected);
	}
}

static void stateless_paths_are_free(void **state)
{
	static const char *const paths[] = {"/v1/models", "/v1/models/gpt-4.1", "/v1/embeddings",
		"/v1/moderations", "/v1/images/generations", "/v1/audio/speech", "/v1/completions",
		"/v1/filesystem", "/v1/profiles", "/v1/my_files", "/v1", "/", "//"};

	(void)state;
	for (size_t i = 0; i < COUNT(paths); i++) {
		expect(RESOURCE_NONE, "openai", "GET", "", paths[i]);
		expect(RESOURCE_NONE, "openai", "POST", "", paths[i]);
		expect(RESOURCE_NONE, "anthropic", "POST", "", paths[i]);
		expect(RESOURCE_NONE, "generic", "POST", "", paths[i]);
	}
	expect(RESOURCE_OLD, "openai", "DELETE", "", "/v1/models/ft:gpt-4.1:x");
	expect(RESOURCE_OLD, "gemini", "PATCH", "", "/v1beta/models/m");
}

static void administration_is_told_whatever_else_is_in_the_path(void **state)
{
	static const char *const paths[] = {"/v1/organization", "/v1/organization/api_keys",
		"/v1/organizations/me", "/v1/organization_x", "/v1/projects",
		"/v1/projects/p/files", "/v1/compliance/x", "/v1/files/projects",
		"/v1/organizations/skills/x", "/v1/realtime/client_secrets",
		"/v1/realtime/sessions", "/v1/chatkit/sessions", "/v1/oauth/token",
		"/api/oauth/claude_cli/create_api_key", "/v1//%6frganization"};

	(void)state;
	for (size_t i = 0; i < COUNT(paths); i++) {
		expect(RESOURCE_ADMIN, "openai", "GET", "", paths[i]);
		expect(RESOURCE_ADMIN, "codex", "POST", "/backend-api/codex", paths[i]);
	}
	expect(RESOURCE_ADMIN, "anthropic", "POST", "", "/v1/organizations/api_keys");
	expect(RESOURCE_ADMIN, "anthropic", "POST", "", "/api/oauth/claude_cli/create_api_key");
	expect(RESOURCE_ADMIN, "generic", "GET", "", "/v1/organization/users");
	expect(RESOURCE_ADMIN, "gemini", "POST", "", "/v1alpha/auth_tokens");
	/* Vertex AI */
	expect(RESOURCE_NONE, "generic", "POST", "",
		"/v1/projects/p/locations/l/publishers/x/models/m:rawPredict");
}

static void every_spelling_is_found(void **state)
{
	static const char *const paths[] = {
		"//v1//files",
		"/v1/./files",
		"/v1/files/",
		"/V1/FILES",
		"/v1/Files/x",
		"/v1\\files",
		"/v1/%66iles",
		"/v1/%2566iles",
		"/v1/%252566iles",
		"/v1%2ffiles",
		"/v1%5cfiles",
		"/v1%252Ffiles",
		"/v1/f%69les%2Fx",
		"/v1/files;a=b",
		"/v1/files;a=b/x",
		"/v1/files%3Ba",
		"/v1;x/files",
		"/v1/x;/files",
		"/v1/files%00",
		"/v1/files%00x/y",
		"/v1%c0%affiles",
		"/v1/%2e/files",
		"/v1/responses/compact;%2Fresp_1",
		"/v1/responses/compac%74/x",
		"/v1/responses/%63ompact%2fx",
		"/files",
		"/openai/files",
		"/openai/v1/files",
		"/a/b/c/d/files/e",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(paths); i++)
		expect(RESOURCE_OLD, "openai", "GET", "", paths[i]);
}

/* A family may begin in the path of the upstream's URL; what is all in it is no family. */
static void the_base_of_the_upstream_counts(void **state)
{
	(void)state;
	expect(RESOURCE_OLD, "openai", "GET", "/v1", "/files/x");
	expect(RESOURCE_OLD, "openai", "GET", "/v1/chat", "/completions/x");
	expect(RESOURCE_OLD, "openai", "GET", "/v1/responses", "/resp_1");
	expect(RESOURCE_OLD, "openai", "GET", "/V1/Audio", "/voices");
	expect(RESOURCE_OLD, "anthropic", "GET", "/v1/messages", "//batches");
	expect(RESOURCE_ADMIN, "openai", "GET", "/v1", "/organization/users");
	expect(RESOURCE_NONE, "openai", "POST", "/agents/openai", "/v1/responses");
	expect(RESOURCE_NONE, "openai", "POST", "/v1/files", "/x");
	expect(RESOURCE_NONE, "codex", "POST", "/backend-api/codex", "/responses");
	expect(RESOURCE_OLD, "codex", "GET", "/backend-api/codex", "/responses/resp_1");
}

static void a_header_names_resources_of_a_message(void **state)
{
	const struct slice beta = SLICE_LITERAL("anthropic-beta");

	(void)state;
	assert_true(resource_is_named(beta, SLICE_LITERAL("files-api-2025-04-14")));
	assert_true(resource_is_named(beta, SLICE_LITERAL("a, b ,SKILLS-2025-10-02")));
	assert_false(resource_is_named(beta, SLICE_LITERAL("oauth-2025-04-20,profiles")));
	assert_false(resource_is_named(beta, SLICE_LITERAL("")));
	assert_false(resource_is_named(SLICE_LITERAL("x-beta"), SLICE_LITERAL("files-api-1")));
	assert_int_equal(ask("anthropic", "POST", "", "/v1/messages", true), RESOURCE_NEW);
	assert_int_equal(ask("anthropic", "POST", "", "/v1/%6dessages", true), RESOURCE_NEW);
	assert_int_equal(ask("anthropic", "GET", "", "/v1/models", true), RESOURCE_NONE);
	assert_int_equal(ask("generic", "POST", "", "/v1/messages", true), RESOURCE_NEW);
	assert_int_equal(ask("openai", "POST", "", "/v1/responses", true), RESOURCE_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_family_is_found_at_any_depth_with_any_method),
		cmocka_unit_test(what_a_generation_makes_is_below_it),
		cmocka_unit_test(a_websocket_to_a_model_needs_no_resource),
		cmocka_unit_test(stateless_paths_are_free),
		cmocka_unit_test(administration_is_told_whatever_else_is_in_the_path),
		cmocka_unit_test(every_spelling_is_found),
		cmocka_unit_test(the_base_of_the_upstream_counts),
		cmocka_unit_test(a_header_names_resources_of_a_message),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
