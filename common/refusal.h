/*
 * Every refusal as one row. The agent's answers, the rendered rules, the metrics and docs/ERRORS.md come
 * from these rows: a new error code is a row here and its use.
 */
#ifndef RELAY_COMMON_REFUSAL_H
#define RELAY_COMMON_REFUSAL_H

#include "common/slice.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/* A refusal that lasts longer is not retryable: clients would wait for it without a word. */
#define REFUSAL_WAIT_MS 60000
#define REFUSAL_ANY INT_MAX /* of the longest Retry-After: no bound */

/*
 * Columns: id, status, code, type, retryable, Retry-After in seconds if the end is unknown, the longest
 * Retry-After (0 = never one: waiting does not help), message; then for docs/ERRORS.md the cause and the
 * remedy, in full sentences.
 */
#define REFUSAL_ROWS(X)                                                                             \
	X(MISSING_API_KEY, 401, "missing_api_key", "authentication_error", false, 0, 0,             \
		"No relay key: send it as X-API-Key or as Authorization: Bearer",                   \
		"The request has no `X-API-Key`, `x-goog-api-key` or `api-key` header, and no "     \
		"`Authorization` header that begins with `Bearer rk_`.",                            \
		"Send the relay key as `X-API-Key: rk_...` or as `Authorization: Bearer "           \
		"rk_...`.")                                                                         \
	X(INVALID_API_KEY, 401, "invalid_api_key", "authentication_error", false, 0, 0,             \
		"This relay key is not known",                                                      \
		"The relay does not know the key. It is mistyped or cut off, it belongs to "        \
		"another relay, or its tenant was deleted.",                                        \
		"Compare the key with the one that `relayadm tokens issue` printed; `relayadm "     \
		"tokens list` shows the last four characters of every key. Do not try several "     \
		"keys: an address that sends many different bad keys is banned.")                   \
	X(EXPIRED_API_KEY, 401, "expired_api_key", "authentication_error", false, 0, 0,             \
		"This relay key has expired",                                                       \
		"The lifetime of the key has ended (`tokens issue --ttl`), or the grace period "    \
		"after its replacement (`tokens rotate --grace`).",                                 \
		"Issue a new key with `relayadm tokens issue` and give it to the client.")          \
	X(REVOKED_API_KEY, 401, "revoked_api_key", "authentication_error", false, 0, 0,             \
		"This relay key was revoked",                                                       \
		"An operator revoked the key with `relayadm tokens revoke`, or replaced it with "   \
		"`relayadm tokens rotate` without `--grace`.",                                      \
		"Issue a new key with `relayadm tokens issue` and give it to the client.")          \
	X(TENANT_DISABLED, 403, "tenant_disabled", "permission_error", false, 0, 0,                 \
		"This tenant is disabled", "An operator disabled the tenant of the key.",           \
		"Enable it with `relayadm tenants enable NAME`.")                                   \
	X(IP_NOT_ALLOWED, 403, "ip_not_allowed", "permission_error", false, 0, 0,                   \
		"Requests from this address are not allowed for this key",                          \
		"The address of the client is not in the allowed networks of the tenant, or not "   \
		"in those of the key. Each list that is set must contain it.",                      \
		"Send from an allowed network, or change the list with `relayadm tenants set "      \
		"NAME --allow-ip`. Behind a load balancer, render with `--accept-proxy` or "        \
		"`--trust-forwarded`: otherwise the relay sees the address of the balancer.")       \
	X(IP_BANNED, 403, "ip_banned", "permission_error", false, 0, 0,                             \
		"Requests from this address are refused for now",                                   \
		"The address of the client is banned, either by an operator (`relayadm bans "       \
		"add`) or because it sent too many different bad keys within a minute "             \
		"(`[limits] bad_keys`).",                                                           \
		"Correct the key of the client first. `relayadm bans list` shows the ban and "      \
		"when it ends; `relayadm bans del CIDR` lifts it.")                                 \
	X(ROUTE_DENIED, 403, "route_denied", "permission_error", false, 0, 0,                       \
		"This request is refused by a rule",                                                \
		"A rule of the operator refuses the request. This version has no such rules and "   \
		"does not send this code.",                                                         \
		"Nothing to do in this version.")                                                   \
	X(NO_ROUTE, 404, "no_route", "not_found_error", false, 0, 0,                                \
		"No pool or upstream serves this request",                                          \
		"Neither the key nor its tenant has a pool, the path begins with `/relay/` and "    \
		"is not one of the relay's own, or the path belongs to the API of another "         \
		"provider than the pool's. Or the request reaches files or other resources of an "  \
		"account that another tenant could reach too, or the administration of the "        \
		"account. The message says which.",                                                 \
		"Give the tenant a pool with `relayadm tenants set NAME --pool POOL`, or issue "    \
		"a key with `--pool`. Correct the path, or use a key of a pool whose upstream "     \
		"serves it. Give a tenant that needs files a pool whose accounts no other tenant "  \
		"uses, or accept that tenants reach each other's: `relayadm pools set POOL "        \
		"--resources shared`.")                                                             \
	X(BAD_REQUEST, 400, "bad_request", "invalid_request_error", false, 0, 0,                    \
		"The request is malformed, or its client closed the connection too early",          \
		"The request is not valid HTTP, its method is TRACE or CONNECT, it has two "        \
		"lines of the header with the key, its path has a segment `..`, in any spelling, "  \
		"or its path, query, host or key is too long. HAProxy also sends this code to a "   \
		"client that closed its sending side before it had the answer, as it cannot tell "  \
		"this from a client that has left.",                                                \
		"Correct the request; sending the same request again fails again. Keep the "        \
		"connection open in both directions until the answer has arrived.")                 \
	X(REQUEST_TOO_LARGE, 413, "request_too_large", "invalid_request_error", false, 0, 0,        \
		"The request body is larger than this relay allows",                                \
		"The body is larger than `[requests] max_body`. With that option set, a body "      \
		"without `Content-Length` must also be at most 47,000 bytes long.",                 \
		"Send a smaller body, and send it with `Content-Length`. The operator can raise "   \
		"`[requests] max_body`.")                                                           \
	X(HEADERS_TOO_LARGE, 431, "headers_too_large", "invalid_request_error", false, 0, 0,        \
		"The headers of the request are larger than 32 KB",                                 \
		"All header lines of the request together are larger than 32 KB.",                  \
		"Send fewer or shorter headers; cookies are not needed here.")                      \
	X(MISPLACED_API_KEY, 400, "misplaced_api_key", "invalid_request_error", false, 0, 0,        \
		"A relay key is in the wrong place: send it as X-API-Key only",                     \
		"The query, the path or a header that is not meant for it contains a relay key. "   \
		"The request was not forwarded, since logs along the way would keep the key.",      \
		"Send the key as `X-API-Key` or as `Authorization: Bearer`. A key that was in a "   \
		"URL may have been logged elsewhere: replace it with `relayadm tokens rotate`.")    \
	X(WEBSOCKET_UNSUPPORTED, 426, "websocket_unsupported", "invalid_request_error", false, 0,   \
		0, "WebSocket is not served here: use HTTP with server-sent events",                \
		"The request asks for an upgrade to WebSocket, and the upstream takes none. Or it " \
		"is not a GET without a body that names the upgrade in `Connection`.",              \
		"Configure the client to use HTTP; answers stream as server-sent events. If the "   \
		"upstream speaks WebSocket: `relayadm upstreams set U --websocket on`.")            \
	X(REQUEST_TIMEOUT, 408, "request_timeout", "invalid_request_error", true, 0, 0,             \
		"The request did not arrive in time",                                               \
		"The head did not arrive within 30 seconds, or a body that the relay waits for "    \
		"did not arrive within 120 seconds.",                                               \
		"Send the request again. If it happens often, look for a slow or broken network "   \
		"between the client and HAProxy.")                                                  \
	X(RATE_LIMITED, 429, "rate_limited", "rate_limit_error", true, 1, REFUSAL_ANY,              \
		"The request rate limit is reached",                                                \
		"The tenant or the key has used up its requests of this second, minute "            \
		"or hour. The message names the limit. If an hour has more than 60 "                \
		"seconds left, the type is `usage_limit_reached` and `retryable` is "               \
		"false.",                                                                           \
		"Send the request again after `Retry-After` seconds. `GET /relay/me` "              \
		"shows the limits and what is left; the operator changes those of the "             \
		"tenant with `relayadm tenants set NAME --rps --rpm --rph`.")                       \
	X(CONCURRENCY_LIMITED, 429, "concurrency_limited", "rate_limit_error", true, 1,             \
		REFUSAL_ANY, "The limit of concurrent requests is reached",                         \
		"All slots of the tenant or the key (`--concurrency`) are taken, and the "          \
		"request could not wait or has waited as long as its tenant allows. The "           \
		"message names the limit.",                                                         \
		"Send fewer requests at a time. The operator can raise `--concurrency`, "           \
		"or let requests wait with `relayadm tenants set NAME --wait 10s`.")                \
	X(ACCOUNTS_LIMITED, 429, "accounts_limited", "rate_limit_error", true, 1, REFUSAL_ANY,      \
		"All accounts of this pool are at their limits",                                    \
		"The accounts of the pool are at a limit of the relay or of the "                   \
		"upstream, or keep their pace. The first becomes free within 60 seconds, "          \
		"but not within the waiting time.",                                                 \
		"Send the request again after `Retry-After` seconds. The operator can "             \
		"add accounts to the pool, raise their limits (`relayadm accounts set`), "          \
		"or raise the waiting time (`relayadm pools set --wait`).")                         \
	X(QUOTA_EXCEEDED, 429, "quota_exceeded", "usage_limit_reached", false, 0, REFUSAL_ANY,      \
		"The quota is used up",                                                             \
		"The tenant or the key has used up its requests of this day or month "              \
		"(UTC). The message names the limit.",                                              \
		"Wait until `resets_at`. The operator can raise the quota with `relayadm "          \
		"tenants set NAME --daily --monthly`.")                                             \
	X(ACCOUNTS_EXHAUSTED, 429, "accounts_exhausted", "usage_limit_reached", false, 0,           \
		REFUSAL_ANY, "All accounts of this pool are out for longer than a minute",          \
		"No account of the pool can be used within 60 seconds, and at least one "           \
		"is in a window of the upstream or at its limit per hour. A conversation "          \
		"that needs its account waits for this account alone.",                             \
		"Wait until `resets_at`, or start a new session if the message says so. "           \
		"The operator can add accounts to the pool; `relayadm accounts list` "              \
		"shows when each window ends. After a window was reset early, `relayadm "           \
		"accounts check NAME` ends it.")                                                    \
	X(NO_ACCOUNT, 503, "no_account", "overloaded_error", false, 0, 0,                           \
		"No account of this pool can serve the request",                                    \
		"No account of the pool can be used. Each is suspended, needs a login, "            \
		"has no valid credential, has a suspended egress, or is out for longer "            \
		"than a minute, for example because its probe failed; then `resets_at` "            \
		"is the end.",                                                                      \
		"`relayadm requests why ID` gives the reason for each account, and "                \
		"`relayadm notices list` shows the open problems. Use `relayadm accounts "          \
		"resume NAME`, or `relayadm accounts set NAME` with a new credential.")             \
	X(CIRCUIT_OPEN, 503, "circuit_open", "overloaded_error", true, 5, 10,                       \
		"The upstream account is failing and is being left alone for a moment",             \
		"No account of the pool can be used: some rest after failures, their "              \
		"egress is down, their credential is being renewed, this HAProxy process "          \
		"does not know them yet, or the last requests of this key failed there. "           \
		"The first comes back within 60 seconds, but not within the waiting time.",         \
		"Send the request again after `Retry-After` seconds. `relayadm accounts "           \
		"list` shows the state of each account and when it ends. If the cause is "          \
		"gone, `relayadm accounts reset NAME` forgets the failures. After a "               \
		"change that said `pending reload`, or one with `--no-reload`, use "                \
		"`relayadm haproxy reload`.")                                                       \
	X(SITE_DISABLED, 503, "site_disabled", "overloaded_error", false, 0, 0,                     \
		"The relay is switched off by its operator",                                        \
		"An operator switched off the whole relay (`relayadm site disable`), or it "        \
		"serves only tenants with `--own on` (`relayadm site self-use on`).",               \
		"The operator ends this with `relayadm site enable` or `relayadm site self-use "    \
		"off`.")                                                                            \
	X(OVERLOADED, 503, "overloaded", "overloaded_error", true, 1, REFUSAL_ANY,                  \
		"The relay is at its own limits",                                                   \
		"A table of the relay is full: requests in progress, or counters of tenants, "      \
		"keys and accounts. HAProxy also sends this code for its own internal errors.",     \
		"Send the request again. If it happens often, look at "                             \
		"`relay_leases_outstanding`, `relay_usage_rows` and the log of HAProxy.")           \
	X(DRAINING, 503, "draining", "overloaded_error", true, 1, REFUSAL_ANY,                      \
		"The relay is stopping", "The relay is stopping and takes no new request.",         \
		"Send the request again; a load balancer sends it to another node.")                \
	X(ACCOUNT_SWITCHED, 503, "account_switched", "overloaded_error", true, 1, REFUSAL_ANY,      \
		"The account refused and another can serve: send the request again",                \
		"The account refused the request or failed, HAProxy could not send the request "    \
		"to another account by itself (large body, status 529, or status 429 on HAProxy "   \
		"2.6), and another account can serve it.",                                          \
		"Send the request again: it goes to another account. The SDKs of OpenAI and "       \
		"Anthropic do this by themselves.")                                                 \
	X(AGENT_UNAVAILABLE, 503, "agent_unavailable", "overloaded_error", true, 1, REFUSAL_ANY,    \
		"The relay could not decide; nothing was forwarded",                                \
		"HAProxy got no decision from the agent in time: the agent is starting or "         \
		"stopped, or HAProxy cannot reach it.",                                             \
		"Send the request again. If it continues, look at `relayadm status` and the log "   \
		"of the relay: HAProxy's user must be one of `[spop] allow_users`, its chroot "     \
		"must contain `[haproxy] socket_dir`, and HAProxy must have loaded the files of "   \
		"this relay (`relayadm haproxy status`).")                                          \
	X(UPSTREAM_UNREACHABLE, 502, "upstream_unreachable", "api_error", true, 1, REFUSAL_ANY,     \
		"The upstream could not be reached",                                                \
		"HAProxy could not connect to the upstream through the egress of the account, "     \
		"and no other account or egress was left to try.",                                  \
		"Send the request again. `relayadm egress list` and `relayadm accounts check "      \
		"NAME` show whether the egress, the name resolution or the upstream is at "         \
		"fault.")                                                                           \
	X(UPSTREAM_INVALID, 502, "upstream_invalid", "api_error", true, 1, REFUSAL_ANY,             \
		"The upstream's answer was not valid HTTP",                                         \
		"The upstream closed the connection before it answered, or its answer was not "     \
		"valid HTTP.",                                                                      \
		"Send the request again. If it continues, check the URL of the upstream "           \
		"(`relayadm upstreams show NAME`) and any proxy on the path.")                      \
	X(UPSTREAM_TIMEOUT, 504, "upstream_timeout", "api_error", true, 1, REFUSAL_ANY,             \
		"The upstream did not answer in time",                                              \
		"The upstream sent nothing for longer than its first-byte timeout.",                \
		"Send the request again, or a smaller one. The operator can raise the timeout "     \
		"with `relayadm upstreams set NAME --first-byte-timeout`.")

enum refusal {
	REFUSAL_NONE,
#define X(id, status, code, type, retryable, retry_after, retry_max, message, cause, remedy)       \
	REFUSAL_##id,
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
	int retry_max;
	const char *message; /* plain ASCII, no quotes or backslashes: safe inside a JSON string */
	const char *cause;
	const char *remedy;
};

/* `r` other than REFUSAL_NONE. */
const struct refusal_row *refusal_row(enum refusal r);

/* The refusal with this code; REFUSAL_NONE if there is none. */
enum refusal refusal_find(struct slice code);

/* What a client is told about one refusal, beside its row. */
struct refusal_told {
	const char *type;
	bool retryable;
	int64_t retry_after; /* seconds; 0 = no Retry-After */
	int64_t resets_at;   /* Unix time in seconds; 0 = unknown */
};

/* `end_ms` is the Unix time at which the refusal may end, 0 = unknown; `exact`: it lasts until then. */
struct refusal_told refusal_tell(enum refusal r, int64_t end_ms, bool exact, int64_t now_ms);

#endif
