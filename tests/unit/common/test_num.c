#include "common/num.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#define BAD UINT64_C(0xdead)

static void the_last_number_that_fits_is_taken(void **state)
{
	uint64_t n = BAD;
	int64_t i = 0;

	(void)state;
	assert_int_equal(num_parse_u64(SLICE_LITERAL("10"), 10, &n), 0);
	assert_int_equal(n, 10);
	assert_int_equal(num_parse_u64(SLICE_LITERAL("000000000000000000000000000007"), 10, &n), 0);
	assert_int_equal(n, 7);
	assert_int_equal(num_parse_i64(SLICE_LITERAL("9223372036854775807"), &i), 0);
	assert_true(i == INT64_MAX);
	assert_int_equal(num_parse_i64(SLICE_LITERAL("-9223372036854775807"), &i), 0);
	assert_true(i == -INT64_MAX);
	assert_int_equal(num_parse_i64(SLICE_LITERAL("9223372036854775808"), &i), -ERANGE);
	const char *bad[] = {"", "-", "--1", "+1", "- 1", "1-"};
	for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++)
		assert_int_equal(num_parse_i64(slice_from_str(bad[k]), &i), -EINVAL);
}

static void a_refused_text_leaves_the_result_alone(void **state)
{
	uint64_t n = BAD;
	uint32_t ppm = 5;

	(void)state;
	assert_int_not_equal(num_parse_u64(SLICE_LITERAL("1\0"
							 "2"),
				     UINT64_MAX, &n),
		0);
	assert_int_not_equal(num_parse_u64((struct slice){NULL, 0}, UINT64_MAX, &n), 0);
	assert_int_not_equal(num_parse_duration(SLICE_LITERAL("11s"), 10000, &n), 0);
	assert_int_not_equal(num_parse_size(SLICE_LITERAL("1 k"), UINT64_MAX, &n), 0);
	assert_true(n == BAD);
	assert_int_not_equal(num_parse_fraction(SLICE_LITERAL("1.000001"), &ppm), 0);
	assert_int_equal(ppm, 5);
}

static void units_multiply_and_never_wrap(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} durations[] = {{"0", 0}, {"7", 7000}, {"250ms", 250}, {"10s", 10000}, {"5m", 300000},
		{"1h", 3600000}, {"30d", UINT64_C(2592000000)},
		{"213503982334d", UINT64_C(18446744073657600000)}};
	uint64_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
		assert_int_equal(
			num_parse_duration(slice_from_str(durations[i].text), UINT64_MAX, &n), 0);
		assert_true(n == durations[i].ms);
	}
	assert_int_equal(
		num_parse_duration(SLICE_LITERAL("213503982335d"), UINT64_MAX, &n), -ERANGE);
	assert_int_equal(num_parse_duration(SLICE_LITERAL("10s"), 10000, &n), 0);
	const char *bad[] = {"", "s", "1S", "1 s", "1sec", "-1s", "1.5h", "ms", "1mss", "1h30m"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
			num_parse_duration(slice_from_str(bad[i]), UINT64_MAX, &n), -EINVAL);
}

static void sizes_are_powers_of_1024(void **state)
{
	uint64_t n;

	(void)state;
	assert_int_equal(num_parse_size(SLICE_LITERAL("4096"), UINT64_MAX, &n), 0);
	assert_int_equal(n, 4096);
	assert_int_equal(num_parse_size(SLICE_LITERAL("64k"), UINT64_MAX, &n), 0);
	assert_int_equal(n, 65536);
	assert_int_equal(num_parse_size(SLICE_LITERAL("10M"), UINT64_MAX, &n), 0);
	assert_int_equal(n, 10485760);
	assert_int_equal(num_parse_size(SLICE_LITERAL("17179869183G"), UINT64_MAX, &n), 0);
	assert_int_equal(num_parse_size(SLICE_LITERAL("17179869184G"), UINT64_MAX, &n), -ERANGE);
	assert_int_equal(num_parse_size(SLICE_LITERAL("1kb"), UINT64_MAX, &n), -EINVAL);
	assert_int_equal(num_parse_size(SLICE_LITERAL("k"), UINT64_MAX, &n), -EINVAL);
}

static void fractions_are_exact(void **state)
{
	static const struct {
		const char *text;
		uint32_t ppm;
	} good[] = {{"0", 0}, {"1", 1000000}, {"1.0", 1000000}, {"0.7", 700000}, {"0.000001", 1},
		{"0.999999", 999999}, {"0.05", 50000}, {"1.000000", 1000000}};
	const char *bad[] = {"", ".", ".5", "1.", "2", "0.0000001", "-0.1", "0,5", "0.5.5",
		"1.000001", "0.1e1", " 0.1"};
	uint32_t ppm;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(num_parse_fraction(slice_from_str(good[i].text), &ppm), 0);
		assert_int_equal(ppm, good[i].ppm);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_not_equal(num_parse_fraction(slice_from_str(bad[i]), &ppm), 0);
}

static void decimals_are_cut_after_millionths(void **state)
{
	static const struct {
		const char *text;
		uint64_t micro;
	} good[] = {{"0", 0}, {"100", 100000000}, {"12.5", 12500000}, {"0.000001", 1},
		{"0.99999999999999999999999", 999999}};
	const char *bad[] = {"", ".", ".5", "1.", "-1", "+1", "1e3", "1,5", "1.5.5", "1.-5", "NaN",
		"inf", " 1", "1 ", "0x10"};
	uint64_t micro = BAD;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(num_parse_decimal(slice_from_str(good[i].text), 1000, &micro), 0);
		assert_int_equal(micro, good[i].micro);
	}
	assert_int_equal(num_parse_decimal(SLICE_LITERAL("1001.0"), 1000, &micro), -ERANGE);
	assert_int_equal(num_parse_decimal(SLICE_LITERAL("4294967295"), UINT32_MAX, &micro), 0);
	assert_int_equal(micro, UINT64_C(4294967295000000));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
			num_parse_decimal(slice_from_str(bad[i]), UINT32_MAX, &micro), -EINVAL);
	assert_int_equal(micro, UINT64_C(4294967295000000));
}

static void durations_are_written_in_the_largest_exact_unit(void **state)
{
	char text[NUM_DURATION_SIZE];
	uint64_t n;

	(void)state;
	assert_string_equal(num_format_duration(0, text), "0");
	assert_string_equal(num_format_duration(90000, text), "90s");
	assert_string_equal(num_format_duration(3600000, text), "1h");
	assert_string_equal(num_format_duration(UINT64_C(172800000), text), "2d");
	assert_string_equal(num_format_duration(1001, text), "1001ms");
	num_format_duration(UINT64_MAX, text);
	assert_int_equal(num_parse_duration(slice_from_str(text), UINT64_MAX, &n), 0);
	assert_true(n == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_number_that_fits_is_taken),
		cmocka_unit_test(a_refused_text_leaves_the_result_alone),
		cmocka_unit_test(units_multiply_and_never_wrap),
		cmocka_unit_test(sizes_are_powers_of_1024),
		cmocka_unit_test(fractions_are_exact),
		cmocka_unit_test(decimals_are_cut_after_millionths),
		cmocka_unit_test(durations_are_written_in_the_largest_exact_unit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
