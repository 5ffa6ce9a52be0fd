/*
 * The outcome of an attempt, by provider (docs/DESIGN.md, health). Only some classes count against an
 * account; an unknown response gets the most harmless class that fits its status.
 */
#ifndef RELAY_COMMON_RESULT_H
#define RELAY_COMMON_RESULT_H

#include "common/provider.h"
#include "common/slice.h"

#include <stdbool.h>
#include <stdint.h>

enum result_class {
	RESULT_SUCCESS,
	RESULT_BURST,	 /* 429 without a window: a short cool-down */
	RESULT_WINDOW,	 /* 429 with a reset: unusable until exactly then */
	RESULT_AUTH,	 /* 401: the credential */
	RESULT_DENIED,	 /* 403: the account */
	RESULT_PAYLOAD,	 /* the request itself: neutral */
	RESULT_OVERLOAD, /* 503, 529 */
	RESULT_SERVER,	 /* other 5xx */
	RESULT_NETWORK,	 /* connect, TLS, empty, invalid, truncated */
	RESULT_CLIENT,	 /* the client disconnected: neutral */
	RESULT_CLASS_COUNT,
};

/* "success", "burst", ...: as in metrics and tables */
const char *result_class_name(enum result_class c);

/* What HAProxy saw of an attempt. */
struct result_answer {
	unsigned status;     /* 0 if there was no response */
	char termination[3]; /* HAProxy's two letters; "--" is a normal end */
	struct slice limits; /* as RESULT_HEADERS writes them; empty = none */
};

struct result {
	enum result_class class;
	bool known;	  /* a row of the table matches; else log it once */
	bool connect;	  /* of NETWORK: no connection. The egress failed, not the account */
	int64_t until_ms; /* WINDOW: its end; BURST: when to retry. Unix time; 0 = unknown */
	/* Used share of the upstream's fullest limit, in 1/65535; valid with has_used. */
	bool has_used;
	uint16_t used;
	int64_t used_until_ms; /* when that limit resets; Unix time, 0 = unknown */
};

/*
 * Limit headers of a response that HAProxy copies into txn.relay.lim, as `key=value;` for each present
 * header; a value is cut to RESULT_VALUE_MAX bytes. Rows: key, header.
 */
#define RESULT_VALUE_MAX 48
#define RESULT_LIMITS_MAX 1024
#define RESULT_HEADERS_COMMON(X)                                                                   \
	X("ra", "retry-after")                                                                     \
	X("ram", "retry-after-ms")
#define RESULT_HEADERS_CODEX(X)                                                                    \
	X("c1u", "x-codex-primary-used-percent")                                                   \
	X("c1a", "x-codex-primary-reset-at")                                                       \
	X("c1s", "x-codex-primary-reset-after-seconds")                                            \
	X("c2u", "x-codex-secondary-used-percent")                                                 \
	X("c2a", "x-codex-secondary-reset-at")                                                     \
	X("c2s", "x-codex-secondary-reset-after-seconds")
#define RESULT_HEADERS_ANTHROPIC(X)                                                                \
	X("aus", "anthropic-ratelimit-unified-status")                                             \
	X("aur", "anthropic-ratelimit-unified-reset")                                              \
	X("a5u", "anthropic-ratelimit-unified-5h-utilization")                                     \
	X("a5r", "anthropic-ratelimit-unified-5h-reset")                                           \
	X("a7u", "anthropic-ratelimit-unified-7d-utilization")                                     \
	X("a7r", "anthropic-ratelimit-unified-7d-reset")                                           \
	X("arl", "anthropic-ratelimit-requests-limit")                                             \
	X("arr", "anthropic-ratelimit-requests-remaining")                                         \
	X("art", "anthropic-ratelimit-requests-reset")                                             \
	X("atl", "anthropic-ratelimit-tokens-limit")                                               \
	X("atr", "anthropic-ratelimit-tokens-remaining")                                           \
	X("att", "anthropic-ratelimit-tokens-reset")
#define RESULT_HEADERS_OPENAI(X)                                                                   \
	X("xrl", "x-ratelimit-limit-requests")                                                     \
	X("xrr", "x-ratelimit-remaining-requests")                                                 \
	X("xrt", "x-ratelimit-reset-requests")                                                     \
	X("xtl", "x-ratelimit-limit-tokens")                                                       \
	X("xtr", "x-ratelimit-remaining-tokens")                                                   \
	X("xtt", "x-ratelimit-reset-tokens")

/* Of the JSON body of a 429: `bt` its error type or code, `br` resets_at, `bs` resets_in_seconds. */
#define RESULT_BODY_TYPE "bt"
#define RESULT_BODY_RESETS_AT "br"
#define RESULT_BODY_RESETS_IN "bs"
/* The upstream's status, if HAProxy replaced the upstream's response. */
#define RESULT_STATUS "st"

/* How long a quota counts as exhausted if its end is unknown; a probe may find out earlier. */
#define RESULT_QUOTA_MS ((int64_t)3600 * 1000)

struct result_header {
	const char *key;
	const char *header; /* lower case */
};
/*
 * The limit headers of a provider's responses; ends with a NULL key. The common headers and the
 * provider's family; for a generic upstream OpenAI's.
 */
const struct result_header *result_headers(enum provider p);

/*
 * An error response of the upstream counts by its status, even if its body was cut off or not read.
 * Otherwise the termination decides.
 */
void result_classify(
	enum provider p, const struct result_answer *a, int64_t now_ms, struct result *ret);

#endif
