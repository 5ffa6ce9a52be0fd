/*
 * The usage page of a provider (provider.h): what the upstream says about the limits of an account. Pure:
 * the time is an argument. The page comes from outside: if any field that is read is malformed, the whole
 * page is refused, and nothing changes.
 */
#ifndef RELAY_ADMIN_UPKEEP_USAGE_PAGE_H
#define RELAY_ADMIN_UPKEEP_USAGE_PAGE_H

#include "common/slice.h"

#include <stdbool.h>
#include <stdint.h>

#define USAGE_PAGE_DEPTH 16 /* of the JSON */

struct provider_page;

/* What the page says about requests of the account. */
enum usage_page_verdict {
	USAGE_PAGE_UNCLEAR, /* its fields contradict each other, or the end of a full window is unknown */
	USAGE_PAGE_FREE, /* no limit is reached */
	USAGE_PAGE_FULL, /* a limit is reached until `until_ms` */
};

struct usage_page {
	enum usage_page_verdict verdict;
	int64_t until_ms;      /* Unix time, later than now; 0 unless the limit is reached */
	uint16_t used;	       /* share of the fullest window, in 1/65535 */
	int64_t used_until_ms; /* Unix time at which that window ends, later than now; 0 = unknown */
};

/* 0; -EBADMSG: not such a page, or a field has no sense. */
int usage_page_read(
	const struct provider_page *p, struct slice body, int64_t now_ms, struct usage_page *ret);

#endif
