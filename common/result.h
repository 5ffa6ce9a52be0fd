/*
 * What became of an attempt, by provider (H3, H4; DESIGN.md "Health"). Only the right class hurts an
 * account; an answer that no row knows falls into the most harmless class that fits its status.
 */
#ifndef RELAY_COMMON_RESULT_H
#define RELAY_COMMON_RESULT_H

#include "common/provider.h"
#include "common/slice.h"

#include <stdbool.h>
#include <stdint.h>

enum result_class {
	RESULT_SUCCESS,
	RESULT_BURST,	 /* 429 without a window: a moment's rest */
	RESULT_WINDOW,	 /* 429 with a reset: unusable until exactly then */
	RESULT_AUTH,	 /* 401: the credential */
	RESULT_DENIED,	 /* 403: the account */
	RESULT_PAYLOAD,	 /* the request itself: neutral */
	RESULT_OVERLOAD, /* 503, 529 */
	RESULT_SERVER,	 /* other 5xx */
	RESULT_NETWORK,	 /* connect, TLS, empty, rubbish, cut off */
	RESULT_CLIENT,	 /* the client left: neutral */
	RESULT_CLASS_COUNT,
};

/* "success", "burst", ...: as in metrics and tables */
const char *result_class_name(enum result_class c);

/* What HAProxy saw of an attempt. */
struct result_answer {
	unsigned status;     /* 0 when no answer was made */
	char termination[3]; /* HAProxy's two letters; "--" is a normal end */
	struct slice limits; /* as RESULT_HEADERS writes them; empty = none */
};

struct result {
	enum result_class class;
	bool known;   /* a row of the table fits; else log it once */
	bool connect; /* of NETWORK: no connection came about. The way out failed, not the account */
	int64_t until_ms; /* WINDOW: when it ends; BURST: when to come again. Unix time; 0 = not told */
	/* How full the fullest of the upstream's own limits is, in 1/65535; meaningful with has_used. */
	bool has_used;
	uint16_t used;
	int64_t used_until_ms; /* when that one resets; Unix time, 0 = not told */
};

/*
 * Limit headers that HAProxy puts into txn.relay.lim of an answer, as `key=value;` for each present
 * one; a value is cut to RESULT_VALUE_MAX bytes. Rows: key, header.
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
/* The upstream's own status, where HAProxy put an answer of its own in place of the upstream's. */
#define RESULT_STATUS "st"

/* For how long a quota counts as used up when nothing tells its end; a probe may find out earlier. */
#define RESULT_QUOTA_MS ((int64_t)3600 * 1000)

struct result_header {
	const char *key;
	const char *header; /* lower case */
};
/*
 * The headers that a provider's answers may carry; ends with a NULL key. The common ones and its own
 * family; a generic upstream is taken to speak OpenAI's.
 */
const struct result_header *result_headers(enum provider p);

/*
 * An error that the upstream answered counts by its status, also when the body was cut off or not
 * waited for. A termination tells the rest.
 */
void result_classify(
	enum provider p, const struct result_answer *a, int64_t now_ms, struct result *ret);

#endif
