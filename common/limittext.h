/*
 * The limits text of an answer (result.h): what the upstream said of its own limits. Every value is
 * hostile: what does not read as it should counts as not told, and no time is further ahead than
 * LIMITTEXT_AHEAD_MAX_MS.
 */
#ifndef RELAY_COMMON_LIMITTEXT_H
#define RELAY_COMMON_LIMITTEXT_H

#include "common/provider.h"
#include "common/slice.h"

#include <stdbool.h>
#include <stdint.h>

#define LIMITTEXT_AHEAD_MAX_MS ((int64_t)32 * 86400 * 1000)
#define LIMITTEXT_RETRY_MAX_MS ((int64_t)86400 * 1000)
#define LIMITTEXT_FULL UINT16_MAX

/* The first value of that key; empty when there is none. */
struct slice limittext_value(struct slice text, const char *key);

/*
 * When something ends: Unix seconds, seconds from now, a span ("6m0s") or RFC 3339. Unix time in
 * milliseconds, not later than now + LIMITTEXT_AHEAD_MAX_MS but maybe past; 0 = not told.
 */
int64_t limittext_end(struct slice text, const char *key, int64_t now_ms);

/* When to come again, by retry-after-ms and Retry-After: later than now, or 0 = not told. */
int64_t limittext_retry(struct slice text, int64_t now_ms);

struct limittext_use {
	uint16_t used;	  /* in 1/65535 */
	int64_t until_ms; /* later than now, or 0 = not told */
};
/* The fullest limit of the provider's own that has not been reset since. False when none is told. */
bool limittext_fullest(
	struct slice text, enum provider p, int64_t now_ms, struct limittext_use *ret);

#endif
