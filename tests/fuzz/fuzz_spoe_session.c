/*
 * Feeds any bytes to a session as a whole and in two pieces, walks the accepted frames, answers like an
 * agent, and checks that both runs give the same events. Golden streams are good seeds.
 */
#include <stdlib.h>

#include "spoe/session.h"

enum {
	OUT_SIZE = 4096, /* small, so that writers also run full */
	EVENTS_MAX = 4096,
};

/* Enough of each event to distinguish two sequences. */
struct trace {
	size_t n;
	enum spoe_answer answer;
	enum spoe_status status;
	uint64_t sums[EVENTS_MAX];
};

static void insist(bool truth)
{
	if (!truth)
		abort();
}

static uint64_t sum_bytes(uint64_t sum, struct slice bytes)
{
	for (size_t i = 0; i < bytes.n; i++)
		sum = (sum ^ (uint8_t)bytes.p[i]) * 1099511628211u;
	return sum + bytes.n;
}

static uint64_t sum_value(uint64_t sum, const struct spoe_value *value)
{
	uint8_t encoded[64];
	struct spoe_writer writer;
	struct slice bytes;

	if (spoe_value_get_bytes(value, &bytes) == 0)
		return sum_bytes(sum, bytes);
	spoe_writer_init(&writer, encoded, sizeof(encoded));
	spoe_value_encode(&writer, value);
	insist(!writer.full);
	return sum_bytes(sum, (struct slice){(const char *)encoded, spoe_writer_used(&writer)});
}

static uint64_t sum_notify(const struct spoe_notify *notify)
{
	uint64_t sum = notify->stream_id * 31 + notify->frame_id;
	struct spoe_notify_walk walk;
	struct spoe_message message;
	struct spoe_arg arg;
	unsigned messages = 0;

	spoe_notify_begin(notify, &walk);
	for (; spoe_notify_next_message(&walk, &message); messages++) {
		unsigned args = 0;

		sum = sum_bytes(sum, message.name);
		for (; spoe_notify_next_arg(&walk, &arg); args++)
			sum = sum_value(sum_bytes(sum, arg.name), &arg.value);
		insist(args == message.args && args <= SPOE_ARGS_MAX);
	}
	insist(messages == notify->messages && messages <= SPOE_MESSAGES_MAX);
	return sum;
}

/* Sets every argument of the NOTIFY as a variable: all values and all lengths go out again. */
static void answer_notify(const struct spoe_session *session, const struct spoe_notify *notify,
	struct spoe_writer *writer)
{
	size_t mark = spoe_writer_used(writer);
	struct spoe_notify_walk walk;
	struct spoe_message message;
	struct spoe_arg arg;
	struct spoe_ack ack;

	spoe_session_ack(session, &ack, writer, notify);
	spoe_notify_begin(notify, &walk);
	while (spoe_notify_next_message(&walk, &message))
		while (spoe_notify_next_arg(&walk, &arg))
			spoe_ack_set(&ack, SPOE_SCOPE_TXN, arg.name, &arg.value);
	if (spoe_ack_end(&ack) < 0)
		insist(spoe_writer_used(writer) == mark);
	else
		insist(spoe_writer_used(writer) - mark <= SPOE_LENGTH_SIZE + session->frame_max);
}

static uint64_t take_event(const struct spoe_session *session, const struct spoe_event *event)
{
	static uint8_t out[OUT_SIZE];
	struct spoe_writer writer;

	spoe_writer_init(&writer, out, sizeof(out));
	switch (event->type) {
	case SPOE_EVENT_HELLO:
		insist(spoe_session_hello(session, &writer) == 0);
		return sum_bytes(session->peer.frame_max, session->peer.engine_id);
	case SPOE_EVENT_NOTIFY:
		answer_notify(session, &event->notify, &writer);
		return sum_notify(&event->notify);
	case SPOE_EVENT_DISCONNECT:
		insist(spoe_session_disconnect(session, &writer) == 0);
		return sum_bytes(event->disconnect.code, event->disconnect.message);
	case SPOE_EVENT_SKIPPED:
		break;
	}
	return event->frame_type;
}

/* Uses a copy of exactly that size, for the address sanitizer. Returns the consumed bytes. */
static size_t feed(struct spoe_session *session, struct slice bytes, struct trace *trace)
{
	char *copy = malloc(bytes.n > 0 ? bytes.n : 1);
	struct spoe_event event;
	size_t consumed = 0;
	size_t used = 0;

	insist(copy != NULL);
	if (bytes.n > 0)
		memcpy(copy, bytes.p, bytes.n);
	do {
		struct slice in = {copy + used, bytes.n - used};

		trace->answer = spoe_session_next(session, in, &consumed, &event);
		insist(consumed <= in.n);
		used += consumed;
		if (trace->answer == SPOE_OK && trace->n < EVENTS_MAX)
			trace->sums[trace->n++] = take_event(session, &event);
	} while (trace->answer == SPOE_OK);
	trace->status = session->status;
	free(copy);
	return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct trace whole;
	static struct trace split;
	struct slice in = {(const char *)data, size};
	struct spoe_session session;
	size_t cut;

	if (size == 0)
		return 0;
	cut = data[size - 1] * size / 256;
	whole.n = split.n = 0;
	spoe_session_init(&session, 2048);
	feed(&session, in, &whole);
	spoe_session_init(&session, 2048);
	in = slice_skip(in, feed(&session, slice_cut(in, cut), &split));
	if (split.answer == SPOE_MORE)
		feed(&session, in, &split);
	insist(split.n == whole.n && split.answer == whole.answer && split.status == whole.status);
	insist(memcmp(split.sums, whole.sums, whole.n * sizeof(whole.sums[0])) == 0);
	return 0;
}
