#include "common/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
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
		cmocka_unit_test(levels_have_four_exact_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
