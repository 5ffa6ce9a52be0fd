#include "tests/unit/spoe/peer.h"

#include "spoe/reader.h"

#define ENGINE_ID "2e0de367-a0f8-48da-90d7-cdeadacf91e5"

const struct peer_hello peer_hello_2_6 = {
	"2.0", PEER_FRAME_MAX, "pipelining,async", ENGINE_ID, false};
const struct peer_hello peer_hello_3_2 = {"2.0", PEER_FRAME_MAX, "pipelining", ENGINE_ID, false};
const struct peer_hello peer_hello_check = {"2.0", PEER_FRAME_MAX, "", NULL, true};

static void uint_item(struct spoe_writer *writer, const char *key, uint32_t number)
{
	struct spoe_value value = {.type = SPOE_TYPE_UINT32, .uint = number};

	spoe_value_encode_named(writer, slice_from_str(key), &value);
}

void peer_hello_write(struct spoe_writer *writer, const struct peer_hello *hello)
{
	struct spoe_value yes = {.type = SPOE_TYPE_BOOL, .flag = true};
	size_t mark = spoe_frame_begin(writer, SPOE_FRAME_HAPROXY_HELLO, 0, 0);

	if (hello->versions)
		peer_arg_str(writer, "supported-versions", hello->versions);
	if (hello->frame_max > 0)
		uint_item(writer, "max-frame-size", hello->frame_max);
	if (hello->capabilities)
		peer_arg_str(writer, "capabilities", hello->capabilities);
	if (hello->engine_id)
		peer_arg_str(writer, "engine-id", hello->engine_id);
	if (hello->healthcheck)
		peer_arg(writer, "healthcheck", &yes);
	peer_notify_end(writer, mark);
}

void peer_disconnect_write(struct spoe_writer *writer, uint32_t code, const char *message)
{
	size_t mark = spoe_frame_begin(writer, SPOE_FRAME_HAPROXY_DISCONNECT, 0, 0);

	uint_item(writer, "status-code", code);
	peer_arg_str(writer, "message", message);
	peer_notify_end(writer, mark);
}

size_t peer_notify_begin(struct spoe_writer *writer, uint64_t stream_id, uint64_t frame_id)
{
	return spoe_frame_begin(writer, SPOE_FRAME_NOTIFY, stream_id, frame_id);
}

void peer_message(struct spoe_writer *writer, const char *name, uint8_t args)
{
	spoe_writer_string(writer, slice_from_str(name));
	spoe_writer_u8(writer, args);
}

void peer_arg(struct spoe_writer *writer, const char *name, const struct spoe_value *value)
{
	spoe_value_encode_named(writer, slice_from_str(name), value);
}

void peer_arg_str(struct spoe_writer *writer, const char *name, const char *text)
{
	struct spoe_value value = {.type = SPOE_TYPE_STRING, .bytes = slice_from_str(text)};

	peer_arg(writer, name, &value);
}

void peer_arg_int(struct spoe_writer *writer, const char *name, int64_t number)
{
	struct spoe_value value = {.type = SPOE_TYPE_INT64, .sint = number};

	peer_arg(writer, name, &value);
}

void peer_arg_null(struct spoe_writer *writer, const char *name)
{
	struct spoe_value value = {.type = SPOE_TYPE_NULL};

	peer_arg(writer, name, &value);
}

/* Without the limit of spoe_frame_end(): tests also want frames that are too big. */
void peer_notify_end(struct spoe_writer *writer, size_t mark)
{
	size_t size = spoe_writer_used(writer) - mark;

	spoe_writer_patch_u32(writer, mark, (uint32_t)(size - SPOE_LENGTH_SIZE));
}

void peer_frame_write(struct spoe_writer *writer, uint8_t type, uint32_t flags, uint64_t stream_id,
	uint64_t frame_id, struct slice payload)
{
	size_t mark = spoe_writer_used(writer);

	spoe_writer_u32(writer, 0);
	spoe_writer_u8(writer, type);
	spoe_writer_u32(writer, flags);
	spoe_writer_varint(writer, stream_id);
	spoe_writer_varint(writer, frame_id);
	spoe_writer_bytes(writer, payload.p, payload.n);
	peer_notify_end(writer, mark);
}

