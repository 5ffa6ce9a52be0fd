#include "spoe/writer.h"

static void put_u32(uint8_t out[4], uint32_t value)
{
	out[0] = (uint8_t)(value >> 24);
	out[1] = (uint8_t)(value >> 16);
	out[2] = (uint8_t)(value >> 8);
	out[3] = (uint8_t)value;
}

void spoe_writer_init(struct spoe_writer *writer, void *buffer, size_t size)
{
	writer->start = buffer;
	writer->p = writer->start;
	writer->end = writer->start + size;
	writer->full = false;
}

void spoe_writer_rewind(struct spoe_writer *writer, size_t mark)
{
	if (mark < spoe_writer_used(writer))
		writer->p = writer->start + mark;
	writer->full = false;
}

void spoe_writer_u32(struct spoe_writer *writer, uint32_t value)
{
	uint8_t bytes[4];

	put_u32(bytes, value);
	spoe_writer_bytes(writer, bytes, sizeof(bytes));
}

void spoe_writer_patch_u32(struct spoe_writer *writer, size_t mark, uint32_t value)
{
	if (!writer->full)
		put_u32(writer->start + mark, value);
}

void spoe_writer_varint(struct spoe_writer *writer, uint64_t value)
{
	uint8_t bytes[SPOE_VARINT_MAX];

	if (value < SPOE_VARINT_ONE_BYTE)
		spoe_writer_u8(writer, (uint8_t)value);
	else
		spoe_writer_bytes(writer, bytes, spoe_varint_encode(value, bytes));
}

void spoe_writer_string(struct spoe_writer *writer, struct slice string)
{
	spoe_writer_varint(writer, string.n);
	spoe_writer_bytes(writer, string.p, string.n);
}
