/*
 * varint: SPOP's variable-length integer (SPOE.txt 3.1, "peers encoding").
 *
 * One byte below 240; else 4 bits in the first byte and 7 in each that follows, least significant
 * first. Every value has exactly one encoding of 1 to 10 bytes. Signed values travel as the
 * two's complement of 64 bits, so a negative one takes 10 bytes.
 */
#ifndef RELAY_SPOE_VARINT_H
#define RELAY_SPOE_VARINT_H

#include <stddef.h>
#include <stdint.h>

enum {
	SPOE_VARINT_MAX = 10,
	SPOE_VARINT_ONE_BYTE = 240,
};

/* Writes `value` to `out` and returns the bytes written, 1 to SPOE_VARINT_MAX. */
size_t spoe_varint_encode(uint64_t value, uint8_t out[SPOE_VARINT_MAX]);

/*
 * Reads one varint from the `n` bytes at `p`. Returns the bytes used (1 to SPOE_VARINT_MAX),
 * -EAGAIN when the input ends inside it, -EOVERFLOW when the value passes 64 bits.
 */
int spoe_varint_decode(const uint8_t *p, size_t n, uint64_t *ret_value);

#endif
