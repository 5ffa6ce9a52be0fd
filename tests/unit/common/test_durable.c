/* Durable writes: all of the text, or an error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static void the_whole_text_is_in_the_file(void **state)
{
	char path[] = "/tmp/relay-durable-XXXXXX";
	char read_back[16] = "";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(durable_write(fd, SLICE_LITERAL("first, ")), 0);
	assert_int_equal(durable_write(fd, SLICE_LITERAL("second")), 0);
	assert_int_equal(pread(fd, read_back, sizeof(read_back), 0), 13);
	assert_string_equal(read_back, "first, second");
	close(fd);
	unlink(path);
}

static void a_failed_write_is_an_error(void **state)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	int readable = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(durable_write(full, SLICE_LITERAL("x")), -ENOSPC);
	assert_int_equal(durable_write(readable, SLICE_LITERAL("x")), -EBADF);
	close(full);
	close(readable);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_whole_text_is_in_the_file),
		cmocka_unit_test(a_failed_write_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
