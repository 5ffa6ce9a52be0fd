#include "common/log.h"
#include "common/sink.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096

struct capture {
	char path[32];
	int fd;
	int saved;
};

static void capture_start(struct capture *c)
{
	strcpy(c->path, "/tmp/relay-log-XXXXXX");
	c->fd = mkstemp(c->path);
	assert_true(c->fd >= 0);
	c->saved = dup(STDERR_FILENO);
	dup2(c->fd, STDERR_FILENO);
	log_init("agent", LOG_LEVEL_INFO);
}

/* The logged text, NUL-terminated; the caller frees it. */
static char *capture_stop(struct capture *c)
{
	char *text = calloc(1, 1 << 20);

	dup2(c->saved, STDERR_FILENO);
	close(c->saved);
	assert_true(pread(c->fd, text, (1 << 20) - 1, 0) >= 0);
	close(c->fd);
	unlink(c->path);
	return text;
}

/* Exactly one line of bounded length and one JSON object in it. */
static json_object *parse_line(const char *text)
{
	struct json_tokener *t = json_tokener_new();
	const char *end = strchr(text, '\n');

	json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	assert_non_null(end);
	assert_int_equal(end[1], '\0');
	assert_true(end - text < LINE_MAX_BYTES);
	json_object *o = json_tokener_parse_ex(t, text, (int)(end - text));
	if (!json_object_is_type(o, json_type_object))
		fail_msg("not a JSON object: %s", text);
	json_tokener_free(t);
	return o;
}

static const char *text_of(json_object *o, const char *name)
{
	json_object *value = NULL;

	return json_object_object_get_ex(o, name, &value) ? json_object_get_string(value) : NULL;
}

static void a_line_has_time_level_role_and_fields(void **state)
{
	struct capture c;

	(void)state;
	capture_start(&c);
	log_event(LOG_LEVEL_WARNING, "it happened", LOG_STR("from", "a"), LOG_INT("n", INT64_MIN),
		LOG_ERROR_CODE(-ENOENT), LOG_STR("none", NULL));
	char *text = capture_stop(&c);
	json_object *o = parse_line(text);
	assert_string_equal(text_of(o, "level"), "warning");
	assert_string_equal(text_of(o, "role"), "agent");
	assert_string_equal(text_of(o, "msg"), "it happened");
	assert_string_equal(text_of(o, "from"), "a");
	assert_string_equal(text_of(o, "n"), "-9223372036854775808");
	assert_string_equal(text_of(o, "error"), strerror(ENOENT));
	assert_string_equal(text_of(o, "none"), "");
	assert_int_equal(strlen(text_of(o, "time")), strlen("2026-01-02T03:04:05.678Z"));
	json_object_put(o);
	free(text);
}

static void every_byte_in_a_value_keeps_the_line_json(void **state)
{
	(void)state;
	for (int byte = 0; byte < 256; byte++) {
		char value[] = {'a', (char)byte, 'b'};
		struct capture c;
		capture_start(&c);
		log_event(LOG_LEVEL_INFO, "m", LOG_SLICE("v", ((struct slice){value, 3})),
			LOG_INT("after", 1));
		char *text = capture_stop(&c);
		json_object *o = parse_line(text);
		assert_string_equal(text_of(o, "after"), "1");
		if (byte > 0 && byte < 0x80)
			assert_memory_equal(text_of(o, "v"), value, 3);
		json_object_put(o);
		free(text);
	}
}

static void a_value_cannot_forge_a_field(void **state)
{
	struct capture c;

	(void)state;
	capture_start(&c);
	log_event(LOG_LEVEL_INFO, "m", LOG_STR("v", "x\",\"level\":\"error\"}\n{\"forged\":\"1"));
	char *text = capture_stop(&c);
	json_object *o = parse_line(text);
	assert_string_equal(text_of(o, "level"), "info");
	assert_null(text_of(o, "forged"));
	json_object_put(o);
	free(text);
}