static int item_store(struct slice key, const struct spoe_value *value, struct peer_answer *answer)
{
	if (slice_eq_str(key, "version"))
		return spoe_value_get_bytes(value, &answer->version);
	if (slice_eq_str(key, "max-frame-size"))
		return spoe_value_get_int(value, &answer->frame_max);
	if (slice_eq_str(key, "capabilities"))
		return spoe_value_get_bytes(value, &answer->capabilities);
	if (slice_eq_str(key, "status-code"))
		return spoe_value_get_int(value, &answer->code);
	if (slice_eq_str(key, "message"))
		return spoe_value_get_bytes(value, &answer->message);
	return -EBADMSG;
}

/* Our HELLO has three items and our DISCONNECT two, all mandatory. */
static int items_read(struct slice payload, unsigned wanted, struct peer_answer *answer)
{
	struct spoe_reader reader;
	struct spoe_value value;
	struct slice key;
	unsigned n = 0;

	spoe_reader_init(&reader, payload);
	while (spoe_reader_left(&reader) > 0) {
		if (spoe_value_decode_named(&reader, &key, &value) < 0 ||
			item_store(key, &value, answer) < 0)
			return -EBADMSG;
		n++;
	}
	return n == wanted ? 0 : -EBADMSG;
}

static int action_read(struct spoe_reader *reader, struct peer_action *action)
{
	uint8_t args;

	*action = (struct peer_action){.value = {.type = SPOE_TYPE_NULL}};
	if (spoe_reader_u8(reader, &action->type) < 0 || spoe_reader_u8(reader, &args) < 0 ||
		spoe_reader_u8(reader, &action->scope) < 0 ||
		spoe_reader_string(reader, &action->name) < 0)
		return -EBADMSG;
	if (action->scope > 4 || action->type < 1 || action->type > 2)
		return -EBADMSG;
	if (action->type == 2)
		return args == 2 ? 0 : -EBADMSG;
	return args == 3 ? spoe_value_decode(reader, &action->value) : -EBADMSG;
}

static int actions_read(struct slice payload, struct peer_answer *answer)
{
	struct spoe_reader reader;

	spoe_reader_init(&reader, payload);
	while (spoe_reader_left(&reader) > 0) {
		if (answer->n_actions == PEER_ACTIONS_MAX ||
			action_read(&reader, &answer->actions[answer->n_actions]) < 0)
			return -EBADMSG;
		answer->n_actions++;
	}
	return answer->n_actions > 0 ? 0 : -EBADMSG;
}

static int payload_read(const struct spoe_frame *frame, struct peer_answer *answer)
{
	bool ids = frame->stream_id != 0 || frame->frame_id != 0;

	if (frame->flags != SPOE_FLAG_FIN)
		return -EBADMSG;
	if (frame->type == SPOE_FRAME_AGENT_HELLO)
		return ids ? -EBADMSG : items_read(frame->payload, 3, answer);
	if (frame->type == SPOE_FRAME_AGENT_DISCONNECT)
		return ids ? -EBADMSG : items_read(frame->payload, 2, answer);
	if (frame->type == SPOE_FRAME_ACK)
		return actions_read(frame->payload, answer);
	return -EBADMSG;
}

enum spoe_answer peer_read(struct slice in, struct peer_answer *ret_answer)
{
	enum spoe_answer answer;
	enum spoe_status status;
	struct spoe_frame frame;

	answer = spoe_frame_decode(in, PEER_FRAME_MAX, &frame, &status);
	if (answer != SPOE_OK)
		return answer;
	*ret_answer = (struct peer_answer){
		.type = frame.type,
		.stream_id = frame.stream_id,
		.frame_id = frame.frame_id,
		.size = frame.size,
	};
	return payload_read(&frame, ret_answer) < 0 ? SPOE_BAD : SPOE_OK;
}

const struct spoe_value *peer_variable(const struct peer_answer *answer, const char *name)
{
	for (unsigned i = 0; i < answer->n_actions; i++)
		if (answer->actions[i].type == 1 && slice_eq_str(answer->actions[i].name, name))
			return &answer->actions[i].value;
	return NULL;
}
