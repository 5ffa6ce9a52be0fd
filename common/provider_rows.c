/*
 * The rows of the providers. To add one: write its row, with a way to authenticate and a shape of errors
 * if no existing one fits, and add its name to PROVIDERS. Snapshots and leases hold the index of a row, so
 * new rows go to the end of their table.
 */
#include "common/provider_rows.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

#define TEXTS(...)                                                                                 \
	(const char *const[])                                                                      \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

/* --- ways to authenticate --- */

enum { BEARER, X_API_KEY, ANTHROPIC_OAUTH, X_GOOG_API_KEY };

const struct provider_auth provider_auth_rows[] = {
	[BEARER] = {.variable = "bearer", .header = "Authorization", .scheme = "Bearer "},
	[X_API_KEY] = {.variable = "apikey", .header = "x-api-key", .scheme = ""},
	[ANTHROPIC_OAUTH] = {.variable = "bearer",
		.header = "Authorization",
		.scheme = "Bearer ",
		.list_header = "anthropic-beta",
		.list_variable = "beta",
		.list_value = "oauth-2025-04-20"},
	[X_GOOG_API_KEY] = {.variable = "googkey", .header = "x-goog-api-key", .scheme = ""},
};
const size_t provider_auth_row_count = COUNT(provider_auth_rows);

/* --- shapes of errors --- */

/* google.rpc.Code, as Google maps it to HTTP statuses; the nearest one for other statuses. */
static const struct provider_status google_statuses[] = {
	{400, "INVALID_ARGUMENT"},
	{401, "UNAUTHENTICATED"},
	{403, "PERMISSION_DENIED"},
	{404, "NOT_FOUND"},
	{408, "DEADLINE_EXCEEDED"},
	{426, "FAILED_PRECONDITION"},
	{429, "RESOURCE_EXHAUSTED"},
	{500, "UNAVAILABLE"},
	{504, "DEADLINE_EXCEEDED"},
	{0, NULL},
};

const struct provider_shape provider_shape_rows[] = {
	{.name = "openai",
		.open = "{\"error\":{",
		.close = ",\"param\":null,\"request_id\":\"%[unique-id]\"}}"},
	{.name = "anthropic",
		.paths = TEXTS("/v1/messages"),
		.open = "{\"type\":\"error\",\"error\":{",
		.close = "},\"request_id\":\"%[unique-id]\"}",
		.id_header = "Request-Id",
		.sign = "{\"type"},
	{.name = "gemini",
		.paths = TEXTS("/v1beta"),
		.open = "{\"error\":{",
		.middle = {"\"code\":", ",\"status\":\"", "\",\"details\":[{"},
		.statuses = google_statuses,
		.close = ",\"request_id\":\"%[unique-id]\"}]}}"},
};
const size_t provider_shape_row_count = COUNT(provider_shape_rows);

/* --- parts of several rows --- */

#define OPENAI_LIMIT_HEADERS                                                                       \
	{"xrl", "x-ratelimit-limit-requests"}, {"xrr", "x-ratelimit-remaining-requests"},          \
		{"xrt", "x-ratelimit-reset-requests"}, {"xtl", "x-ratelimit-limit-tokens"},        \
		{"xtr", "x-ratelimit-remaining-tokens"},                                           \
	{                                                                                          \
		"xtt", "x-ratelimit-reset-tokens"                                                  \
	}
#define OPENAI_LIMITS                                                                              \
	{.limit = "xrl", .left = "xrr", .end = "xrt"},                                             \
	{                                                                                          \
		.limit = "xtl", .left = "xtr", .end = "xtt"                                        \
	}

static const struct provider_header openai_limit_headers[] = {OPENAI_LIMIT_HEADERS, {NULL, NULL}};
static const struct provider_limit openai_limits[] = {OPENAI_LIMITS, {.end = NULL}};

/* Paths that other providers have as well, such as the list of models, are in no list. */
static const char *const openai_paths[] = {
	"/v1/chat/completions",
	"/v1/responses",
	"/v1/completions",
	"/v1/embeddings",
	"/v1/moderations",
	"/v1/images",
	"/v1/audio",
	"/v1/realtime",
	NULL,
};

/* For WebSockets from browsers, which cannot set headers. */
static const char *const openai_protocols[] = {
	"openai-insecure-api-key.", "openai-organization.", "openai-project.", NULL};

