#include "spoe/frame.h"

#include <errno.h>

#include "spoe/reader.h"

static enum spoe_answer refuse(enum spoe_status status, enum spoe_status *ret_status)
{
	*ret_status = status;
	return SPOE_BAD;
}

/* SPOE.txt 3.2: <FRAME-TYPE> <FLAGS> <STREAM-ID> <FRAME-ID> <FRAME-PAYLOAD>. */
static int header_decode(struct slice bytes, struct spoe_frame *frame)
{
	struct spoe_reader reader;

	spoe_reader_init(&reader, bytes);
	if (spoe_reader_u8(&reader, &frame->type) < 0 ||
		spoe_reader_u32(&reader, &frame->flags) < 0 ||
		spoe_reader_varint(&reader, &frame->stream_id) < 0 ||
		spoe_reader_varint(&reader, &frame->frame_id) < 0)
		return -EBADMSG;
	return spoe_reader_bytes(&reader, spoe_reader_left(&reader), &frame->payload);
}

enum spoe_answer spoe_frame_decode(struct slice in, size_t frame_max, struct spoe_frame *ret_frame,
	enum spoe_status *ret_status)
{
	struct spoe_reader reader;
	struct spoe_frame frame;
	struct slice bytes;
	uint32_t length;

	spoe_reader_init(&reader, in);
	if (spoe_reader_u32(&reader, &length) < 0)
		return SPOE_MORE;
	if (length > frame_max)
		return refuse(SPOE_STATUS_TOO_BIG, ret_status);
	if (length < SPOE_HEADER_MIN)
		return refuse(SPOE_STATUS_INVALID, ret_status);
	if (spoe_reader_bytes(&reader, length, &bytes) < 0)
		return SPOE_MORE;
	if (header_decode(bytes, &frame) < 0)
		return refuse(SPOE_STATUS_INVALID, ret_status);
	frame.size = SPOE_LENGTH_SIZE + (size_t)length;
	*ret_frame = frame;
	return SPOE_OK;
}

size_t spoe_frame_begin(struct spoe_writer *writer, enum spoe_frame_type type, uint64_t stream_id,
	uint64_t frame_id)
{
	size_t mark = spoe_writer_used(writer);

	spoe_writer_u32(writer, 0);
	spoe_writer_u8(writer, (uint8_t)type);
	spoe_writer_u32(writer, SPOE_FLAG_FIN);
	spoe_writer_varint(writer, stream_id);
	spoe_writer_varint(writer, frame_id);
	return mark;
}

int spoe_frame_end(struct spoe_writer *writer, size_t mark, size_t frame_max)
{
	size_t room = (size_t)(writer->end - writer->start) - mark;
	size_t size = spoe_writer_used(writer) - mark;
	size_t size_max = SPOE_LENGTH_SIZE + frame_max;
	int r = 0;

	if (size > size_max || (writer->full && room >= size_max))
		r = -EMSGSIZE;
	else if (writer->full)
		r = -ENOSPC;
	if (r < 0) {
		spoe_writer_rewind(writer, mark);
		return r;
	}
	spoe_writer_patch_u32(writer, mark, (uint32_t)(size - SPOE_LENGTH_SIZE));
	return 0;
}
