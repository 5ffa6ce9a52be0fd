/*
 * Points and spans of time in responses of upstreams: RFC 3339, the three forms of an HTTP date
 * (RFC 9110, 5.6.7), and Go's durations. The whole slice must match: 0, -EINVAL (not of that form) or
 * -ERANGE (of that form, but no such day, or too large).
 */
#ifndef RELAY_COMMON_TIMETEXT_H
#define RELAY_COMMON_TIMETEXT_H

#include "common/slice.h"

#include <stdint.h>

/* "2026-01-02T03:04:05Z", also with a fraction or an offset. Years 1970 to 9999. */
int timetext_parse_rfc3339(struct slice s, int64_t *ret_wall_ms);
/* "Fri, 02 Jan 2026 03:04:05 GMT"; the day of the week is not compared with the date. */
int timetext_parse_http_date(struct slice s, int64_t *ret_wall_ms);
/* "6m0s", "120ms", "1h2m3.5s"; fractions of a millisecond are cut off. */
int timetext_parse_span(struct slice s, int64_t max_ms, int64_t *ret_ms);

#endif
