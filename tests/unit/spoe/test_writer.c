#include "tests/unit/spoe/cmocka_env.h"

#include "spoe/writer.h"

static void writes_what_the_reader_reads(void **state)
{
	static const uint8_t wanted[] = "\x07\x01\x02\x03\x04\xf0\x01\x03"
					"abc"
					"\x00";
	uint8_t buffer[64];
	struct spoe_writer writer;

	(void)state;
	spoe_writer_init(&writer, buffer, sizeof(buffer));
	spoe_writer_u8(&writer, 7);
	spoe_writer_u32(&writer, 0x01020304);
	spoe_writer_varint(&writer, 256);
	spoe_writer_string(&writer, SLICE_LITERAL("abc"));
	spoe_writer_string(&writer, (struct slice){NULL, 0});
	assert_false(writer.full);
	assert_int_equal(spoe_writer_used(&writer), sizeof(wanted) - 1);
	assert_memory_equal(buffer, wanted, sizeof(wanted) - 1);
}

static void fills_a_buffer_to_its_last_byte(void **state)
{
	uint8_t buffer[4];
	struct spoe_writer writer;

	(void)state;
	spoe_writer_init(&writer, buffer, sizeof(buffer));
	spoe_writer_u32(&writer, 1);
	assert_false(writer.full);
	assert_int_equal(spoe_writer_left(&writer), 0);
	spoe_writer_bytes(&writer, "", 0);
	assert_false(writer.full);
	spoe_writer_u8(&writer, 1);
	assert_true(writer.full);
}

static void writes_nothing_more_once_something_did_not_fit(void **state)
{
	uint8_t buffer[8] = {0};
	struct spoe_writer writer;

	(void)state;
	spoe_writer_init(&writer, buffer, 6);
	spoe_writer_u32(&writer, 1);
	spoe_writer_u32(&writer, 0xffffffff);
	spoe_writer_u8(&writer, 0xff);
	assert_true(writer.full);
	assert_int_equal(spoe_writer_used(&writer), 4);
	assert_memory_equal(buffer + 4, "\0\0\0\0", 4);
	spoe_writer_patch_u32(&writer, 0, 0xffffffff);
	assert_memory_equal(buffer, "\0\0\0\1", 4);
}

static void forgets_what_came_after_the_mark(void **state)
{
	uint8_t buffer[8];
	struct spoe_writer writer;
	size_t mark;

	(void)state;
	spoe_writer_init(&writer, buffer, sizeof(buffer));
	spoe_writer_u32(&writer, 1);
	mark = spoe_writer_used(&writer);
	spoe_writer_u8(&writer, 2);
	spoe_writer_u32(&writer, 3);
	assert_true(writer.full);
	spoe_writer_rewind(&writer, mark);
	assert_false(writer.full);
	assert_int_equal(spoe_writer_used(&writer), mark);
	spoe_writer_u32(&writer, 3);
	assert_false(writer.full);
	assert_memory_equal(buffer, "\0\0\0\1\0\0\0\3", 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_what_the_reader_reads),
		cmocka_unit_test(fills_a_buffer_to_its_last_byte),
		cmocka_unit_test(writes_nothing_more_once_something_did_not_fit),
		cmocka_unit_test(forgets_what_came_after_the_mark),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
