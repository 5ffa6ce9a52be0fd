/*
 * writer: a bounds-checked cursor over a caller's output buffer.
 *
 * Single writes do not fail: the first that does not fit marks the writer as full, and it and all later
 * ones write nothing. The caller checks once at the end, and removes a part that does not fit with
 * spoe_writer_rewind(). The caller owns the buffer.
 */
#ifndef RELAY_SPOE_WRITER_H
#define RELAY_SPOE_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/slice.h"
#include "spoe/varint.h"

struct spoe_writer {
	uint8_t *start;
	uint8_t *p;
	uint8_t *end;
	bool full;
};

void spoe_writer_init(struct spoe_writer *writer, void *buffer, size_t size);

/* Bytes written so far; also the mark to give to spoe_writer_rewind(). */
static inline size_t spoe_writer_used(const struct spoe_writer *writer)
{
	return (size_t)(writer->p - writer->start);
}

static inline size_t spoe_writer_left(const struct spoe_writer *writer)
{
	return (size_t)(writer->end - writer->p);
}

/* Drops everything written after `mark`, and clears the full mark. */
void spoe_writer_rewind(struct spoe_writer *writer, size_t mark);

static inline void spoe_writer_bytes(struct spoe_writer *writer, const void *bytes, size_t n)
{
	if (writer->full || spoe_writer_left(writer) < n) {
		writer->full = true;
		return;
	}
	if (n > 0)
		memcpy(writer->p, bytes, n);
	writer->p += n;
}

static inline void spoe_writer_u8(struct spoe_writer *writer, uint8_t value)
{
	spoe_writer_bytes(writer, &value, 1);
}

/* 4 bytes in network byte order. */
void spoe_writer_u32(struct spoe_writer *writer, uint32_t value);

/* Overwrites the 4 bytes at offset `mark`, which must have been written before. */
void spoe_writer_patch_u32(struct spoe_writer *writer, size_t mark, uint32_t value);

/* SPOE.txt 3.1. */
void spoe_writer_varint(struct spoe_writer *writer, uint64_t value);

/* <STRING> of SPOE.txt 3.1: length as a varint, then the bytes. */
void spoe_writer_string(struct spoe_writer *writer, struct slice string);

#endif
