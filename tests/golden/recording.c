#include "tests/golden/recording.h"

#include <arpa/inet.h>
#include <glob.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/golden/cmocka_env.h"

void guarded_init(struct guarded *guarded, size_t size_max)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t size = (size_max + page - 1) / page * page;

	guarded->map_size = size + page;
	guarded->map = mmap(NULL, guarded->map_size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(guarded->map, MAP_FAILED);
	guarded->end = guarded->map + size;
	assert_int_equal(mprotect(guarded->end, page, PROT_NONE), 0);
}

void guarded_fini(struct guarded *guarded)
{
	assert_int_equal(munmap(guarded->map, guarded->map_size), 0);
}

struct slice guarded_copy(struct guarded *guarded, struct slice bytes)
{
	uint8_t *p = guarded->end - bytes.n;

	assert_true(bytes.n <= (size_t)(guarded->end - guarded->map));
	if (bytes.n > 0)
		memcpy(p, bytes.p, bytes.n);
	return (struct slice){(const char *)p, bytes.n};
}

static void recording_load(struct recording *recording, const char *path)
{
	static char content[RECORDING_SIZE_MAX];
	FILE *file = fopen(path, "rb");
	struct slice bytes;

	assert_non_null(file);
	bytes = (struct slice){content, fread(content, 1, sizeof(content), file)};
	assert_true(feof(file) && bytes.n > 0);
	assert_int_equal(fclose(file), 0);
	guarded_init(&recording->guarded, bytes.n);
	guarded_copy(&recording->guarded, bytes);
	recording->bytes = recording->guarded.end - bytes.n;
	recording->n = bytes.n;
	assert_true(strlen(path) < strlen(GOLDEN_DIR) + RECORDING_PATH_MAX);
	strcpy(recording->name, path + strlen(GOLDEN_DIR) + 1);
}

void recordings_load(struct recordings *recordings)
{
	glob_t found;

	assert_int_equal(glob(GOLDEN_DIR "/*/*.bin", 0, NULL, &found), 0);
	assert_in_range(found.gl_pathc, 1, RECORDING_FILES_MAX);
	recordings->n = found.gl_pathc;
	for (size_t i = 0; i < recordings->n; i++)
		recording_load(&recordings->files[i], found.gl_pathv[i]);
	globfree(&found);
}

void recordings_free(struct recordings *recordings)
{
	for (size_t i = 0; i < recordings->n; i++)
		guarded_fini(&recordings->files[i].guarded);
}

static void text_print(struct slice text, FILE *out)
{
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c > ' ' && c <= '~' && c != '\\')
			fputc(c, out);
		else
			fprintf(out, "\\x%02x", c);
	}
}

static void address_print(const char *type, int family, const uint8_t *ip, FILE *out)
{
	char text[INET6_ADDRSTRLEN];

	fprintf(out, "%s:%s", type, inet_ntop(family, ip, text, sizeof(text)));
}

static void value_print(const struct spoe_value *value, FILE *out)
{
	switch (value->type) {
	case SPOE_TYPE_NULL:
		fputs("null", out);
		break;
	case SPOE_TYPE_BOOL:
		fprintf(out, "bool:%d", value->flag);
		break;
	case SPOE_TYPE_INT32:
		fprintf(out, "int32:%" PRId64, value->sint);
		break;
	case SPOE_TYPE_UINT32:
		fprintf(out, "uint32:%" PRIu64, value->uint);
		break;
	case SPOE_TYPE_INT64:
		fprintf(out, "int64:%" PRId64, value->sint);
		break;
	case SPOE_TYPE_UINT64:
		fprintf(out, "uint64:%" PRIu64, value->uint);
		break;
	case SPOE_TYPE_IPV4:
		address_print("ipv4", AF_INET, value->ip, out);
		break;
	case SPOE_TYPE_IPV6:
		address_print("ipv6", AF_INET6, value->ip, out);
		break;
	case SPOE_TYPE_STRING:
	case SPOE_TYPE_BINARY:
		fputs(value->type == SPOE_TYPE_STRING ? "string:" : "binary:", out);
		text_print(value->bytes, out);
		break;
	}
}

