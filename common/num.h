/* Strict numbers, durations and sizes: the whole slice must match; values are never clipped. */
#ifndef RELAY_COMMON_NUM_H
#define RELAY_COMMON_NUM_H

#include "common/slice.h"

#include <stdint.h>

/* Decimal digits only. 0, -EINVAL (not a number), -ERANGE (above `max`). */
int num_parse_u64(struct slice s, uint64_t max, uint64_t *ret);
int num_parse_i64(struct slice s, int64_t *ret);
/* "250ms", "10s", "5m", "1h", "30d", "0"; a bare number is seconds. Result in milliseconds. */
int num_parse_duration(struct slice s, uint64_t max_ms, uint64_t *ret_ms);
/* Bytes: "4096", "64k", "10m", "1g" (powers of 1024). */
int num_parse_size(struct slice s, uint64_t max, uint64_t *ret);
/* "0..1" with up to six decimals, as millionths. */
int num_parse_fraction(struct slice s, uint32_t *ret_ppm);
/* Digits, optionally with a fraction, as millionths; further digits are cut off. */
int num_parse_decimal(struct slice s, uint32_t max_whole, uint64_t *ret_micro);

/* Shortest exact form: 90000 -> "90s", 3600000 -> "1h", 0 -> "0". `out` needs NUM_DURATION_SIZE. */
#define NUM_DURATION_SIZE 32
const char *num_format_duration(uint64_t ms, char *out);

#endif
