/*
 * The limits text of a response (result.h): what the upstream reports about its limits. Values are
 * untrusted: a malformed one counts as absent, and no time is further ahead than
 * LIMITTEXT_AHEAD_MAX_MS.
 */
#ifndef RELAY_COMMON_LIMITTEXT_H
#define RELAY_COMMON_LIMITTEXT_H

#include "common/slice.h"

#include <stdbool.h>
#include <stdint.h>

#define LIMITTEXT_AHEAD_MAX_MS ((int64_t)32 * 86400 * 1000)
#define LIMITTEXT_RETRY_MAX_MS ((int64_t)86400 * 1000)
#define LIMITTEXT_FULL UINT16_MAX

/*
 * The first value of the key that is not empty; empty if there is none. HAProxy writes a key without a
 * value if the response lacks the header or the field.
 */
struct slice limittext_value(struct slice text, const char *key);

/*
 * The time at which something ends, from seconds from now, Unix seconds or milliseconds, a span
 * ("6m0s"), RFC 3339 or an HTTP date. Unix time in milliseconds, at most now + LIMITTEXT_AHEAD_MAX_MS, possibly past; 0 = absent.
 */
int64_t limittext_end(struct slice text, const char *key, int64_t now_ms);

struct provider;
/*
 * When to retry, by retry-after-ms and Retry-After, else by the provider's retry_field: later than
 * now; 0 = absent.
 */
int64_t limittext_retry(struct slice text, const struct provider *p, int64_t now_ms);

struct limittext_use {
	uint16_t used;	  /* in 1/65535 */
	int64_t until_ms; /* later than now; 0 = absent */
};
/* The fullest of the provider's limits that has not been reset since. False if none is reported. */
bool limittext_fullest(
	struct slice text, const struct provider *p, int64_t now_ms, struct limittext_use *ret);

#endif
