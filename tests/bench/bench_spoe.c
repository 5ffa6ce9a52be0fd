/*
 * Cost of SPOP per request: decoding a NOTIFY with the arguments of `decide`, and encoding the
 * ACK with 14 variables and a bearer of 1200 bytes. Prints nanoseconds per operation, the best of
 * several rounds. Takes less than two seconds.
 */
#include <stdio.h>
#include <time.h>

#include "spoe/session.h"

enum {
	ROUNDS = 20,
	OPS = 50000,
	BEARER_SIZE = 1200,
	ACK_MAX = 6000,
};

static char bearer[BEARER_SIZE];
static volatile uint64_t sink; /* keeps the compiler from removing the work */

static char head[900]; /* all header lines of a request */

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void arg_write(struct spoe_writer *writer, const char *name, struct spoe_value value)
{
	spoe_value_encode_named(writer, slice_from_str(name), &value);
}

static void notify_write(struct spoe_writer *writer)
{
	const struct slice text = SLICE_LITERAL("7cf82357-b223-4628-bed4-d232519e8da2");
	size_t mark = spoe_frame_begin(writer, SPOE_FRAME_NOTIFY, 4711, 1);

	spoe_writer_string(writer, SLICE_LITERAL("decide"));
	spoe_writer_u8(writer, 7);
	arg_write(writer, "gen", (struct spoe_value){.type = SPOE_TYPE_INT64, .sint = 40000});
	arg_write(writer, "worker", (struct spoe_value){.type = SPOE_TYPE_INT64, .sint = 1 << 30});
	arg_write(writer, "id", (struct spoe_value){.type = SPOE_TYPE_STRING, .bytes = text});
	arg_write(writer, "h",
		(struct spoe_value){.type = SPOE_TYPE_STRING, .bytes = {head, sizeof(head)}});
	arg_write(writer, "method",
		(struct spoe_value){.type = SPOE_TYPE_STRING, .bytes = SLICE_LITERAL("POST")});
	arg_write(writer, "path",
		(struct spoe_value){
			.type = SPOE_TYPE_STRING, .bytes = SLICE_LITERAL("/v1/responses")});
	arg_write(writer, "src", (struct spoe_value){.type = SPOE_TYPE_IPV4, .ip = {127, 0, 0, 1}});
	spoe_frame_end(writer, mark, SPOE_FRAME_MAX);
}

static struct spoe_session session_running(void)
{
	struct spoe_session session;

	spoe_session_init(&session, ACK_MAX);
	session.state = SPOE_SESSION_RUNNING;
	return session;
}

static uint64_t notify_read(struct spoe_session *session, struct slice in)
{
	struct spoe_notify_walk walk;
	struct spoe_message message;
	struct spoe_event event;
	struct spoe_arg arg;
	size_t consumed;
	uint64_t sum = 0;

	if (spoe_session_next(session, in, &consumed, &event) != SPOE_OK)
		return 0;
	spoe_notify_begin(&event.notify, &walk);
	while (spoe_notify_next_message(&walk, &message))
		while (spoe_notify_next_arg(&walk, &arg))
			sum += arg.name.n + (uint64_t)arg.value.type;
	return sum;
}

static int ack_write(struct spoe_writer *writer)
{
	static const char *const texts[] = {
		"action", "tenant", "account", "track", "be", "shape", "code"};
	static const char *const numbers[] = {"status", "retry", "resets", "since"};
	static const char *const flags[] = {"alt", "watch"};
	struct spoe_ack ack;

	spoe_ack_begin(&ack, writer, SPOE_FRAME_MAX, 4711, 1);
	for (size_t i = 0; i < COUNT(texts); i++)
		spoe_ack_set_str(&ack, SPOE_SCOPE_TXN, slice_from_str(texts[i]),
			SLICE_LITERAL("tenant-1|key-22|account-333"));
	for (size_t i = 0; i < COUNT(numbers); i++)
		spoe_ack_set_int(&ack, SPOE_SCOPE_TXN, slice_from_str(numbers[i]), 40000);
	for (size_t i = 0; i < COUNT(flags); i++)
		spoe_ack_set_bool(&ack, SPOE_SCOPE_TXN, slice_from_str(flags[i]), true);
	spoe_ack_set_str(&ack, SPOE_SCOPE_TXN, SLICE_LITERAL("bearer"),
		(struct slice){bearer, sizeof(bearer)});
	return spoe_ack_end(&ack);
}

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double bench_notify(struct slice in)
{
	struct spoe_session session = session_running();
	double start = now_ns();
	uint64_t sum = 0;

	for (int i = 0; i < OPS; i++)
		sum += notify_read(&session, in);
	sink = sum;
	return (now_ns() - start) / OPS;
}

static double bench_ack(struct spoe_writer *writer)
{
	double start = now_ns();
	uint64_t sum = 0;

	for (int i = 0; i < OPS; i++) {
		spoe_writer_rewind(writer, 0);
		sum += (uint64_t)ack_write(writer) + spoe_writer_used(writer);
	}
	sink = sum;
	return (now_ns() - start) / OPS;
}

static double least(double a, double b)
{
	return a < b ? a : b;
}

int main(void)
{
	static uint8_t in[SPOE_READ_MAX];
	static uint8_t out[SPOE_READ_MAX];
	struct spoe_writer notify;
	struct spoe_writer ack;
	double notify_ns = 1e9;
	double ack_ns = 1e9;
	struct slice frame;

	memset(bearer, 'b', sizeof(bearer));
	spoe_writer_init(&notify, in, sizeof(in));
	spoe_writer_init(&ack, out, sizeof(out));
	notify_write(&notify);
	frame = (struct slice){(const char *)in, spoe_writer_used(&notify)};
	for (int i = 0; i < ROUNDS; i++) {
		notify_ns = least(notify_ns, bench_notify(frame));
		ack_ns = least(ack_ns, bench_ack(&ack));
	}
	printf("NOTIFY of 16 arguments, %zu bytes: %.0f ns\n", frame.n, notify_ns);
	printf("ACK of 14 variables, %zu bytes: %.0f ns\n", spoe_writer_used(&ack), ack_ns);
	return sink > 0 ? 0 : 1;
}
