/*
 * reader: a bounds-checked cursor over received bytes that it does not own.
 *
 * Every read returns 0 and advances, or returns -EBADMSG and leaves cursor and outputs as they were.
 * The reader gets complete frames, so a lack of bytes is the peer's mistake and never means "wait for
 * more". Returned slices point into the input and live as long as it does.
 */
#ifndef RELAY_SPOE_READER_H
#define RELAY_SPOE_READER_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include "common/slice.h"
#include "spoe/varint.h"

struct spoe_reader {
	const uint8_t *p;
	const uint8_t *end;
};

void spoe_reader_init(struct spoe_reader *reader, struct slice in);

static inline size_t spoe_reader_left(const struct spoe_reader *reader)
{
	return (size_t)(reader->end - reader->p);
}

static inline int spoe_reader_u8(struct spoe_reader *reader, uint8_t *ret_value)
{
	if (reader->p == reader->end)
		return -EBADMSG;
	*ret_value = *reader->p++;
	return 0;
}

/* 4 bytes in network byte order. */
int spoe_reader_u32(struct spoe_reader *reader, uint32_t *ret_value);

int spoe_reader_varint_long(struct spoe_reader *reader, uint64_t *ret_value);

/* SPOE.txt 3.1; values past 64 bits are refused. */
static inline int spoe_reader_varint(struct spoe_reader *reader, uint64_t *ret_value)
{
	if (reader->p != reader->end && *reader->p < SPOE_VARINT_ONE_BYTE) {
		*ret_value = *reader->p++;
		return 0;
	}
	return spoe_reader_varint_long(reader, ret_value);
}

/* Exactly `n` bytes. */
int spoe_reader_bytes(struct spoe_reader *reader, size_t n, struct slice *ret_bytes);

/* <STRING> of SPOE.txt 3.1: length as a varint, then that many bytes; may be empty. */
int spoe_reader_string(struct spoe_reader *reader, struct slice *ret_string);

#endif
