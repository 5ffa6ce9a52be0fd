#include "tests/unit/spoe/cmocka_env.h"

#include <errno.h>
#include <string.h>

#include "spoe/frame.h"

static enum spoe_answer decode(const char *bytes, size_t n, size_t frame_max,
	struct spoe_frame *ret_frame, enum spoe_status *ret_status)
{
	return spoe_frame_decode((struct slice){bytes, n}, frame_max, ret_frame, ret_status);
}

static void takes_one_frame_and_leaves_the_next(void **state)
{
	static const char two[] = "\0\0\0\x0a\x03\0\0\0\x01\xf0\x01\x02"
				  "ab"
				  "\0\0\0\x07";
	enum spoe_status status;
	struct spoe_frame frame;

	(void)state;
	assert_int_equal(decode(two, sizeof(two) - 1, 256, &frame, &status), SPOE_OK);
	assert_int_equal(frame.type, SPOE_FRAME_NOTIFY);
	assert_int_equal(frame.flags, SPOE_FLAG_FIN);
	assert_int_equal(frame.stream_id, 256);
	assert_int_equal(frame.frame_id, 2);
	assert_int_equal(frame.size, 14);
	assert_ptr_equal(frame.payload.p, two + 12);
	assert_int_equal(frame.payload.n, 2);
}

static void asks_for_more_at_every_cut(void **state)
{
	static const char whole[] = "\0\0\0\x09\x03\0\0\0\x01\x05\x02"
				    "ab";
	enum spoe_status status;
	struct spoe_frame frame;

	(void)state;
	for (size_t n = 0; n < sizeof(whole) - 1; n++)
		assert_int_equal(decode(whole, n, 256, &frame, &status), SPOE_MORE);
	assert_int_equal(decode(whole, sizeof(whole) - 1, 256, &frame, &status), SPOE_OK);
}

static void refuses_a_length_above_the_limit_at_once(void **state)
{
	enum spoe_status status = SPOE_STATUS_NORMAL;
	struct spoe_frame frame;

	(void)state;
	assert_int_equal(decode("\0\0\x01\x00", 4, 256, &frame, &status), SPOE_MORE);
	assert_int_equal(decode("\0\0\x01\x01", 4, 256, &frame, &status), SPOE_BAD);
	assert_int_equal(status, SPOE_STATUS_TOO_BIG);
	assert_int_equal(decode("\xff\xff\xff\xff", 4, 256, &frame, &status), SPOE_BAD);
	assert_int_equal(status, SPOE_STATUS_TOO_BIG);
}

static void refuses_a_length_below_a_header_at_once(void **state)
{
	enum spoe_status status;
	struct spoe_frame frame;

	(void)state;
	for (char length = 0; length < SPOE_HEADER_MIN; length++) {
		const char bytes[4] = {0, 0, 0, length};

		status = SPOE_STATUS_NORMAL;
		assert_int_equal(decode(bytes, 4, 256, &frame, &status), SPOE_BAD);
		assert_int_equal(status, SPOE_STATUS_INVALID);
	}
}

static void refuses_ids_that_run_past_the_frame(void **state)
{
	static const char cut[] = "\0\0\0\x07\x03\0\0\0\x01\x05\xf0\x00\x00\x00";
	enum spoe_status status = SPOE_STATUS_NORMAL;
	struct spoe_frame frame;

	(void)state;
	assert_int_equal(decode(cut, sizeof(cut) - 1, 256, &frame, &status), SPOE_BAD);
	assert_int_equal(status, SPOE_STATUS_INVALID);
}

static void writes_flags_of_exactly_fin_and_the_length(void **state)
{
	uint8_t buffer[64];
	struct spoe_writer writer;
	size_t mark;

	(void)state;
	spoe_writer_init(&writer, buffer, sizeof(buffer));
	spoe_writer_u8(&writer, 0xaa);
	mark = spoe_frame_begin(&writer, SPOE_FRAME_ACK, 256, 2);
	spoe_writer_bytes(&writer, "ab", 2);
	assert_int_equal(spoe_frame_end(&writer, mark, 256), 0);
	assert_int_equal(spoe_writer_used(&writer), 15);
	assert_memory_equal(buffer,
		"\xaa\0\0\0\x0a\x67\0\0\0\x01\xf0\x01\x02"
		"ab",
		15);
}

static void tells_a_full_buffer_from_a_frame_too_big(void **state)
{
	static const char payload[512];
	uint8_t buffer[512];
	struct spoe_writer writer;
	size_t mark;

	(void)state;
	spoe_writer_init(&writer, buffer, sizeof(buffer));
	mark = spoe_frame_begin(&writer, SPOE_FRAME_ACK, 1, 1);
	spoe_writer_bytes(&writer, payload, 249);
	assert_int_equal(spoe_frame_end(&writer, mark, 256), 0);
	mark = spoe_frame_begin(&writer, SPOE_FRAME_ACK, 1, 1);
	spoe_writer_bytes(&writer, payload, 249);
	assert_int_equal(spoe_frame_end(&writer, mark, 256), -ENOSPC);
	assert_int_equal(spoe_writer_used(&writer), 260);
	assert_false(writer.full);

	spoe_writer_rewind(&writer, 0);
	mark = spoe_frame_begin(&writer, SPOE_FRAME_ACK, 1, 1);
	spoe_writer_bytes(&writer, payload, 250);
	assert_int_equal(spoe_frame_end(&writer, mark, 256), -EMSGSIZE);
	assert_int_equal(spoe_writer_used(&writer), 0);
	mark = spoe_frame_begin(&writer, SPOE_FRAME_ACK, 1, 1);
	spoe_writer_bytes(&writer, payload, sizeof(payload));
	assert_int_equal(spoe_frame_end(&writer, mark, 256), -EMSGSIZE);
	assert_false(writer.full);
}

static void has_a_text_for_every_status(void **state)
{
	(void)state;
	assert_string_equal(spoe_status_text(SPOE_STATUS_TOO_BIG), "frame is too big");
	assert_string_equal(spoe_status_text(SPOE_STATUS_NORMAL), "normal");
	assert_string_equal(spoe_status_text(4711), spoe_status_text(SPOE_STATUS_UNKNOWN));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_one_frame_and_leaves_the_next),
		cmocka_unit_test(asks_for_more_at_every_cut),
		cmocka_unit_test(refuses_a_length_above_the_limit_at_once),
		cmocka_unit_test(refuses_a_length_below_a_header_at_once),
		cmocka_unit_test(refuses_ids_that_run_past_the_frame),
		cmocka_unit_test(writes_flags_of_exactly_fin_and_the_length),
		cmocka_unit_test(tells_a_full_buffer_from_a_frame_too_big),
		cmocka_unit_test(has_a_text_for_every_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
