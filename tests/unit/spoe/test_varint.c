#include "tests/unit/spoe/cmocka_env.h"

#include <errno.h>
#include <string.h>

#include "spoe/varint.h"

/* Value and encoding, at every border of SPOE.txt 3.1's table and at the ends of 64 bits. */
static const struct {
	uint64_t value;
	size_t n;
	uint8_t bytes[SPOE_VARINT_MAX];
} vectors[] = {
	{0, 1, {0x00}},
	{239, 1, {0xef}},
	{240, 2, {0xf0, 0x00}},
	{2287, 2, {0xff, 0x7f}},
	{2288, 3, {0xf0, 0x80, 0x00}},
	{264431, 3, {0xff, 0xff, 0x7f}},
	{264432, 4, {0xf0, 0x80, 0x80, 0x00}},
	{33818863, 4, {0xff, 0xff, 0xff, 0x7f}},
	{33818864, 5, {0xf0, 0x80, 0x80, 0x80, 0x00}},
	{4328786159, 5, {0xff, 0xff, 0xff, 0xff, 0x7f}},
	{4328786160, 6, {0xf0, 0x80, 0x80, 0x80, 0x80, 0x00}},
	{16380, 3, {0xfc, 0xf0, 0x06}},
	{(uint64_t)-5, 10, {0xfb, 0xf0, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0x0e}},
	{UINT64_MAX, 10, {0xff, 0xf0, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0x0e}},
};

enum {
	N_VECTORS = sizeof(vectors) / sizeof(vectors[0]),
};

static void encodes_the_borders_of_the_table(void **state)
{
	uint8_t bytes[SPOE_VARINT_MAX];

	(void)state;
	for (size_t i = 0; i < N_VECTORS; i++) {
		assert_int_equal(spoe_varint_encode(vectors[i].value, bytes), vectors[i].n);
		assert_memory_equal(bytes, vectors[i].bytes, vectors[i].n);
	}
}

static void decodes_the_borders_of_the_table(void **state)
{
	uint64_t value;

	(void)state;
	for (size_t i = 0; i < N_VECTORS; i++) {
		assert_int_equal(spoe_varint_decode(vectors[i].bytes, vectors[i].n, &value),
			(int)vectors[i].n);
		assert_true(value == vectors[i].value);
	}
}

static void asks_for_more_at_every_cut(void **state)
{
	uint64_t value = 42;

	(void)state;
	for (size_t i = 0; i < N_VECTORS; i++)
		for (size_t n = 0; n < vectors[i].n; n++)
			assert_int_equal(spoe_varint_decode(vectors[i].bytes, n, &value), -EAGAIN);
	assert_int_equal(value, 42);
}

static void decodes_what_it_encodes(void **state)
{
	uint8_t bytes[SPOE_VARINT_MAX];
	uint64_t value;

	(void)state;
	for (unsigned shift = 0; shift < 64; shift++)
		for (int64_t near = -300; near <= 300; near++) {
			uint64_t wanted = ((uint64_t)1 << shift) + (uint64_t)near;
			size_t n = spoe_varint_encode(wanted, bytes);

			assert_int_equal(spoe_varint_decode(bytes, n, &value), (int)n);
			assert_true(value == wanted);
		}
}

static void rejects_varint_past_64_bits(void **state)
{
	/* one more than UINT64_MAX, by its first, a middle and its last byte; and an 11th byte */
	static const uint8_t past[][11] = {
		{0xf0, 0xf1, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0x0e},
		{0xff, 0xf1, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0x0e},
		{0xff, 0xf0, 0xfe, 0xfe, 0xff, 0xfe, 0xfe, 0xfe, 0xfe, 0x0e},
		{0xff, 0xf0, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0x0f},
		{0xff, 0xf0, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0x10},
		{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00},
		{0xf0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00},
	};
	uint64_t value = 42;

	(void)state;
	for (size_t i = 0; i < sizeof(past) / sizeof(past[0]); i++)
		assert_int_equal(spoe_varint_decode(past[i], sizeof(past[i]), &value), -EOVERFLOW);
	assert_int_equal(value, 42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encodes_the_borders_of_the_table),
		cmocka_unit_test(decodes_the_borders_of_the_table),
		cmocka_unit_test(asks_for_more_at_every_cut),
		cmocka_unit_test(decodes_what_it_encodes),
		cmocka_unit_test(rejects_varint_past_64_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
