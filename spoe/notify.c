#include "spoe/notify.h"

/* SPOE.txt 3.2: <MESSAGE-NAME> <NB-ARGS:1 byte>. */
static int message_decode(struct spoe_reader *reader, struct spoe_message *message)
{
	uint8_t args;

	if (spoe_reader_string(reader, &message->name) < 0 || spoe_reader_u8(reader, &args) < 0)
		return -EBADMSG;
	message->args = args;
	return 0;
}

static int arg_check(struct spoe_reader *reader)
{
	struct spoe_arg arg;

	if (spoe_value_decode_named(reader, &arg.name, &arg.value) < 0)
		return -EBADMSG;
	return arg.name.n > SPOE_NAME_MAX ? -EBADMSG : 0;
}

static int message_check(struct spoe_reader *reader)
{
	struct spoe_message message;

	if (message_decode(reader, &message) < 0)
		return -EBADMSG;
	if (message.name.n == 0 || message.name.n > SPOE_NAME_MAX || message.args > SPOE_ARGS_MAX)
		return -EBADMSG;
	for (unsigned i = 0; i < message.args; i++)
		if (arg_check(reader) < 0)
			return -EBADMSG;
	return 0;
}

enum spoe_status spoe_notify_decode(const struct spoe_frame *frame, struct spoe_notify *ret_notify)
{
	struct spoe_reader reader;
	unsigned messages = 0;

	spoe_reader_init(&reader, frame->payload);
	while (spoe_reader_left(&reader) > 0) {
		if (messages == SPOE_MESSAGES_MAX || message_check(&reader) < 0)
			return SPOE_STATUS_INVALID;
		messages++;
	}
	*ret_notify = (struct spoe_notify){
		.stream_id = frame->stream_id,
		.frame_id = frame->frame_id,
		.messages = messages,
		.payload = frame->payload,
	};
	return SPOE_STATUS_NORMAL;
}

void spoe_notify_begin(const struct spoe_notify *notify, struct spoe_notify_walk *ret_walk)
{
	spoe_reader_init(&ret_walk->reader, notify->payload);
	ret_walk->args_left = 0;
}

bool spoe_notify_next_message(struct spoe_notify_walk *walk, struct spoe_message *ret_message)
{
	struct spoe_arg unread;

	while (spoe_notify_next_arg(walk, &unread))
		;
	if (message_decode(&walk->reader, ret_message) < 0)
		return false;
	walk->args_left = ret_message->args;
	return true;
}

bool spoe_notify_next_arg(struct spoe_notify_walk *walk, struct spoe_arg *ret_arg)
{
	if (walk->args_left == 0)
		return false;
	walk->args_left--;
	return spoe_value_decode_named(&walk->reader, &ret_arg->name, &ret_arg->value) == 0;
}