/*
 * `bt` is the type or the code of the error, `bc` its code; `br` and `bs` are the reset of an exhausted
 * plan.
 */
static const struct provider_field common_body_fields[] = {
	{"bt", "type", PROVIDER_FIELD_WORD},
	{"bt", "code", PROVIDER_FIELD_WORD},
	{"bc", "code", PROVIDER_FIELD_WORD},
	{"br", "resets_at", PROVIDER_FIELD_NUMBER},
	{"bs", "resets_in_seconds", PROVIDER_FIELD_NUMBER},
	{NULL, NULL, PROVIDER_FIELD_WORD},
};

/* Encrypted reasoning of another account. */
static const struct provider_result openai_foreign_state[] = {
	{.status = 400, .key = "bc", .word = "invalid_encrypted_content", .class = RESULT_PAYLOAD},
	{.status = 0},
};

/* The body for an exhausted plan, of Codex and of proxies in front of OpenAI's API. */
#define USED_UP_UNTIL(status_value)                                                                \
	{                                                                                          \
		.status = (status_value), .key = "bt", .word = "usage_limit_reached",              \
		.class = RESULT_WINDOW, .end = "br", .end_too = "bs"                               \
	}
/* A plan or a budget is exhausted, without an end. */
#define USED_UP(status_value, word_value)                                                          \
	{                                                                                          \
		.status = (status_value), .key = "bt", .word = (word_value),                       \
		.class = RESULT_WINDOW                                                             \
	}
#define QUOTA_WITHOUT_END                                                                          \
	USED_UP(429, "insufficient_quota"), USED_UP(429, "usage_limit_reached"),                   \
		USED_UP(429, "usage_not_included")

/* A limit of the account is exhausted, and the headers tell until when. */
#define FULL_LIMIT(status_value)                                                                   \
	{                                                                                          \
		.status = (status_value), .class = RESULT_WINDOW                                   \
	}

static const struct provider_result openai_results[] = {
	USED_UP_UNTIL(429),
	FULL_LIMIT(429),
	QUOTA_WITHOUT_END,
	{.status = 0},
};

static const char *const openai_generation[] = {
	"/chat/completions", "/completions", "/responses", NULL};

/*
 * Errors that a model's host sends in a stream after the status 200, as the documentation and clients of
 * OpenAI and Anthropic tell. Proxies in front of either send the same.
 */
static const char *const common_event_fields[] = {
	"error.type", "error.code", "code", "response.error.code", NULL};

static const struct provider_event common_events[] = {
	{".overloaded_error.", RESULT_OVERLOAD},
	{".server_is_overloaded.", RESULT_OVERLOAD},
	{".slow_down.", RESULT_OVERLOAD},
	{".rate_limit_error.", RESULT_BURST},
	{".rate_limit_exceeded.", RESULT_BURST},
	{".api_error.", RESULT_SERVER},
	{".server_error.", RESULT_SERVER},
	{".timeout_error.", RESULT_SERVER},
	{".authentication_error.", RESULT_AUTH},
	{".permission_error.", RESULT_DENIED},
	{NULL, RESULT_PAYLOAD},
};

/* --- credential files --- */

/* The URLs and client ids are those in the published programs that write the files. */
static const struct provider_token_host openai_tokens = {
	.url = "https://auth.openai.com/oauth/token",
	.client_id = "app_EMoamEEZ73f0CkXaXp7hrann",
	.is_json = true,
};

static const struct provider_token_host claude_tokens = {
	.url = "https://platform.claude.com/v1/oauth/token",
	.client_id = "9d1c250a-e61b-44d9-88ed-5944d1962f5e",
	.is_json = true,
};

static const struct provider_token_host google_tokens = {
	.url = "https://oauth2.googleapis.com/token",
	.secret =
		"Google gives a client id and a client secret to each program: those of the program "
		"that made this login, for Gemini CLI OAUTH_CLIENT_ID and OAUTH_CLIENT_SECRET in its "
		"source",
};

static const struct provider_token_host any_tokens = {.is_json = false};

static const char *const openai_claim[] = {
	"https://api.openai.com/auth", "chatgpt_account_id", NULL};

/* Names of the same thing in files of many programs. */
static const char *const expiry_names[] = {
	"expires_at", "expiry_date", "expiry", "expired", "expires", NULL};
