/*
 * Every refusal of CONTRACT.md "Errors" as one row: the agent, the renderer, the documentation and
 * the tests all read this table.
 */
#ifndef RELAY_COMMON_REFUSAL_H
#define RELAY_COMMON_REFUSAL_H

#include <stdbool.h>

/* id, status, code, type, retryable, default Retry-After in seconds (0 = none), message */
#define REFUSAL_ROWS(X)                                                                            \
	X(MISSING_API_KEY, 401, "missing_api_key", "authentication_error", false, 0,               \
		"No relay key: send it as X-API-Key or as Authorization: Bearer")                  \
	X(INVALID_API_KEY, 401, "invalid_api_key", "authentication_error", false, 0,               \
		"This relay key is not known")                                                     \
	X(EXPIRED_API_KEY, 401, "expired_api_key", "authentication_error", false, 0,               \
		"This relay key has expired")                                                      \
	X(REVOKED_API_KEY, 401, "revoked_api_key", "authentication_error", false, 0,               \
		"This relay key was revoked")                                                      \
	X(TENANT_DISABLED, 403, "tenant_disabled", "permission_error", false, 0,                   \
		"This tenant is disabled")                                                         \
	X(IP_NOT_ALLOWED, 403, "ip_not_allowed", "permission_error", false, 0,                     \
		"Requests from this address are not allowed for this key")                         \
	X(IP_BANNED, 403, "ip_banned", "permission_error", false, 0,                               \
		"Requests from this address are refused for now")                                  \
	X(ROUTE_DENIED, 403, "route_denied", "permission_error", false, 0,                         \
		"This request is refused by a rule")                                               \
	X(NO_ROUTE, 404, "no_route", "not_found_error", false, 0,                                  \
		"No pool or upstream serves this request")                                         \
	X(BAD_REQUEST, 400, "bad_request", "invalid_request_error", false, 0,                      \
		"The request is malformed")                                                        \
	X(REQUEST_TOO_LARGE, 413, "request_too_large", "invalid_request_error", false, 0,          \
		"The request body is larger than this relay allows")                               \
	X(WEBSOCKET_UNSUPPORTED, 426, "websocket_unsupported", "invalid_request_error", false, 0,  \
		"WebSocket is not served here: use HTTP with server-sent events")                  \
	X(REQUEST_TIMEOUT, 408, "request_timeout", "invalid_request_error", true, 0,               \
		"The request did not arrive in time")                                              \
	X(RATE_LIMITED, 429, "rate_limited", "rate_limit_error", true, 1,                          \
		"The request rate limit is reached")                                               \
	X(CONCURRENCY_LIMITED, 429, "concurrency_limited", "rate_limit_error", true, 1,            \
		"The limit of concurrent requests is reached")                                     \
	X(ACCOUNTS_LIMITED, 429, "accounts_limited", "rate_limit_error", true, 1,                  \
		"All accounts of this pool are at their limits")                                   \
	X(QUOTA_EXCEEDED, 429, "quota_exceeded", "usage_limit_reached", false, 0,                  \
		"The quota is used up")                                                            \
	X(NO_ACCOUNT, 503, "no_account", "overloaded_error", true, 5,                              \
		"No account of this pool can serve the request now")                               \
	X(CIRCUIT_OPEN, 503, "circuit_open", "overloaded_error", true, 5,                          \
		"The upstream account is failing and is being left alone for a moment")            \
	X(SITE_DISABLED, 503, "site_disabled", "overloaded_error", true, 60,                       \
		"The relay is switched off by its operator")                                       \
	X(OVERLOADED, 503, "overloaded", "overloaded_error", true, 1,                              \
		"The relay is at its own limits")                                                  \
	X(DRAINING, 503, "draining", "overloaded_error", true, 1, "The relay is stopping")         \
	X(ACCOUNT_SWITCHED, 503, "account_switched", "overloaded_error", true, 1,                  \
		"The account refused and another can serve: send the request again")               \
	X(AGENT_UNAVAILABLE, 503, "agent_unavailable", "overloaded_error", true, 1,                \
		"The relay could not decide; nothing was forwarded")                               \
	X(UPSTREAM_UNREACHABLE, 502, "upstream_unreachable", "api_error", true, 1,                 \
		"The upstream could not be reached")                                               \
	X(UPSTREAM_INVALID, 502, "upstream_invalid", "api_error", true, 1,                         \
		"The upstream's answer was not valid HTTP")                                        \
	X(UPSTREAM_TIMEOUT, 504, "upstream_timeout", "api_error", true, 1,                         \
		"The upstream did not answer in time")

enum refusal {
	REFUSAL_NONE,
#define X(id, status, code, type, retryable, retry_after, message) REFUSAL_##id,
	REFUSAL_ROWS(X)
#undef X
		REFUSAL_COUNT
};

struct refusal_row {
	int status;
	const char *code;
	const char *type;
	bool retryable;
	int retry_after;
	const char *message; /* plain ASCII, no quotes or backslashes: safe inside a JSON string */
};

/* `r` other than REFUSAL_NONE. */
const struct refusal_row *refusal_row(enum refusal r);

#endif
