#include "spoe/varint.h"

#include <errno.h>

enum {
	FIRST_BITS = 4,	 /* payload of the first byte */
	LAST_SHIFT = 60, /* place of the 10th byte: room for 4 bits of 64 */
	LAST_LIMIT = 1 << (64 - LAST_SHIFT),
};

size_t spoe_varint_encode(uint64_t value, uint8_t out[SPOE_VARINT_MAX])
{
	size_t n = 0;

	if (value < SPOE_VARINT_ONE_BYTE) {
		out[n++] = (uint8_t)value;
		return n;
	}
	out[n++] = (uint8_t)(value | SPOE_VARINT_ONE_BYTE);
	value = (value - SPOE_VARINT_ONE_BYTE) >> FIRST_BITS;
	while (value >= 128) {
		out[n++] = (uint8_t)(value | 128);
		value = (value - 128) >> 7;
	}
	out[n++] = (uint8_t)value;
	return n;
}

int spoe_varint_decode(const uint8_t *p, size_t n, uint64_t *ret_value)
{
	unsigned shift = FIRST_BITS;
	uint64_t value;
	size_t i;

	if (n == 0)
		return -EAGAIN;
	value = p[0];
	if (value < SPOE_VARINT_ONE_BYTE) {
		*ret_value = value;
		return 1;
	}
	for (i = 1; i < n; i++) {
		if (shift == LAST_SHIFT && p[i] >= LAST_LIMIT)
			return -EOVERFLOW;
		/* Each byte also carries the 1 of "there is more", so the sum can pass 64 bits. */
		if (__builtin_add_overflow(value, (uint64_t)p[i] << shift, &value))
			return -EOVERFLOW;
		if (p[i] < 128) {
			*ret_value = value;
			return (int)i + 1;
		}
		shift += 7;
	}
	return -EAGAIN;
}