static const char *const token_url_names[] = {"token_url", "token_uri", "token_endpoint", NULL};

#define FLAT_TOKENS                                                                                \
	.access_token = "access_token", .refresh_token = "refresh_token", .id_token = "id_token",  \
	.expiry = expiry_names, .lifetime = "expires_in", .last_refresh = "last_refresh",          \
	.token_url = token_url_names, .client_id = "client_id", .client_secret = "client_secret"

static const struct provider_file auth_json = {
	.name = "auth.json",
	.login = "codex",
	.tokens = "tokens",
	.api_key = "OPENAI_API_KEY",
	.access_token = "access_token",
	.refresh_token = "refresh_token",
	.id_token = "id_token",
	.account_id = "account_id",
	.account_claim = openai_claim,
	.last_refresh = "last_refresh",
	.is_jwt = true,
	.remedy = "log in with codex first",
	.host = &openai_tokens,
};

/* As other programs keep a login of Codex. */
static const struct provider_file flat_auth_json = {
	.name = "auth.json",
	.login = "codex-flat",
	FLAT_TOKENS,
	.account_id = "account_id",
	.account_claim = openai_claim,
	.is_jwt = true,
	.remedy = "log in with codex first",
	.host = &openai_tokens,
};

static const struct provider_file claude_code = {
	.name = ".credentials.json",
	.login = "claude-code",
	.tokens = "claudeAiOauth",
	.access_token = "accessToken",
	.refresh_token = "refreshToken",
	.expiry = TEXTS("expiresAt"),
	.is_subscription = true,
	.remedy = "log in with claude first",
	.host = &claude_tokens,
};

static const struct provider_file flat_claude_code = {
	.name = ".credentials.json",
	.login = "claude-code-flat",
	FLAT_TOKENS,
	.is_subscription = true,
	.remedy = "log in with claude first",
	.host = &claude_tokens,
};

static const struct provider_file gemini_cli = {
	.name = "oauth_creds.json",
	.login = "gemini-cli",
	FLAT_TOKENS,
	.is_subscription = true,
	.remedy = "log in with gemini first",
	.host = &google_tokens,
};

static const struct provider_file oauth = {
	.name = "credential file",
	.login = "oauth",
	FLAT_TOKENS,
	.account_id = "account_id",
	.remedy =
		"access_token, refresh_token, token_url and client_id are the fields of such a file",
	.host = &any_tokens,
};

#define FILES(...)                                                                                 \
	(const struct provider_file *const[])                                                      \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

/* --- stateful resources --- */

/*
 * As the APIs and the SDKs of the providers have them. What hands out a credential of the account, for a browser for
 * example, is administration too: its requests would not come through the relay.
 */
#define COMMON_ADMINISTRATION "/organization*", "/compliance*", "/oauth"
#define OPENAI_CREDENTIALS                                                                         \
	"/realtime/client_secrets", "/realtime/sessions", "/realtime/transcription_sessions",      \
		"/chatkit/sessions"
#define OPENAI_FAMILIES                                                                            \
	"/files", "/uploads", "/batches", "/vector_stores", "/containers", "/conversations",       \
		"/assistants", "/threads", "/fine_tuning", "/fine-tunes", "/evals", "/videos",     \
		"/audio/voices", "/audio/voice_consents", "/skills", "/agents", "/realtime/calls"
#define OPENAI_PARENTS "/responses", "/chat/completions"
#define OPENAI_EXCEPTIONS "/responses/compact", "/responses/input_tokens"
#define ANTHROPIC_FAMILIES                                                                         \
	"/messages/batches", "/sessions", "/environments", "/memory_stores", "/vaults",            \
		"/user_profiles", "/deployments", "/deployment_runs", "/dreams", "/tunnels"
#define ANTHROPIC_USERS                                                                            \
	.users = TEXTS("/messages"), .header = "anthropic-beta",                                   \
	.words = TEXTS("files-api-", "skills-")

static const struct provider_resources openai_resources = {
	.administration = TEXTS(COMMON_ADMINISTRATION, "/projects*", OPENAI_CREDENTIALS),
	.families = TEXTS(OPENAI_FAMILIES),
	.parents = TEXTS(OPENAI_PARENTS),
	.sockets = TEXTS("/responses"),
	.exceptions = TEXTS(OPENAI_EXCEPTIONS),
	.readable = TEXTS("/models"),
};

