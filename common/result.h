/*
 * The outcome of an attempt, by provider (docs/DESIGN.md, health). Only some classes count against an
 * account; an unknown response gets the most harmless class that fits its status.
 */
#ifndef RELAY_COMMON_RESULT_H
#define RELAY_COMMON_RESULT_H

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
	struct slice limits; /* the limits text; empty = none */
};

struct result {
	enum result_class class;
	bool known;   /* a row of the table matches; else log it once */
	bool connect; /* of NETWORK: no connection. The egress failed, not the account */
	/* WINDOW: its end; BURST and OVERLOAD: when to retry. Unix time; 0 = unknown */
	int64_t until_ms;
	/* Used share of the upstream's fullest limit, in 1/65535; valid with has_used. */
	bool has_used;
	uint16_t used;
	int64_t used_until_ms; /* when that limit resets; Unix time, 0 = unknown */
};

/*
 * The limits text: HAProxy copies the status, limit headers and body fields of a response as
 * `key=value;`. The provider's row has the keys. A value ends before its first `;` and has at most
 * RESULT_VALUE_MAX bytes, so an upstream cannot write a field of another name. RESULT_STATUS is the
 * first field of an error response, and the first value of a key counts.
 *
 * txn.relay.lim belongs to the response that the client gets, for the record and for `respond`. The
 * argument `failed` of `again` belongs to a response that HAProxy took back.
 */
#define RESULT_VALUE_MAX 48
#define RESULT_LIMITS_MAX 1024
/* Keys of Retry-After and retry-after-ms, which all providers have. */
#define RESULT_RETRY "ra"
#define RESULT_RETRY_MS "ram"
/*
 * The upstream's status: it differs from the record's if HAProxy replaced the response. In `failed` 0
 * says that there was no response; without this key HAProxy (2.6) cannot tell.
 */
#define RESULT_STATUS "st"
/*
 * In `failed`, from HAProxy 3.2 on: whether the attempt used a connection that had served another request.
 * The first value counts; RESULT_REUSED_NONE: there was no connection. Without this key HAProxy cannot tell.
 */
#define RESULT_REUSED "ru"
#define RESULT_REUSED_YES "1"
#define RESULT_REUSED_NONE "none"
/* The same of HAProxy 3.0: the local port of the attempt's connection, as in the records of others. */
#define RESULT_PORT "po"
/* Words of an error event at the head of a stream, between dots: ".overloaded_error." */
#define RESULT_EVENT "ev"

/* How long a quota counts as exhausted if its end is unknown; a probe may find out earlier. */
#define RESULT_QUOTA_MS ((int64_t)3600 * 1000)

struct provider;
struct provider_header;
/* Limit headers of all providers, besides those of each row; ends with a NULL key. */
const struct provider_header *result_common_headers(void);

/*
 * An error response of the upstream counts by its status, even if its body was cut off or not read. A
 * stream that begins with an error counts by the provider's row of that error. Otherwise the termination decides.
 */
void result_classify(const struct provider *p, const struct result_answer *a, int64_t now_ms,
	struct result *ret);
/* The account could not read the state of another account that the request brought along. */
bool result_has_foreign_state(const struct provider *p, const struct result_answer *a);

#endif
