#include "common/slice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define S(text) SLICE_LITERAL(text)

static void equal_means_every_byte(void **state)
{
	(void)state;
	assert_true(slice_eq(S("abc"), S("abc")));
	assert_false(slice_eq(S("abc"), S("abcd")));
	assert_false(slice_eq(S("a\0b"), S("a\0c")));
	assert_true(slice_eq((struct slice){NULL, 0}, S("")));
	assert_true(slice_eq_str((struct slice){NULL, 0}, NULL));
	assert_int_equal(slice_from_str(NULL).n, 0);
}

static void case_is_ignored_for_letters_alone(void **state)
{
	(void)state;
	assert_true(slice_eq_nocase(S("X-Api-Key"), S("x-aPI-kEY")));
	assert_false(slice_eq_nocase(S("x-api-key"), S("x-api-kex")));
	assert_false(slice_eq_nocase(S("["), S("{")));
	assert_false(slice_eq_nocase(S("@"), S("`")));
	assert_false(slice_eq_nocase(S("\xc4"), S("\xe4")));
	assert_true(slice_eq_nocase((struct slice){NULL, 0}, S("")));
}

static void a_nul_does_not_end_a_comparison(void **state)
{
	(void)state;
	assert_false(slice_eq_nocase(S("host\0a"), S("host\0b")));
	assert_true(slice_eq_nocase(S("host\0A"), S("host\0a")));
}

static void a_prefix_is_no_longer_than_its_text(void **state)
{
	(void)state;
	assert_true(slice_has_prefix(S("relay"), S("re")));
	assert_true(slice_has_prefix(S("relay"), (struct slice){NULL, 0}));
	assert_false(slice_has_prefix(S("re"), S("relay")));
	assert_false(slice_has_prefix((struct slice){NULL, 0}, S("r")));
}

static void skipping_and_cutting_stay_inside(void **state)
{
	struct slice s = S("relay");

	(void)state;
	assert_true(slice_eq_str(slice_skip(s, 2), "lay"));
	assert_int_equal(slice_skip(s, 5).n, 0);
	assert_int_equal(slice_skip(s, SIZE_MAX).n, 0);
	assert_true(slice_eq_str(slice_cut(s, 2), "re"));
	assert_true(slice_eq_str(slice_cut(s, SIZE_MAX), "relay"));
	assert_int_equal(slice_skip((struct slice){NULL, 0}, 1).n, 0);
}

static size_t count_fields(struct slice rest, struct slice *fields, size_t max)
{
	size_t n = 0;

	while (n < max && slice_next(&rest, ',', &fields[n]))
		n++;
	return n;
}

static void fields_may_be_empty_at_every_place(void **state)
{
	struct slice fields[8];

	(void)state;
	assert_int_equal(count_fields(S(",a,,b,"), fields, 8), 5);
	assert_int_equal(fields[0].n, 0);
	assert_true(slice_eq_str(fields[1], "a"));
	assert_int_equal(fields[2].n, 0);
	assert_true(slice_eq_str(fields[3], "b"));
	assert_int_equal(fields[4].n, 0);
	assert_int_equal(count_fields(S(""), fields, 8), 1);
	assert_int_equal(count_fields((struct slice){NULL, 0}, fields, 8), 0);
}

static void blanks_go_from_both_ends_alone(void **state)
{
	(void)state;
	assert_true(slice_eq_str(slice_trim(S(" \t a b\r\n")), "a b"));
	assert_int_equal(slice_trim(S(" \t\r\n ")).n, 0);
	assert_int_equal(slice_trim((struct slice){NULL, 0}).n, 0);
	assert_true(slice_eq(slice_trim(S("\0 a")), S("\0 a")));
}

static void secrets_differ_in_any_bit(void **state)
{
	char text[] = "0123456789abcdef";
	struct slice secret = S("0123456789abcdef");

	(void)state;
	assert_true(slice_eq_secret(slice_from_str(text), secret));
	for (size_t i = 0; i < secret.n * 8; i++) {
		text[i / 8] = (char)(text[i / 8] ^ (1 << i % 8));
		assert_false(slice_eq_secret((struct slice){text, secret.n}, secret));
		text[i / 8] = (char)(text[i / 8] ^ (1 << i % 8));
	}
	assert_false(slice_eq_secret(slice_cut(secret, 15), secret));
	assert_true(slice_eq_secret((struct slice){NULL, 0}, S("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_means_every_byte),
		cmocka_unit_test(case_is_ignored_for_letters_alone),
		cmocka_unit_test(a_nul_does_not_end_a_comparison),
		cmocka_unit_test(a_prefix_is_no_longer_than_its_text),
		cmocka_unit_test(skipping_and_cutting_stay_inside),
		cmocka_unit_test(fields_may_be_empty_at_every_place),
		cmocka_unit_test(blanks_go_from_both_ends_alone),
		cmocka_unit_test(secrets_differ_in_any_bit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
