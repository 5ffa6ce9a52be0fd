#include "tests/unit/spoe/cmocka_env.h"

#include <errno.h>
#include <string.h>

#include "spoe/disconnect.h"
#include "tests/unit/spoe/peer.h"

static uint8_t buffer[1024];
static struct spoe_writer writer;

static int start(void **state)
{
	(void)state;
	spoe_writer_init(&writer, buffer, sizeof(buffer));
	return 0;
}

static struct slice written(void)
{
	return (struct slice){(const char *)buffer, spoe_writer_used(&writer)};
}

static void reads_code_and_message(void **state)
{
	struct spoe_disconnect gone;
	struct slice payload;

	(void)state;
	peer_disconnect_write(&writer, 2, "a timeout occurred");
	payload = slice_skip(written(), SPOE_LENGTH_SIZE + SPOE_HEADER_MIN);
	assert_int_equal(spoe_disconnect_decode(payload, &gone), SPOE_STATUS_NORMAL);
	assert_int_equal(gone.code, SPOE_STATUS_TIMEOUT);
	assert_true(slice_eq_str(gone.message, "a timeout occurred"));
}

static void takes_a_goodbye_without_items(void **state)
{
	struct spoe_disconnect gone;

	(void)state;
	assert_int_equal(
		spoe_disconnect_decode((struct slice){NULL, 0}, &gone), SPOE_STATUS_NORMAL);
	assert_int_equal(gone.code, SPOE_STATUS_UNKNOWN);
	assert_int_equal(gone.message.n, 0);
	peer_arg_str(&writer, "other", "skipped");
	assert_int_equal(spoe_disconnect_decode(written(), &gone), SPOE_STATUS_NORMAL);
}

static void refuses_items_of_a_wrong_type_or_size(void **state)
{
	struct spoe_disconnect gone;
	char text[SPOE_REASON_MAX + 2] = {0};

	(void)state;
	peer_arg_str(&writer, "status-code", "0");
	assert_int_equal(spoe_disconnect_decode(written(), &gone), SPOE_STATUS_INVALID);
	start(NULL);
	peer_arg_int(&writer, "status-code", -1);
	assert_int_equal(spoe_disconnect_decode(written(), &gone), SPOE_STATUS_INVALID);
	start(NULL);
	peer_arg_int(&writer, "message", 1);
	assert_int_equal(spoe_disconnect_decode(written(), &gone), SPOE_STATUS_INVALID);
	start(NULL);
	memset(text, 't', SPOE_REASON_MAX + 1);
	peer_arg_str(&writer, "message", text);
	assert_int_equal(spoe_disconnect_decode(written(), &gone), SPOE_STATUS_INVALID);
	start(NULL);
	peer_arg_int(&writer, "", 1);
	assert_int_equal(spoe_disconnect_decode(written(), &gone), SPOE_STATUS_INVALID);
}

static void refuses_a_list_cut_inside_an_item(void **state)
{
	struct spoe_disconnect gone;
	struct slice payload;

	(void)state;
	peer_disconnect_write(&writer, 0, "normal");
	payload = slice_skip(written(), SPOE_LENGTH_SIZE + SPOE_HEADER_MIN);
	/* status-code takes 14 bytes */
	for (size_t n = 1; n < payload.n; n++)
		assert_int_equal(spoe_disconnect_decode(slice_cut(payload, n), &gone),
			n == 14 ? SPOE_STATUS_NORMAL : SPOE_STATUS_INVALID);
}

static void says_the_text_of_the_code_byte_for_byte(void **state)
{
	static const char wanted[] = "\0\0\0\x2f\x66\0\0\0\x01\0\0"
				     "\x0bstatus-code\x03\x03"
				     "\x07message\x08\x10"
				     "frame is too big";

	(void)state;
	assert_int_equal(
		spoe_disconnect_encode(&writer, SPOE_STATUS_TOO_BIG, (struct slice){0}), 0);
	assert_int_equal(spoe_writer_used(&writer), sizeof(wanted) - 1);
	assert_memory_equal(buffer, wanted, sizeof(wanted) - 1);
}

static void cuts_a_long_message_to_fit_the_smallest_frame(void **state)
{
	struct peer_answer answer;
	char text[4096];

	(void)state;
	memset(text, 't', sizeof(text));
	assert_int_equal(
		spoe_disconnect_encode(&writer, UINT32_MAX, (struct slice){text, sizeof(text)}), 0);
	assert_true(spoe_writer_used(&writer) <= SPOE_LENGTH_SIZE + SPOE_FRAME_MIN);
	assert_int_equal(peer_read(written(), &answer), SPOE_OK);
	assert_int_equal(answer.type, SPOE_FRAME_AGENT_DISCONNECT);
	assert_true(answer.code == UINT32_MAX);
	assert_int_equal(answer.message.n, SPOE_REASON_SENT_MAX);
}

static void writes_nothing_where_it_does_not_fit(void **state)
{
	(void)state;
	spoe_writer_init(&writer, buffer, 60);
	assert_int_equal(spoe_disconnect_encode(&writer, 0, (struct slice){0}), 0);
	assert_int_equal(spoe_disconnect_encode(&writer, 0, (struct slice){0}), -ENOSPC);
	assert_int_equal(spoe_writer_used(&writer), 41);
}

#define TEST(name) cmocka_unit_test_setup(name, start)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reads_code_and_message),
		TEST(takes_a_goodbye_without_items),
		TEST(refuses_items_of_a_wrong_type_or_size),
		TEST(refuses_a_list_cut_inside_an_item),
		TEST(says_the_text_of_the_code_byte_for_byte),
		TEST(cuts_a_long_message_to_fit_the_smallest_frame),
		TEST(writes_nothing_where_it_does_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