static const struct provider_resources anthropic_resources = {
	.administration = TEXTS(COMMON_ADMINISTRATION, "/projects*"),
	.families = TEXTS("/files", "/skills", "/agents", ANTHROPIC_FAMILIES),
	.readable = TEXTS("/models"),
	ANTHROPIC_USERS,
};

/* Behind a gateway is either API. `/projects` begins paths for models at Vertex AI. */
static const struct provider_resources generic_resources = {
	.administration = TEXTS(COMMON_ADMINISTRATION, OPENAI_CREDENTIALS),
	.families = TEXTS(OPENAI_FAMILIES, ANTHROPIC_FAMILIES),
	.parents = TEXTS(OPENAI_PARENTS),
	.sockets = TEXTS("/responses"),
	.exceptions = TEXTS(OPENAI_EXCEPTIONS),
	.readable = TEXTS("/models"),
	ANTHROPIC_USERS,
};

static const struct provider_resources gemini_resources = {
	.administration = TEXTS("/auth_tokens", "/authtokens"),
	.families = TEXTS("/files", "/files:*", "/batches", "/cachedcontents", "/tunedmodels",
		"/tuningjobs", "/corpora", "/filesearchstores", "/operations", "/generatedfiles",
		"/*:batchgeneratecontent", "/*:asyncbatchembedcontent", "/*:predictlongrunning"),
	.parents = TEXTS("/interactions"),
	.readable = TEXTS("/models"),
};

/* --- providers --- */

/* The model list is free, unlimited, and answers 401 to a bad key. */
static const struct provider openai = {
	.name = "openai",
	.id_header = "x-request-id",
	.title = "OpenAI",
	.api_paths = openai_paths,
	.resources = &openai_resources,
	.auth = &provider_auth_rows[BEARER],
	.files = FILES(&auth_json, &oauth),
	.client_headers = TEXTS("OpenAI-Organization", "OpenAI-Project"),
	.protocol_prefixes = openai_protocols,
	.answer_headers = TEXTS("openai-organization", "openai-project"),
	.limit_headers = openai_limit_headers,
	.limit_prefixes = TEXTS("x-ratelimit-"),
	.limits = openai_limits,
	.body_fields = common_body_fields,
	.foreign_state = openai_foreign_state,
	.results = openai_results,
	.generation_paths = openai_generation,
	.event_fields = common_event_fields,
	.events = common_events,
	.probe = {.method = "GET", .path = "/v1/models", .version = "/v1", .header = ""},
};

/*
 * The usage page is the one that Codex polls for its status line. A plan with credits is allowed beyond
 * 100 %. Other backends have only the model list, which requires a client version.
 */
static const struct provider codex = {
	.name = "codex",
	.id_header = "x-request-id",
	.title = "OpenAI",
	.api_paths = openai_paths,
	.resources = &openai_resources,
	.auth = &provider_auth_rows[BEARER],
	.files = FILES(&auth_json, &flat_auth_json),
	.login_errors =
		TEXTS("refresh_token_expired", "refresh_token_reused", "refresh_token_invalidated"),
	.is_subscription = true,
	.account_header = "ChatGPT-Account-ID",
	.protocol_prefixes = openai_protocols,
	.state_header = "x-codex-turn-state",
	.bound_state = true,
	.limit_headers =
		(const struct provider_header[]){
			{"c1u", "x-codex-primary-used-percent"},
			{"c1a", "x-codex-primary-reset-at"},
			{"c1s", "x-codex-primary-reset-after-seconds"},
			{"c2u", "x-codex-secondary-used-percent"},
			{"c2a", "x-codex-secondary-reset-at"},
			{"c2s", "x-codex-secondary-reset-after-seconds"},
			{NULL, NULL},
		},
	.limit_prefixes = TEXTS("x-codex-"),
	.limits =
		(const struct provider_limit[]){
			{.used = "c1u", .whole = 100, .end = "c1a", .end_too = "c1s"},
			{.used = "c2u", .whole = 100, .end = "c2a", .end_too = "c2s"},
			{.end = NULL},
		},
	.body_fields = common_body_fields,
	.foreign_state = openai_foreign_state,
	.results =
		(const struct provider_result[]){
			USED_UP_UNTIL(429),
			FULL_LIMIT(429),
			QUOTA_WITHOUT_END,
			{.status = 0},
		},
	.generation_paths = TEXTS("/responses"),
	.event_fields = common_event_fields,
	.events = common_events,
	.probe = {.method = "GET",
		.path = "/v1/models?client_version=0.150.0",
		.version = "/v1",
		.header = ""},
	.page = {.places =
			 (const struct provider_place[]){
				 {"/backend-api/codex", "/backend-api/wham/usage"},
				 {"/api/codex", "/api/codex/usage"},
				 {NULL, NULL},
			 },
		.allowed = "rate_limit.allowed",
		.reached = "rate_limit.limit_reached",
		.windows =
			(const struct provider_page_window[]){
				{"rate_limit.primary_window", "used_percent", 100, "reset_at",
					"reset_after_seconds"},
				{"rate_limit.secondary_window", "used_percent", 100, "reset_at",
					"reset_after_seconds"},
				{.path = NULL},
			}},
};

