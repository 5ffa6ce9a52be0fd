/*
 * Decodes any bytes as each payload of SPOP, without the frame that a fuzzer would have to get right
 * first: HELLO, DISCONNECT, NOTIFY, a value, a varint. Every decoded value must encode again.
 */
#include <stdlib.h>

#include "spoe/disconnect.h"
#include "spoe/hello.h"
#include "spoe/notify.h"
#include "spoe/value.h"
#include "spoe/varint.h"

static void insist(bool truth)
{
	if (!truth)
		abort();
}

static void try_varint(const uint8_t *data, size_t size)
{
	uint8_t again[SPOE_VARINT_MAX];
	uint64_t value;
	int n = spoe_varint_decode(data, size, &value);

	if (n < 0)
		return;
	insist(spoe_varint_encode(value, again) == (size_t)n);
	insist(memcmp(again, data, (size_t)n) == 0);
}

static void try_value(struct slice in)
{
	struct spoe_reader reader;
	struct spoe_writer writer;
	struct spoe_value value;
	struct spoe_value again;
	uint8_t *out = malloc(in.n + SPOE_VARINT_MAX);

	insist(out != NULL);
	spoe_reader_init(&reader, in);
	if (spoe_value_decode(&reader, &value) == 0) {
		spoe_writer_init(&writer, out, in.n + SPOE_VARINT_MAX);
		spoe_value_encode(&writer, &value);
		insist(!writer.full);
		spoe_reader_init(&reader, (struct slice){(char *)out, spoe_writer_used(&writer)});
		insist(spoe_value_decode(&reader, &again) == 0 && again.type == value.type);
		insist(spoe_reader_left(&reader) == 0);
	}
	free(out);
}

static void try_hello(struct slice in)
{
	struct spoe_hello hello;
	struct spoe_writer writer;
	uint8_t out[SPOE_FRAME_MIN];

	if (spoe_hello_decode(in, &hello) != SPOE_STATUS_NORMAL)
		return;
	insist(hello.frame_max >= SPOE_FRAME_MIN && hello.engine_id.n <= SPOE_ENGINE_ID_MAX);
	spoe_writer_init(&writer, out, sizeof(out));
	insist(spoe_hello_encode(&writer, &hello, 4096) == 0);
}

static void try_notify(struct slice in)
{
	const struct spoe_frame frame = {.type = SPOE_FRAME_NOTIFY, .payload = in};
	struct spoe_notify_walk walk;
	struct spoe_message message;
	struct spoe_notify notify;
	unsigned messages = 0;

	if (spoe_notify_decode(&frame, &notify) != SPOE_STATUS_NORMAL)
		return;
	spoe_notify_begin(&notify, &walk);
	while (spoe_notify_next_message(&walk, &message))
		messages++;
	insist(messages == notify.messages && spoe_reader_left(&walk.reader) == 0);
}

static void try_disconnect(struct slice in)
{
	struct spoe_disconnect gone;
	struct spoe_writer writer;
	uint8_t out[SPOE_LENGTH_SIZE + SPOE_FRAME_MIN];

	if (spoe_disconnect_decode(in, &gone) != SPOE_STATUS_NORMAL)
		return;
	spoe_writer_init(&writer, out, sizeof(out));
	insist(spoe_disconnect_encode(&writer, gone.code, gone.message) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct slice in = {(const char *)data, size};

	try_varint(data, size);
	try_value(in);
	try_hello(in);
	try_notify(in);
	try_disconnect(in);
	return 0;
}
