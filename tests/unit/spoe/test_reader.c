#include "tests/unit/spoe/cmocka_env.h"

#include "spoe/reader.h"

static struct spoe_reader reader_of(const char *bytes, size_t n)
{
	struct spoe_reader reader;

	spoe_reader_init(&reader, (struct slice){bytes, n});
	return reader;
}

static void reads_in_order_until_nothing_is_left(void **state)
{
	struct spoe_reader reader = reader_of("\x07\x01\x02\x03\x04\xf0\x01\x03"
					      "abcde",
		13);
	struct slice bytes;
	uint64_t number;
	uint32_t word;
	uint8_t byte;

	(void)state;
	assert_int_equal(spoe_reader_u8(&reader, &byte), 0);
	assert_int_equal(byte, 7);
	assert_int_equal(spoe_reader_u32(&reader, &word), 0);
	assert_int_equal(word, 0x01020304);
	assert_int_equal(spoe_reader_varint(&reader, &number), 0);
	assert_int_equal(number, 256);
	assert_int_equal(spoe_reader_string(&reader, &bytes), 0);
	assert_true(slice_eq_str(bytes, "abc"));
	assert_int_equal(spoe_reader_bytes(&reader, 2, &bytes), 0);
	assert_true(slice_eq_str(bytes, "de"));
	assert_int_equal(spoe_reader_left(&reader), 0);
}

static void refuses_what_passes_the_end_and_stays_where_it_was(void **state)
{
	struct spoe_reader reader = reader_of("\xf0\x80\x80", 3);
	struct slice bytes = {NULL, 77};
	uint64_t number = 77;
	uint32_t word = 77;

	(void)state;
	assert_int_equal(spoe_reader_u32(&reader, &word), -EBADMSG);
	assert_int_equal(spoe_reader_varint(&reader, &number), -EBADMSG);
	assert_int_equal(spoe_reader_string(&reader, &bytes), -EBADMSG);
	assert_int_equal(spoe_reader_bytes(&reader, 4, &bytes), -EBADMSG);
	assert_int_equal(spoe_reader_bytes(&reader, SIZE_MAX, &bytes), -EBADMSG);
	assert_int_equal(spoe_reader_left(&reader), 3);
	assert_int_equal(word, 77);
	assert_int_equal(number, 77);
	assert_int_equal(bytes.n, 77);
}

static void refuses_a_string_longer_than_what_is_left(void **state)
{
	struct spoe_reader reader = reader_of("\x04"
					      "abc",
		4);
	struct spoe_reader huge = reader_of("\xff\xf0\xfe\xfe\xfe\xfe\xfe\xfe\xfe\x0e"
					    "abc",
		13);
	struct slice bytes;

	(void)state;
	assert_int_equal(spoe_reader_string(&reader, &bytes), -EBADMSG);
	assert_int_equal(spoe_reader_left(&reader), 4);
	assert_int_equal(spoe_reader_string(&huge, &bytes), -EBADMSG);
	assert_int_equal(spoe_reader_left(&huge), 13);
}

static void reads_nothing_from_a_slice_that_points_nowhere(void **state)
{
	struct spoe_reader reader = reader_of(NULL, 0);
	struct slice bytes;
	uint64_t number;
	uint8_t byte;

	(void)state;
	assert_int_equal(spoe_reader_left(&reader), 0);
	assert_int_equal(spoe_reader_u8(&reader, &byte), -EBADMSG);
	assert_int_equal(spoe_reader_varint(&reader, &number), -EBADMSG);
	assert_int_equal(spoe_reader_bytes(&reader, 0, &bytes), 0);
	assert_int_equal(bytes.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_in_order_until_nothing_is_left),
		cmocka_unit_test(refuses_what_passes_the_end_and_stays_where_it_was),
		cmocka_unit_test(refuses_a_string_longer_than_what_is_left),
		cmocka_unit_test(reads_nothing_from_a_slice_that_points_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
