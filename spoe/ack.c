#include "spoe/ack.h"

#include <errno.h>

#include "spoe/frame.h"

/* SPOE.txt 3.4: <ACTION-TYPE> <NB-ARGS>, then scope, name and, to set, the value. */
enum {
	ACTION_SET_VAR = 1,
	ACTION_UNSET_VAR = 2,
	SET_VAR_ARGS = 3,
	UNSET_VAR_ARGS = 2,
};

static void action_encode(struct spoe_ack *ack, uint8_t action, uint8_t args, enum spoe_scope scope,
	struct slice name)
{
	const uint8_t head[] = {action, args, (uint8_t)scope};

	if (name.n == 0 || name.n > SPOE_VAR_NAME_MAX)
		ack->bad_name = true;
	spoe_writer_bytes(ack->writer, head, sizeof(head));
	spoe_writer_string(ack->writer, name);
	ack->actions++;
}

void spoe_ack_begin(struct spoe_ack *ack, struct spoe_writer *writer, size_t frame_max,
	uint64_t stream_id, uint64_t frame_id)
{
	*ack = (struct spoe_ack){
		.writer = writer,
		.mark = spoe_frame_begin(writer, SPOE_FRAME_ACK, stream_id, frame_id),
		.frame_max = frame_max,
	};
}

void spoe_ack_set(struct spoe_ack *ack, enum spoe_scope scope, struct slice name,
	const struct spoe_value *value)
{
	/* HAProxy 2.6 would turn a NULL into a variable without a type; newer versions unset it. */
	if (value->type == SPOE_TYPE_NULL) {
		spoe_ack_unset(ack, scope, name);
		return;
	}
	action_encode(ack, ACTION_SET_VAR, SET_VAR_ARGS, scope, name);
	spoe_value_encode(ack->writer, value);
}

void spoe_ack_set_str(
	struct spoe_ack *ack, enum spoe_scope scope, struct slice name, struct slice value)
{
	struct spoe_value v = {.type = SPOE_TYPE_STRING, .bytes = value};

	spoe_ack_set(ack, scope, name, &v);
}

void spoe_ack_set_int(struct spoe_ack *ack, enum spoe_scope scope, struct slice name, int64_t value)
{
	struct spoe_value v = {.type = SPOE_TYPE_INT64, .sint = value};

	spoe_ack_set(ack, scope, name, &v);
}

void spoe_ack_set_bool(struct spoe_ack *ack, enum spoe_scope scope, struct slice name, bool value)
{
	struct spoe_value v = {.type = SPOE_TYPE_BOOL, .flag = value};

	spoe_ack_set(ack, scope, name, &v);
}

void spoe_ack_unset(struct spoe_ack *ack, enum spoe_scope scope, struct slice name)
{
	action_encode(ack, ACTION_UNSET_VAR, UNSET_VAR_ARGS, scope, name);
}

int spoe_ack_end(struct spoe_ack *ack)
{
	if (ack->bad_name) {
		spoe_writer_rewind(ack->writer, ack->mark);
		return -EINVAL;
	}
	if (ack->actions == 0)
		spoe_ack_unset(ack, SPOE_SCOPE_TXN, SLICE_LITERAL("none"));
	return spoe_frame_end(ack->writer, ack->mark, ack->frame_max);
}
