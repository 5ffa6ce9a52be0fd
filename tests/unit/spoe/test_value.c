#include "tests/unit/spoe/cmocka_env.h"

#include <errno.h>
#include <string.h>

#include "spoe/value.h"

#define MINUS_ONE_64 "\xff\xf0\xfe\xfe\xfe\xfe\xfe\xfe\xfe\x0e"

static int decode(const char *bytes, size_t n, struct spoe_value *ret_value)
{
	struct spoe_reader reader;
	int r;

	spoe_reader_init(&reader, (struct slice){bytes, n});
	r = spoe_value_decode(&reader, ret_value);
	if (r == 0)
		assert_int_equal(spoe_reader_left(&reader), 0);
	else
		assert_int_equal(spoe_reader_left(&reader), n);
	return r;
}

static void decodes_null_and_booleans(void **state)
{
	struct spoe_value value;

	(void)state;
	assert_int_equal(decode("\x00", 1, &value), 0);
	assert_int_equal(value.type, SPOE_TYPE_NULL);
	assert_int_equal(decode("\x01", 1, &value), 0);
	assert_int_equal(value.type, SPOE_TYPE_BOOL);
	assert_false(value.flag);
	assert_int_equal(decode("\x11", 1, &value), 0);
	assert_int_equal(value.type, SPOE_TYPE_BOOL);
	assert_true(value.flag);
}

static void decodes_integers_of_all_four_types(void **state)
{
	struct spoe_value value;

	(void)state;
	assert_int_equal(decode("\x02\x07", 2, &value), 0);
	assert_int_equal(value.type, SPOE_TYPE_INT32);
	assert_true(value.sint == 7);
	assert_int_equal(decode("\x03\x07", 2, &value), 0);
	assert_int_equal(value.type, SPOE_TYPE_UINT32);
	assert_true(value.uint == 7);
	assert_int_equal(decode("\x04" MINUS_ONE_64, 11, &value), 0);
	assert_int_equal(value.type, SPOE_TYPE_INT64);
	assert_true(value.sint == -1);
	assert_int_equal(decode("\x05" MINUS_ONE_64, 11, &value), 0);
	assert_int_equal(value.type, SPOE_TYPE_UINT64);
	assert_true(value.uint == UINT64_MAX);
}

static void takes_a_negative_int32_of_32_or_64_bits(void **state)
{
	struct spoe_value value;

	(void)state;
	assert_int_equal(decode("\x02" MINUS_ONE_64, 11, &value), 0);
	assert_true(value.sint == -1);
	assert_int_equal(decode("\x02\xff\xf0\xfe\xfe\x7e", 6, &value), 0);
	assert_true(value.sint == -1);
}

static void refuses_32_bit_integers_out_of_range(void **state)
{
	struct spoe_value value = {.type = SPOE_TYPE_NULL};

	(void)state;
	assert_int_equal(decode("\x02\xf0\x80\x80\x80\x80\x00", 7, &value), -EBADMSG);
	assert_int_equal(decode("\x03\xf0\x80\x80\x80\x80\x00", 7, &value), -EBADMSG);
	assert_int_equal(decode("\x03" MINUS_ONE_64, 11, &value), -EBADMSG);
	assert_int_equal(value.type, SPOE_TYPE_NULL);
}

static void decodes_addresses_in_network_order(void **state)
{
	struct spoe_value value;

	(void)state;
	assert_int_equal(decode("\x06\x7f\x00\x00\x01", 5, &value), 0);
	assert_int_equal(value.type, SPOE_TYPE_IPV4);
	assert_memory_equal(value.ip, "\x7f\x00\x00\x01", 4);
	assert_int_equal(decode("\x07"
				"0123456789abcdef",
				 17, &value),
		0);
	assert_int_equal(value.type, SPOE_TYPE_IPV6);
	assert_memory_equal(value.ip, "0123456789abcdef", 16);
}

static void decodes_bytes_without_copying(void **state)
{
	static const char text[] = "\x08\x03"
				   "abc";
	struct spoe_value value;

	(void)state;
	assert_int_equal(decode(text, 5, &value), 0);
	assert_int_equal(value.type, SPOE_TYPE_STRING);
	assert_ptr_equal(value.bytes.p, text + 2);
	assert_int_equal(value.bytes.n, 3);
	assert_int_equal(decode("\x09\x02\x00\xff", 4, &value), 0);
	assert_int_equal(value.type, SPOE_TYPE_BINARY);
	assert_int_equal(value.bytes.n, 2);
	assert_int_equal(decode("\x08\x00", 2, &value), 0);
	assert_int_equal(value.bytes.n, 0);
}

static void ignores_flags_where_they_mean_nothing(void **state)
{
	struct spoe_value value;

	(void)state;
	assert_int_equal(decode("\xf0", 1, &value), 0);
	assert_int_equal(value.type, SPOE_TYPE_NULL);
	assert_int_equal(decode("\x28\x01"
				"a",
				 3, &value),
		0);
	assert_int_equal(value.type, SPOE_TYPE_STRING);
	assert_int_equal(decode("\xe1", 1, &value), 0);
	assert_false(value.flag);
}

