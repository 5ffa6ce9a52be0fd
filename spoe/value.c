#include "spoe/value.h"

enum {
	TYPE_MASK = 0x0f,
	FLAG_TRUE = 0x10,
	IPV4_SIZE = 4,
	IPV6_SIZE = 16,
};

/*
 * SPOE.txt 3.1 has no separate encoding for INT32: peers send a negative value as 64 bits of two's
 * complement or as 32. Both are accepted.
 */
static int sint32_from_wire(uint64_t wire, int64_t *ret_number)
{
	int64_t number = (int64_t)wire;

	if (wire <= UINT32_MAX)
		number = (int32_t)(uint32_t)wire;
	if (number < INT32_MIN || number > INT32_MAX)
		return -EBADMSG;
	*ret_number = number;
	return 0;
}

static int integer_decode(struct spoe_reader *reader, int type, struct spoe_value *value)
{
	uint64_t wire;

	if (spoe_reader_varint(reader, &wire) < 0)
		return -EBADMSG;
	if (type == SPOE_TYPE_INT32)
		return sint32_from_wire(wire, &value->sint);
	if (type == SPOE_TYPE_UINT32 && wire > UINT32_MAX)
		return -EBADMSG;
	if (type == SPOE_TYPE_INT64)
		value->sint = (int64_t)wire;
	else
		value->uint = wire;
	return 0;
}

static int address_decode(struct spoe_reader *reader, struct spoe_value *value, size_t n)
{
	struct slice bytes;

	if (spoe_reader_bytes(reader, n, &bytes) < 0)
		return -EBADMSG;
	memcpy(value->ip, bytes.p, n);
	return 0;
}

/* Sets the field of the type, and only on success. */
static int body_decode(struct spoe_reader *reader, uint8_t head, struct spoe_value *value)
{
	switch (head & TYPE_MASK) {
	case SPOE_TYPE_NULL:
		return 0;
	case SPOE_TYPE_BOOL:
		value->flag = head & FLAG_TRUE;
		return 0;
	case SPOE_TYPE_INT32:
	case SPOE_TYPE_UINT32:
	case SPOE_TYPE_INT64:
	case SPOE_TYPE_UINT64:
		return integer_decode(reader, head & TYPE_MASK, value);
	case SPOE_TYPE_IPV4:
		return address_decode(reader, value, IPV4_SIZE);
	case SPOE_TYPE_IPV6:
		return address_decode(reader, value, IPV6_SIZE);
	case SPOE_TYPE_STRING:
	case SPOE_TYPE_BINARY:
		return spoe_reader_string(reader, &value->bytes);
	}
	return -EBADMSG;
}

int spoe_value_decode(struct spoe_reader *reader, struct spoe_value *ret_value)
{
	const uint8_t *start = reader->p;
	uint8_t head;

	if (spoe_reader_u8(reader, &head) < 0 || body_decode(reader, head, ret_value) < 0) {
		reader->p = start;
		return -EBADMSG;
	}
	ret_value->type = (enum spoe_type)(head & TYPE_MASK);
	return 0;
}

int spoe_value_decode_named(
	struct spoe_reader *reader, struct slice *ret_name, struct spoe_value *ret_value)
{
	const uint8_t *start = reader->p;
	struct slice name;

	if (spoe_reader_string(reader, &name) < 0 || spoe_value_decode(reader, ret_value) < 0) {
		reader->p = start;
		return -EBADMSG;
	}
	*ret_name = name;
	return 0;
}

static void varint_value_encode(struct spoe_writer *writer, enum spoe_type type, uint64_t wire)
{
	spoe_writer_u8(writer, (uint8_t)type);
	spoe_writer_varint(writer, wire);
}

void spoe_value_encode(struct spoe_writer *writer, const struct spoe_value *value)
{
	uint8_t head = (uint8_t)value->type;

	switch (value->type) {
	case SPOE_TYPE_NULL:
		spoe_writer_u8(writer, head);
		break;
	case SPOE_TYPE_BOOL:
		spoe_writer_u8(writer, value->flag ? head | FLAG_TRUE : head);
		break;
	case SPOE_TYPE_INT32:
	case SPOE_TYPE_INT64:
		varint_value_encode(writer, value->type, (uint64_t)value->sint);
		break;
	case SPOE_TYPE_UINT32:
	case SPOE_TYPE_UINT64:
		varint_value_encode(writer, value->type, value->uint);
		break;
	case SPOE_TYPE_IPV4:
		spoe_writer_u8(writer, head);
		spoe_writer_bytes(writer, value->ip, IPV4_SIZE);
		break;
	case SPOE_TYPE_IPV6:
		spoe_writer_u8(writer, head);
		spoe_writer_bytes(writer, value->ip, IPV6_SIZE);
		break;
	case SPOE_TYPE_STRING:
	case SPOE_TYPE_BINARY:
		spoe_writer_u8(writer, head);
		spoe_writer_string(writer, value->bytes);
		break;
	}
}

void spoe_value_encode_named(
	struct spoe_writer *writer, struct slice name, const struct spoe_value *value)
{
	spoe_writer_string(writer, name);
	spoe_value_encode(writer, value);
}

int spoe_value_get_int(const struct spoe_value *value, int64_t *ret_number)
{
	switch (value->type) {
	case SPOE_TYPE_INT32:
	case SPOE_TYPE_INT64:
		*ret_number = value->sint;
		return 0;
	case SPOE_TYPE_UINT32:
	case SPOE_TYPE_UINT64:
		if (value->uint > INT64_MAX)
			return -EINVAL;
		*ret_number = (int64_t)value->uint;
		return 0;
	case SPOE_TYPE_NULL:
		return -ENOENT;
	case SPOE_TYPE_BOOL:
	case SPOE_TYPE_IPV4:
	case SPOE_TYPE_IPV6:
	case SPOE_TYPE_STRING:
	case SPOE_TYPE_BINARY:
		break;
	}
	return -EINVAL;
}

int spoe_value_get_bytes(const struct spoe_value *value, struct slice *ret_bytes)
{
	if (value->type == SPOE_TYPE_NULL)
		return -ENOENT;
	if (value->type != SPOE_TYPE_STRING && value->type != SPOE_TYPE_BINARY)
		return -EINVAL;
	*ret_bytes = value->bytes;
	return 0;
}
