#include "spoe/reader.h"

void spoe_reader_init(struct spoe_reader *reader, struct slice in)
{
	/* An empty slice may hold NULL, which allows no pointer arithmetic. */
	reader->p = (const uint8_t *)(in.n > 0 ? in.p : "");
	reader->end = reader->p + in.n;
}

int spoe_reader_u32(struct spoe_reader *reader, uint32_t *ret_value)
{
	const uint8_t *p = reader->p;

	if (spoe_reader_left(reader) < 4)
		return -EBADMSG;
	*ret_value = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	reader->p += 4;
	return 0;
}

int spoe_reader_varint_long(struct spoe_reader *reader, uint64_t *ret_value)
{
	int n = spoe_varint_decode(reader->p, spoe_reader_left(reader), ret_value);

	if (n < 0)
		return -EBADMSG;
	reader->p += n;
	return 0;
}

int spoe_reader_bytes(struct spoe_reader *reader, size_t n, struct slice *ret_bytes)
{
	if (spoe_reader_left(reader) < n)
		return -EBADMSG;
	*ret_bytes = (struct slice){(const char *)reader->p, n};
	reader->p += n;
	return 0;
}

int spoe_reader_string(struct spoe_reader *reader, struct slice *ret_string)
{
	const uint8_t *start = reader->p;
	uint64_t n;

	if (spoe_reader_varint(reader, &n) < 0 || n > spoe_reader_left(reader)) {
		reader->p = start;
		return -EBADMSG;
	}
	*ret_string = (struct slice){(const char *)reader->p, (size_t)n};
	reader->p += n;
	return 0;
}
