#include "common/errtext.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

static void the_code_comes_back_with_or_without_a_place(void **state)
{
	struct errtext e;

	(void)state;
	assert_int_equal(errtext_set(NULL, -EINVAL, "%d", 1), -EINVAL);
	assert_int_equal(errtext_prefix(NULL, -EINVAL, "%d", 1), -EINVAL);
	assert_int_equal(errtext_set(&e, -EIO, "line %d", 7), -EIO);
	assert_int_equal(errtext_prefix(&e, -EPERM, "file %s", "f"), -EPERM);
	assert_string_equal(e.text, "file f: line 7");
}

static void a_text_that_is_too_long_is_cut(void **state)
{
	char text[ERRTEXT_SIZE * 2];
	struct errtext e;

	(void)state;
	for (size_t n = ERRTEXT_SIZE - 8; n < ERRTEXT_SIZE + 8; n++) {
		memset(text, 'x', n);
		text[n] = '\0';
		errtext_set(&e, 0, "%s", text);
		assert_int_equal(strlen(e.text), n < ERRTEXT_SIZE ? n : ERRTEXT_SIZE - 1);
		errtext_prefix(&e, 0, "p");
		assert_true(strncmp(e.text, "p: xxx", 6) == 0);
		assert_int_equal(strlen(e.text), n + 3 < ERRTEXT_SIZE ? n + 3 : ERRTEXT_SIZE - 1);
		errtext_set(&e, 0, "end");
		errtext_prefix(&e, 0, "%s", text);
		assert_true(strlen(e.text) < ERRTEXT_SIZE);
		assert_true(strncmp(e.text, "xxx", 3) == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_code_comes_back_with_or_without_a_place),
		cmocka_unit_test(a_text_that_is_too_long_is_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