/* The model list serves API keys and OAuth tokens; one entry is enough. */
static const struct provider anthropic = {
	.name = "anthropic",
	.id_header = "request-id",
	.title = "Anthropic",
	.api_paths = TEXTS("/v1/messages", "/v1/complete", "/v1/chat/completions"),
	.resources = &anthropic_resources,
	.auth = &provider_auth_rows[X_API_KEY],
	.oauth_prefix = "sk-ant-oat",
	.oauth_auth = &provider_auth_rows[ANTHROPIC_OAUTH],
	.files = FILES(&claude_code, &auth_json, &flat_claude_code),
	.answer_headers = TEXTS("anthropic-organization-id"),
	.limit_headers =
		(const struct provider_header[]){
			{"aus", "anthropic-ratelimit-unified-status"},
			{"aur", "anthropic-ratelimit-unified-reset"},
			{"a5u", "anthropic-ratelimit-unified-5h-utilization"},
			{"a5r", "anthropic-ratelimit-unified-5h-reset"},
			{"a7u", "anthropic-ratelimit-unified-7d-utilization"},
			{"a7r", "anthropic-ratelimit-unified-7d-reset"},
			{"arl", "anthropic-ratelimit-requests-limit"},
			{"arr", "anthropic-ratelimit-requests-remaining"},
			{"art", "anthropic-ratelimit-requests-reset"},
			{"atl", "anthropic-ratelimit-tokens-limit"},
			{"atr", "anthropic-ratelimit-tokens-remaining"},
			{"att", "anthropic-ratelimit-tokens-reset"},
			{NULL, NULL},
		},
	.limit_prefixes = TEXTS("anthropic-ratelimit-"),
	.limits =
		(const struct provider_limit[]){
			{.used = "a5u", .whole = 1, .end = "a5r"},
			{.used = "a7u", .whole = 1, .end = "a7r"},
			{.limit = "arl", .left = "arr", .end = "art"},
			{.limit = "atl", .left = "atr", .end = "att"},
			{.end = NULL},
		},
	.body_fields =
		(const struct provider_field[]){
			{"bt", "type", PROVIDER_FIELD_WORD},
			{"bt", "code", PROVIDER_FIELD_WORD},
			{"bm", "message", PROVIDER_FIELD_WORD},
			{"br", "resets_at", PROVIDER_FIELD_NUMBER},
			{"bs", "resets_in_seconds", PROVIDER_FIELD_NUMBER},
			{NULL, NULL, PROVIDER_FIELD_WORD},
		},
	/* "messages.1.content.0: Invalid `signature` in `thinking` block" */
	.foreign_state =
		(const struct provider_result[]){
			{.status = 400,
				.key = "bm",
				.word = "Invalidsignature",
				.is_part = true,
				.class = RESULT_PAYLOAD},
			{.status = 0},
		},
	.results =
		(const struct provider_result[]){
			{.status = 429,
				.key = "aus",
				.word = "rejected",
				.class = RESULT_WINDOW,
				.end = "aur"},
			FULL_LIMIT(429),
			{.status = 0},
		},
	.generation_paths = TEXTS("/messages"),
	.event_fields = common_event_fields,
	.events = common_events,
	.probe = {.method = "GET",
		.path = "/v1/models?limit=1",
		.version = "/v1",
		.header = "anthropic-version: 2023-06-01"},
};