/* Lengths around the end of the line, of bytes that are written as one, two and six. */
static void a_long_value_is_left_out_whole(void **state)
{
	static const char bytes[] = {'x', '"', '\x01'};
	static const size_t widths[] = {1, 2, 6};
	char *value = malloc(LINE_MAX_BYTES * 2);

	(void)state;
	for (size_t k = 0; k < sizeof(bytes); k++) {
		memset(value, bytes[k], LINE_MAX_BYTES * 2);
		for (size_t n = (LINE_MAX_BYTES - 200) / widths[k];
			n < LINE_MAX_BYTES / widths[k] + 20; n++) {
			struct capture c;
			capture_start(&c);
			log_event(LOG_LEVEL_INFO, "m", LOG_INT("before", 1),
				LOG_SLICE("v", ((struct slice){value, n})));
			char *text = capture_stop(&c);
			json_object *o = parse_line(text);
			const char *written = text_of(o, "v");
			assert_string_equal(text_of(o, "before"), "1");
			assert_true(!written || strlen(written) == n);
			json_object_put(o);
			free(text);
		}
	}
	free(value);
}

static void a_long_message_is_cut_and_closed(void **state)
{
	char *message = malloc(LINE_MAX_BYTES * 2 + 1);

	(void)state;
	for (size_t n = LINE_MAX_BYTES - 200; n < LINE_MAX_BYTES + 20; n++) {
		struct capture c;
		memset(message, 'm', n);
		message[n] = '\0';
		message[n - 1] = '"';
		capture_start(&c);
		log_write(LOG_LEVEL_ERROR, message, NULL);
		char *text = capture_stop(&c);
		json_object_put(parse_line(text));
		free(text);
	}
	free(message);
}

static void the_level_decides_what_is_written(void **state)
{
	struct capture c;

	(void)state;
	capture_start(&c);
	log_write(LOG_LEVEL_DEBUG, "hidden", NULL);
	assert_false(log_is_on(LOG_LEVEL_DEBUG));
	log_set_level(LOG_LEVEL_ERROR);
	log_write(LOG_LEVEL_WARNING, "hidden", NULL);
	log_set_level(LOG_LEVEL_DEBUG);
	assert_true(log_is_on(LOG_LEVEL_DEBUG));
	log_write(LOG_LEVEL_DEBUG, "shown", NULL);
	char *text = capture_stop(&c);
	json_object *o = parse_line(text);
	assert_string_equal(text_of(o, "msg"), "shown");
	json_object_put(o);
	free(text);
}

/* --- readers that do not read --- */

struct stream {
	int reader;
	int saved;
};

static void stream_start(struct stream *s, bool is_socket)
{
	int fds[2];

	if (is_socket)
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	else
		assert_int_equal(pipe(fds), 0);
	s->reader = fds[0];
	s->saved = dup(STDERR_FILENO);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	log_init("agent", LOG_LEVEL_INFO);
}

static void stream_stop(struct stream *s)
{
	dup2(s->saved, STDERR_FILENO);
	close(s->saved);
	close(s->reader);
	log_init("test", LOG_LEVEL_INFO);
}

/* Everything that waits in the stream, NUL-terminated; the caller frees it. */
static char *drain(struct stream *s)
{
	char *text = calloc(1, 4 << 20);
	size_t n = 0;
	ssize_t got = 0;

	while ((got = recv(s->reader, text + n, (4 << 20) - 1 - n, MSG_DONTWAIT)) > 0)
		n += (size_t)got;
	if (n == 0 && got < 0 && errno == ENOTSOCK) {
		assert_int_equal(fcntl(s->reader, F_SETFL, O_NONBLOCK), 0);
		while ((got = read(s->reader, text + n, (4 << 20) - 1 - n)) > 0)
			n += (size_t)got;
	}
	return text;
}

static size_t lines_in(const char *text)
{
	size_t n = 0;

	while ((text = strchr(text, '\n'))) {
		n++;
		text++;
	}
	return n;
}

static void fill(uint64_t lines)
{
	for (uint64_t i = 0; i < lines; i++)
		log_event(LOG_LEVEL_INFO, "one of many", LOG_INT("i", i));
}

/* A writer that blocked would hang here: nobody reads. */
static void a_reader_that_stops_costs_lines_and_never_time(void **state)
{
	const uint64_t many = 20000;

	(void)state;
	for (int is_socket = 0; is_socket < 2; is_socket++) {
		struct stream s;
		stream_start(&s, is_socket);
		uint64_t before = log_dropped();
		fill(many);
		uint64_t dropped = log_dropped() - before;
		assert_in_range(dropped, 1, many - 1);
		char *text = drain(&s);
		assert_int_equal(lines_in(text), many - dropped);
		assert_int_equal(text[strlen(text) - 1], '\n'); /* no line is cut */
		free(text);
		log_write(LOG_LEVEL_INFO, "after", NULL);
		text = drain(&s);
		char count[32];
		snprintf(count, sizeof(count), "\"count\":%llu}", (unsigned long long)dropped);
		assert_int_equal(lines_in(text), 2);
		assert_non_null(strstr(text, count));
		assert_non_null(strstr(text, "\"msg\":\"after\""));
		assert_int_equal(log_dropped() - before, dropped);
		/* other programs that share stderr may block as before */
		assert_int_equal(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0);
		free(text);
		stream_stop(&s);
	}
}

