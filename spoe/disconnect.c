#include "spoe/disconnect.h"

#include "spoe/reader.h"
#include "spoe/value.h"

static enum spoe_status take_code(const struct spoe_value *value, struct spoe_disconnect *gone)
{
	int64_t code;

	if (spoe_value_get_int(value, &code) < 0 || code < 0 || code > UINT32_MAX)
		return SPOE_STATUS_INVALID;
	gone->code = (uint32_t)code;
	return SPOE_STATUS_NORMAL;
}

static enum spoe_status take_message(const struct spoe_value *value, struct spoe_disconnect *gone)
{
	if (value->type != SPOE_TYPE_STRING || value->bytes.n > SPOE_REASON_MAX)
		return SPOE_STATUS_INVALID;
	gone->message = value->bytes;
	return SPOE_STATUS_NORMAL;
}

static enum spoe_status item_decode(struct spoe_reader *reader, struct spoe_disconnect *gone)
{
	struct spoe_value value;
	struct slice key;

	if (spoe_value_decode_named(reader, &key, &value) < 0 || key.n == 0)
		return SPOE_STATUS_INVALID;
	if (slice_eq_str(key, "status-code"))
		return take_code(&value, gone);
	if (slice_eq_str(key, "message"))
		return take_message(&value, gone);
	return SPOE_STATUS_NORMAL;
}

enum spoe_status spoe_disconnect_decode(
	struct slice payload, struct spoe_disconnect *ret_disconnect)
{
	struct spoe_disconnect gone = {.code = SPOE_STATUS_UNKNOWN, .message = SLICE_LITERAL("")};
	enum spoe_status status = SPOE_STATUS_NORMAL;
	struct spoe_reader reader;

	spoe_reader_init(&reader, payload);
	while (status == SPOE_STATUS_NORMAL && spoe_reader_left(&reader) > 0)
		status = item_decode(&reader, &gone);
	if (status == SPOE_STATUS_NORMAL)
		*ret_disconnect = gone;
	return status;
}

int spoe_disconnect_encode(struct spoe_writer *writer, uint32_t code, struct slice message)
{
	struct slice text = message.n > 0 ? message : slice_from_str(spoe_status_text(code));
	struct spoe_value number = {.type = SPOE_TYPE_UINT32, .uint = code};
	struct spoe_value reason = {
		.type = SPOE_TYPE_STRING,
		.bytes = slice_cut(text, SPOE_REASON_SENT_MAX),
	};
	size_t mark = spoe_frame_begin(writer, SPOE_FRAME_AGENT_DISCONNECT, 0, 0);

	spoe_value_encode_named(writer, SLICE_LITERAL("status-code"), &number);
	spoe_value_encode_named(writer, SLICE_LITERAL("message"), &reason);
	return spoe_frame_end(writer, mark, SPOE_FRAME_MIN);
}