/*
 * Limits and errors as of OpenAI, and limits without a unit, as of gateways and the IETF's draft. No free
 * request is known: a probe requires --probe.
 */
static const struct provider generic = {
	.name = "generic",
	.id_header = "x-request-id",
	.title = "generic",
	.resources = &generic_resources,
	.protocol_prefixes = openai_protocols,
	.auth = &provider_auth_rows[BEARER],
	.files = FILES(&auth_json, &oauth),
	.limit_headers =
		(const struct provider_header[]){
			OPENAI_LIMIT_HEADERS,
			{"xl", "x-ratelimit-limit"},
			{"xr", "x-ratelimit-remaining"},
			{"xt", "x-ratelimit-reset"},
			{"rl", "ratelimit-limit"},
			{"rr", "ratelimit-remaining"},
			{"rt", "ratelimit-reset"},
			{NULL, NULL},
		},
	.limit_prefixes = TEXTS("x-ratelimit-", "ratelimit-"),
	.limits =
		(const struct provider_limit[]){
			OPENAI_LIMITS,
			{.limit = "xl", .left = "xr", .end = "xt"},
			{.limit = "rl", .left = "rr", .end = "rt"},
			{.end = NULL},
		},
	.body_fields = common_body_fields,
	.foreign_state = openai_foreign_state,
	.results = openai_results,
	.generation_paths = TEXTS("/chat/completions", "/completions", "/responses", "/messages"),
	.event_fields = common_event_fields,
	.events = common_events,
	.probe = {.method = "GET", .header = ""},
};

/*
 * Gemini answers 400 to a bad key; only the body differs from that for a bad request. A 429 names the
 * quota. A quota per day stays exhausted although its RetryInfo is short; for other quotas RetryInfo is
 * right. RetryInfo is one of the first three details.
 */
static const struct provider gemini = {
	.name = "gemini",
	.title = "Gemini",
	.api_paths = TEXTS("/v1beta"),
	.resources = &gemini_resources,
	.auth = &provider_auth_rows[X_GOOG_API_KEY],
	.oauth_prefix = "ya29.",
	.oauth_auth = &provider_auth_rows[BEARER],
	.files = FILES(&gemini_cli),
	.client_headers = TEXTS("x-goog-user-project"),
	.body_fields =
		(const struct provider_field[]){
			{"gr", "details[0].reason", PROVIDER_FIELD_WORD},
			{"gq", "details[0].violations[0].quotaId", PROVIDER_FIELD_WORD},
			{"gd", "details[0].retryDelay", PROVIDER_FIELD_SPAN},
			{"gd", "details[1].retryDelay", PROVIDER_FIELD_SPAN},
			{"gd", "details[2].retryDelay", PROVIDER_FIELD_SPAN},
			{NULL, NULL, PROVIDER_FIELD_WORD},
		},
	.retry_field = "gd",
	.results =
		(const struct provider_result[]){
			{.status = 400,
				.key = "gr",
				.word = "API_KEY_INVALID",
				.class = RESULT_AUTH},
			{.status = 429,
				.key = "gq",
				.word = "PerDay",
				.is_part = true,
				.class = RESULT_WINDOW},
			{.status = 0},
		},
	.generation_paths = TEXTS(":generateContent", ":streamGenerateContent"),
	.retry_text = "Please retry in ",
	.event_fields = TEXTS("error.status"),
	.events =
		(const struct provider_event[]){
			{".UNAVAILABLE.", RESULT_OVERLOAD},
			{".RESOURCE_EXHAUSTED.", RESULT_BURST},
			{".INTERNAL.", RESULT_SERVER},
			{".DEADLINE_EXCEEDED.", RESULT_SERVER},
			{NULL, RESULT_PAYLOAD},
		},
	.probe = {.method = "GET",
		.path = "/v1beta/models?pageSize=1",
		.version = "/v1beta",
		.header = ""},
};

#define PROVIDERS(X) X(openai) X(codex) X(anthropic) X(generic) X(gemini)

#define ROW(row) &(row),
const struct provider *const provider_rows[] = {PROVIDERS(ROW)};
#undef ROW
const size_t provider_row_count = COUNT(provider_rows);

#define NAME(row) "|" #row
const char provider_names[] = PROVIDERS(NAME);
#undef NAME