static void a_stream_leaves_low_descriptors_to_the_next_program(void **state)
{
	struct sink sink = {0};
	struct stream s;

	(void)state;
	stream_start(&s, false);
	sink_open(&sink);
	assert_true(sink.fd >= SINK_FD_MIN);
	assert_true(fcntl(sink.fd, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(sink.fd, F_GETFL) & O_NONBLOCK);
	close(sink.fd);
	stream_stop(&s);
}

static void the_count_of_dropped_lines_is_shared_with_children(void **state)
{
	struct stream s;
	int status = 1;

	(void)state;
	stream_start(&s, false);
	fill(20000);
	uint64_t before = log_dropped();
	pid_t pid = fork();
	if (pid == 0) {
		log_set_role("child");
		fill(50);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(log_dropped() - before, 50);
	stream_stop(&s);
}

/* --- the journal --- */

static void set_journal(const struct stat *st, int beside)
{
	char text[64];

	snprintf(text, sizeof(text), "%llu:%llu", (unsigned long long)st->st_dev,
		(unsigned long long)st->st_ino + (unsigned)beside);
	setenv("JOURNAL_STREAM", text, 1);
	log_init("agent", LOG_LEVEL_DEBUG);
}

static void the_journal_gets_priorities(void **state)
{
	static const char *const begins[] = {"<3>{", "<4>{", "<6>{", "<7>{"};
	struct stream s;
	struct stat st;

	(void)state;
	stream_start(&s, true);
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	set_journal(&st, 0);
	for (unsigned level = 0; level < 4; level++) {
		log_event((enum log_level)level, "m", LOG_INT("n", 1));
		char *text = drain(&s);
		assert_memory_equal(text, begins[level], 4);
		json_object_put(parse_line(text + 3));
		free(text);
	}
	unsetenv("JOURNAL_STREAM");
	stream_stop(&s);
}

/* The variable is inherited: a program whose stderr leads elsewhere must not write priorities. */
static void another_stream_gets_none(void **state)
{
	static const char *const bad[] = {"", ":", "1", "x:y", "1:2:3", "18446744073709551616:1"};
	struct stream s;
	struct stat st;

	(void)state;
	stream_start(&s, true);
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	set_journal(&st, 1);
	log_write(LOG_LEVEL_INFO, "m", NULL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		setenv("JOURNAL_STREAM", bad[i], 1);
		log_init("agent", LOG_LEVEL_INFO);
		log_write(LOG_LEVEL_INFO, "m", NULL);
	}
	char *text = drain(&s);
	assert_int_equal(lines_in(text), 1 + sizeof(bad) / sizeof(bad[0]));
	assert_null(strchr(text, '<'));
	free(text);
	unsetenv("JOURNAL_STREAM");
	stream_stop(&s);
}

static void levels_have_four_exact_names(void **state)
{
	static const char *const names[] = {"error", "warning", "info", "debug"};
	static const char *const bad[] = {"", "Error", "err", "warn", "infos", " info"};
	enum log_level level = LOG_LEVEL_DEBUG;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(log_level_parse(slice_from_str(names[i]), &level), 0);
		assert_int_equal(level, i);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(log_level_parse(slice_from_str(bad[i]), &level), -EINVAL);
	assert_int_equal(level, LOG_LEVEL_DEBUG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_has_time_level_role_and_fields),
		cmocka_unit_test(every_byte_in_a_value_keeps_the_line_json),
		cmocka_unit_test(a_value_cannot_forge_a_field),
		cmocka_unit_test(a_long_value_is_left_out_whole),
		cmocka_unit_test(a_long_message_is_cut_and_closed),
		cmocka_unit_test(the_level_decides_what_is_written),
		cmocka_unit_test(a_reader_that_stops_costs_lines_and_never_time),
		cmocka_unit_test(a_stream_leaves_low_descriptors_to_the_next_program),
		cmocka_unit_test(the_count_of_dropped_lines_is_shared_with_children),
		cmocka_unit_test(the_journal_gets_priorities),
		cmocka_unit_test(another_stream_gets_none),
		cmocka_unit_test(levels_have_four_exact_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
