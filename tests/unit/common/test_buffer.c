#include "common/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void an_empty_buffer_is_an_empty_text(void **state)
{
	struct buffer b = {0};

	(void)state;
	assert_string_equal(buffer_str(&b), "");
	assert_int_equal(buffer_slice(&b).n, 0);
	buffer_clear(&b);
	buffer_fini(&b);
	buffer_append(&b, NULL, 0);
	assert_string_equal(buffer_str(&b), "");
	buffer_fini(&b);
}

static void what_is_appended_stays_in_order(void **state)
{
	struct buffer b = {0};
	char *expected = malloc(100001);

	(void)state;
	for (size_t i = 0; i < 100000; i++) {
		char c = (char)('a' + i % 26);
		expected[i] = c;
		if (i % 3 == 0)
			buffer_append(&b, &c, 1);
		else
			buffer_printf(&b, "%c", c);
		assert_int_equal(b.data[b.len], '\0');
	}
	expected[100000] = '\0';
	assert_int_equal(buffer_error(&b), 0);
	assert_string_equal(buffer_str(&b), expected);
	free(expected);
	buffer_fini(&b);
}

static void formatted_text_of_every_length_is_whole(void **state)
{
	struct buffer b = {0};

	(void)state;
	for (int n = 0; n < 1100; n++) {
		buffer_clear(&b);
		buffer_append_str(&b, "x");
		buffer_printf(&b, "%*s", n, "");
		assert_int_equal(b.len, n + 1);
		assert_int_equal(strlen(buffer_str(&b)), n + 1);
		buffer_fini(&b);
	}
}

static void the_maximum_is_the_last_byte_that_fits(void **state)
{
	struct buffer b;

	(void)state;
	buffer_init(&b, 10);
	buffer_append_str(&b, "0123456789");
	assert_int_equal(buffer_error(&b), 0);
	buffer_append(&b, "", 0);
	assert_int_equal(buffer_error(&b), 0);
	buffer_append_str(&b, "x");
	assert_int_equal(buffer_error(&b), -EFBIG);
	buffer_fini(&b);
}

static void the_first_failure_sticks(void **state)
{
	struct buffer b;

	(void)state;
	buffer_init(&b, 4);
	buffer_append_str(&b, "abc");
	buffer_append_str(&b, "too much");
	buffer_append_str(&b, "d");
	buffer_printf(&b, "%d", 1);
	assert_true(buffer_extend(&b, 1) == SIZE_MAX);
	assert_int_equal(buffer_error(&b), -EFBIG);
	assert_string_equal(buffer_str(&b), "abc");
	buffer_clear(&b);
	buffer_append_str(&b, "d");
	assert_int_equal(buffer_error(&b), 0);
	assert_string_equal(buffer_str(&b), "d");
	buffer_fini(&b);
	buffer_append_str(&b, "abcde");
	assert_int_equal(buffer_error(&b), -EFBIG);
	buffer_fini(&b);
}

static void an_extension_is_zeroed_after_reuse(void **state)
{
	struct buffer b = {0};

	(void)state;
	for (int i = 0; i < 200; i++)
		buffer_append_str(&b, "x");
	buffer_clear(&b);
	buffer_append_str(&b, "ab");
	assert_int_equal(buffer_extend(&b, 64), 2);
	for (size_t i = 2; i < 66; i++)
		assert_int_equal(b.data[i], 0);
	assert_int_equal(buffer_extend(&b, SIZE_MAX), SIZE_MAX);
	buffer_fini(&b);
}

static void a_file_is_read_whole_or_not(void **state)
{
	char path[] = "/tmp/relay-buffer-XXXXXX";
	int fd = mkstemp(path);
	struct buffer b = {0};
	char block[40000];

	(void)state;
	memset(block, 'b', sizeof(block));
	assert_int_equal(write(fd, block, sizeof(block)), sizeof(block));
	close(fd);
	assert_int_equal(buffer_read_file(&b, path, sizeof(block)), 0);
	assert_int_equal(b.len, sizeof(block));
	assert_memory_equal(b.data, block, sizeof(block));
	buffer_clear(&b);
	assert_int_equal(buffer_read_file(&b, path, sizeof(block) - 1), -EFBIG);
	unlink(path);
	buffer_clear(&b);
	assert_int_equal(buffer_read_file(&b, path, 1), -ENOENT);
	assert_int_equal(buffer_read_file(&b, "/", 1000), -EISDIR);
	assert_int_equal(buffer_read_file(&b, "/dev/zero", 1000), -EFBIG);
	buffer_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_buffer_is_an_empty_text),
		cmocka_unit_test(what_is_appended_stays_in_order),
		cmocka_unit_test(formatted_text_of_every_length_is_whole),
		cmocka_unit_test(the_maximum_is_the_last_byte_that_fits),
		cmocka_unit_test(the_first_failure_sticks),
		cmocka_unit_test(an_extension_is_zeroed_after_reuse),
		cmocka_unit_test(a_file_is_read_whole_or_not),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