static void refuses_reserved_types(void **state)
{
	struct spoe_value value;

	(void)state;
	for (int type = 10; type <= 15; type++) {
		char bytes[2] = {(char)type, 0};

		assert_int_equal(decode(bytes, 1, &value), -EBADMSG);
		assert_int_equal(decode(bytes, 2, &value), -EBADMSG);
	}
}

static void refuses_values_cut_at_any_byte(void **state)
{
	static const struct slice whole[] = {
		{"\x02\xf0\x01", 3},
		{"\x04" MINUS_ONE_64, 11},
		{"\x06\x7f\x00\x00\x01", 5},
		{"\x07"
		 "0123456789abcdef",
			17},
		{"\x08\x03"
		 "abc",
			5},
		{"\x09\xf0\x00"
		 "abc",
			6},
	};
	struct spoe_value value;

	(void)state;
	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
		for (size_t n = 0; n < whole[i].n; n++)
			assert_int_equal(decode(whole[i].p, n, &value), -EBADMSG);
}

static void decodes_every_value_that_it_encodes(void **state)
{
	static const struct spoe_value values[] = {
		{.type = SPOE_TYPE_NULL},
		{.type = SPOE_TYPE_BOOL, .flag = true},
		{.type = SPOE_TYPE_INT32, .sint = INT32_MIN},
		{.type = SPOE_TYPE_UINT32, .uint = UINT32_MAX},
		{.type = SPOE_TYPE_INT64, .sint = INT64_MIN},
		{.type = SPOE_TYPE_UINT64, .uint = UINT64_MAX},
		{.type = SPOE_TYPE_IPV4, .ip = {10, 0, 0, 1}},
		{.type = SPOE_TYPE_IPV6, .ip = {0x20, 1, 0xd, 0xb8, 15, 14}},
		{.type = SPOE_TYPE_STRING, .bytes = {"abc", 3}},
		{.type = SPOE_TYPE_BINARY, .bytes = {"\0\1", 2}},
	};
	uint8_t first[64];
	uint8_t second[64];
	struct spoe_writer writer;
	struct spoe_value value;
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		spoe_writer_init(&writer, first, sizeof(first));
		spoe_value_encode(&writer, &values[i]);
		n = spoe_writer_used(&writer);
		assert_int_equal(decode((char *)first, n, &value), 0);
		assert_int_equal(value.type, values[i].type);
		spoe_writer_init(&writer, second, sizeof(second));
		spoe_value_encode(&writer, &value);
		assert_int_equal(spoe_writer_used(&writer), n);
		assert_memory_equal(first, second, n);
	}
}

static void gives_integers_whatever_their_type(void **state)
{
	struct spoe_value value = {.type = SPOE_TYPE_UINT64, .uint = INT64_MAX};
	int64_t number = 0;

	(void)state;
	assert_int_equal(spoe_value_get_int(&value, &number), 0);
	assert_true(number == INT64_MAX);
	value.uint++;
	assert_int_equal(spoe_value_get_int(&value, &number), -EINVAL);
	value = (struct spoe_value){.type = SPOE_TYPE_INT32, .sint = -5};
	assert_int_equal(spoe_value_get_int(&value, &number), 0);
	assert_true(number == -5);
	value.type = SPOE_TYPE_NULL;
	assert_int_equal(spoe_value_get_int(&value, &number), -ENOENT);
	value.type = SPOE_TYPE_BOOL;
	assert_int_equal(spoe_value_get_int(&value, &number), -EINVAL);
}

static void gives_bytes_of_strings_and_binaries_only(void **state)
{
	struct spoe_value value = {.type = SPOE_TYPE_STRING, .bytes = {"abc", 3}};
	struct slice bytes;

	(void)state;
	assert_int_equal(spoe_value_get_bytes(&value, &bytes), 0);
	assert_true(slice_eq_str(bytes, "abc"));
	value.type = SPOE_TYPE_BINARY;
	assert_int_equal(spoe_value_get_bytes(&value, &bytes), 0);
	value.type = SPOE_TYPE_NULL;
	assert_int_equal(spoe_value_get_bytes(&value, &bytes), -ENOENT);
	value.type = SPOE_TYPE_INT64;
	assert_int_equal(spoe_value_get_bytes(&value, &bytes), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decodes_null_and_booleans),
		cmocka_unit_test(decodes_integers_of_all_four_types),
		cmocka_unit_test(takes_a_negative_int32_of_32_or_64_bits),
		cmocka_unit_test(refuses_32_bit_integers_out_of_range),
		cmocka_unit_test(decodes_addresses_in_network_order),
		cmocka_unit_test(decodes_bytes_without_copying),
		cmocka_unit_test(ignores_flags_where_they_mean_nothing),
		cmocka_unit_test(refuses_reserved_types),
		cmocka_unit_test(refuses_values_cut_at_any_byte),
		cmocka_unit_test(decodes_every_value_that_it_encodes),
		cmocka_unit_test(gives_integers_whatever_their_type),
		cmocka_unit_test(gives_bytes_of_strings_and_binaries_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
