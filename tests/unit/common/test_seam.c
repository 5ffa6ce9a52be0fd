#include "common/seam.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

static void names_are_short_lower_case_and_unlike(void **state)
{
	(void)state;
	for (int a = 0; a < SEAM_ARG_COUNT; a++) {
		const char *name = seam_arg_name((enum seam_arg)a);
		assert_true(name[0] && strlen(name) <= 16);
		for (const char *c = name; *c; c++)
			assert_true(islower((unsigned char)*c) || isdigit((unsigned char)*c));
		for (int b = 0; b < a; b++)
			assert_string_not_equal(name, seam_arg_name((enum seam_arg)b));
	}
	for (int a = 0; a < SEAM_VAR_COUNT; a++) {
		const char *name = seam_var_name((enum seam_var)a);
		/* h_ begins the variables of extra headers */
		assert_true(name[0] && strlen(name) <= 16 && strncmp(name, "h_", 2) != 0);
		for (int b = 0; b < a; b++)
			assert_string_not_equal(name, seam_var_name((enum seam_var)b));
	}
}

static void every_text_argument_has_a_bound(void **state)
{
	(void)state;
	assert_int_equal(seam_arg_max(SEAM_ARG_HEAD), 32768);
	assert_int_equal(seam_arg_max(SEAM_ARG_PATH), 8192);
	assert_int_equal(seam_arg_max(SEAM_ARG_SECRET), SEAM_SECRET_MAX);
	assert_int_equal(seam_arg_max(SEAM_ARG_SRC), 0);
	assert_int_equal(seam_arg_max(SEAM_ARG_GEN), 0);
}

/* FNV-1a with 32 bits: the published values of "", "a" and "foobar". */
static void a_header_variable_is_the_published_hash(void **state)
{
	char out[SEAM_HEADER_VAR_SIZE];

	(void)state;
	assert_string_equal(seam_header_var("", out), "h_811c9dc5");
	assert_string_equal(seam_header_var("a", out), "h_e40c292c");
	assert_string_equal(seam_header_var("foobar", out), "h_bf9cf968");
	assert_string_equal(seam_header_var("FooBar", out), "h_bf9cf968");
	assert_string_not_equal(seam_header_var("foobaz", out), "h_bf9cf968");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_short_lower_case_and_unlike),
		cmocka_unit_test(every_text_argument_has_a_bound),
		cmocka_unit_test(a_header_variable_is_the_published_hash),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