static void notify_print(const struct spoe_notify *notify, FILE *out)
{
	struct spoe_notify_walk walk;
	struct spoe_message message;
	struct spoe_arg arg;

	fprintf(out, "notify %" PRIu64 "/%" PRIu64 "\n", notify->stream_id, notify->frame_id);
	spoe_notify_begin(notify, &walk);
	while (spoe_notify_next_message(&walk, &message)) {
		fputc('\t', out);
		text_print(message.name, out);
		while (spoe_notify_next_arg(&walk, &arg)) {
			fputc(' ', out);
			text_print(arg.name, out);
			fputc('=', out);
			value_print(&arg.value, out);
		}
		fputc('\n', out);
	}
}

static void hello_print(const struct spoe_hello *hello, FILE *out)
{
	fprintf(out, "hello max-frame-size=%u pipelining=%d async=%d healthcheck=%d engine-id=",
		hello->frame_max, !!(hello->capabilities & SPOE_CAP_PIPELINING),
		!!(hello->capabilities & SPOE_CAP_ASYNC), hello->healthcheck);
	text_print(hello->engine_id, out);
	fputc('\n', out);
}

void recording_print(const struct spoe_session *session, const struct spoe_event *event, FILE *out)
{
	switch (event->type) {
	case SPOE_EVENT_HELLO:
		hello_print(&session->peer, out);
		break;
	case SPOE_EVENT_NOTIFY:
		notify_print(&event->notify, out);
		break;
	case SPOE_EVENT_DISCONNECT:
		fprintf(out, "disconnect %u ", event->disconnect.code);
		text_print(event->disconnect.message, out);
		fputc('\n', out);
		break;
	case SPOE_EVENT_SKIPPED:
		fprintf(out, "skipped %u\n", event->frame_type);
		break;
	}
}

static void assert_within(struct slice part, struct slice whole)
{
	if (part.n == 0)
		return;
	assert_true(part.p >= whole.p && part.n <= whole.n);
	assert_true((size_t)(part.p - whole.p) <= whole.n - part.n);
}

/* notify.h promises that a walk over an accepted list reaches its end. */
static void notify_check(const struct spoe_notify *notify, struct slice frame)
{
	struct spoe_notify_walk walk;
	struct spoe_message message;
	struct spoe_arg arg;
	struct slice bytes;
	unsigned messages = 0;

	assert_within(notify->payload, frame);
	spoe_notify_begin(notify, &walk);
	for (; spoe_notify_next_message(&walk, &message); messages++) {
		unsigned args = 0;

		assert_within(message.name, frame);
		for (; spoe_notify_next_arg(&walk, &arg); args++) {
			assert_within(arg.name, frame);
			if (spoe_value_get_bytes(&arg.value, &bytes) == 0)
				assert_within(bytes, frame);
		}
		assert_int_equal(args, message.args);
	}
	assert_int_equal(messages, notify->messages);
	assert_int_equal(spoe_reader_left(&walk.reader), 0);
}

static void event_check(const struct spoe_event *event, struct slice frame)
{
	if (event->type == SPOE_EVENT_NOTIFY)
		notify_check(&event->notify, frame);
	if (event->type == SPOE_EVENT_DISCONNECT)
		assert_within(event->disconnect.message, frame);
}

void recording_play(struct slice in, FILE *out, struct outcome *ret_outcome)
{
	struct outcome *outcome = ret_outcome;
	struct spoe_session session;
	struct spoe_event event;
	size_t consumed;

	*outcome = (struct outcome){0};
	spoe_session_init(&session, SPOE_FRAME_MAX);
	for (;;) {
		const struct slice rest = slice_skip(in, outcome->consumed);

		outcome->answer = spoe_session_next(&session, rest, &consumed, &event);
		outcome->status = session.status;
		outcome->consumed += consumed;
		assert_true(outcome->consumed <= in.n);
		if (outcome->answer != SPOE_OK)
			return;
		event_check(&event, slice_cut(rest, consumed));
		if (out)
			recording_print(&session, &event, out);
		assert_true(outcome->n_events < RECORDING_EVENTS_MAX);
		outcome->ends[outcome->n_events++] = outcome->consumed;
	}
}
