#include "tests/unit/spoe/cmocka_env.h"

#include <string.h>

#include "spoe/notify.h"
#include "tests/unit/spoe/peer.h"

static uint8_t buffer[32768];
static struct spoe_writer writer;

static int start(void **state)
{
	(void)state;
	spoe_writer_init(&writer, buffer, sizeof(buffer));
	return 0;
}

/* The writer holds the payload of a NOTIFY 7/3. */
static enum spoe_status decode(struct spoe_notify *ret_notify)
{
	const struct spoe_frame frame = {
		.type = SPOE_FRAME_NOTIFY,
		.stream_id = 7,
		.frame_id = 3,
		.payload = {(const char *)buffer, spoe_writer_used(&writer)},
	};

	assert_false(writer.full);
	return spoe_notify_decode(&frame, ret_notify);
}

static void write_two_messages(void)
{
	peer_message(&writer, "decide", 2);
	peer_arg_str(&writer, "id", "abc");
	peer_arg_int(&writer, "neg", -5);
	peer_message(&writer, "respond", 1);
	peer_arg_null(&writer, "none");
}

static void walks_messages_and_arguments(void **state)
{
	struct spoe_notify_walk walk;
	struct spoe_message message;
	struct spoe_notify notify;
	struct spoe_arg arg;

	(void)state;
	write_two_messages();
	assert_int_equal(decode(&notify), SPOE_STATUS_NORMAL);
	assert_int_equal(notify.stream_id, 7);
	assert_int_equal(notify.frame_id, 3);
	assert_int_equal(notify.messages, 2);
	spoe_notify_begin(&notify, &walk);
	assert_false(spoe_notify_next_arg(&walk, &arg));
	assert_true(spoe_notify_next_message(&walk, &message));
	assert_true(slice_eq_str(message.name, "decide"));
	assert_int_equal(message.args, 2);
	assert_true(spoe_notify_next_arg(&walk, &arg));
	assert_true(slice_eq_str(arg.name, "id"));
	assert_true(slice_eq_str(arg.value.bytes, "abc"));
	assert_true(spoe_notify_next_arg(&walk, &arg));
	assert_true(slice_eq_str(arg.name, "neg"));
	assert_true(arg.value.sint == -5);
	assert_false(spoe_notify_next_arg(&walk, &arg));
	assert_true(spoe_notify_next_message(&walk, &message));
	assert_true(slice_eq_str(message.name, "respond"));
	assert_true(spoe_notify_next_arg(&walk, &arg));
	assert_int_equal(arg.value.type, SPOE_TYPE_NULL);
	assert_false(spoe_notify_next_arg(&walk, &arg));
	assert_false(spoe_notify_next_message(&walk, &message));
	assert_false(spoe_notify_next_message(&walk, &message));
}

static void skips_arguments_left_unread(void **state)
{
	struct spoe_notify_walk walk;
	struct spoe_message message;
	struct spoe_notify notify;
	struct spoe_arg arg;

	(void)state;
	write_two_messages();
	assert_int_equal(decode(&notify), SPOE_STATUS_NORMAL);
	spoe_notify_begin(&notify, &walk);
	assert_true(spoe_notify_next_message(&walk, &message));
	assert_true(spoe_notify_next_arg(&walk, &arg));
	assert_true(spoe_notify_next_message(&walk, &message));
	assert_true(slice_eq_str(message.name, "respond"));
	assert_false(spoe_notify_next_message(&walk, &message));
}

static void accepts_a_frame_without_messages(void **state)
{
	struct spoe_notify_walk walk;
	struct spoe_message message;
	struct spoe_notify notify;

	(void)state;
	assert_int_equal(decode(&notify), SPOE_STATUS_NORMAL);
	assert_int_equal(notify.messages, 0);
	spoe_notify_begin(&notify, &walk);
	assert_false(spoe_notify_next_message(&walk, &message));
}

static void accepts_arguments_without_a_name_and_messages_without_arguments(void **state)
{
	struct spoe_notify notify;

	(void)state;
	peer_message(&writer, "m", 1);
	peer_arg_int(&writer, "", 1);
	peer_message(&writer, "n", 0);
	assert_int_equal(decode(&notify), SPOE_STATUS_NORMAL);
	assert_int_equal(notify.messages, 2);
}

static void refuses_a_message_without_a_name(void **state)
{
	struct spoe_notify notify;

	(void)state;
	peer_message(&writer, "", 0);
	assert_int_equal(decode(&notify), SPOE_STATUS_INVALID);
}

static void refuses_a_list_cut_anywhere_but_between_messages(void **state)
{
	struct spoe_notify notify;
	size_t border;
	size_t whole;

	(void)state;
	write_two_messages();
	whole = spoe_writer_used(&writer);
	start(NULL);
	peer_message(&writer, "decide", 2);
	peer_arg_str(&writer, "id", "abc");
	peer_arg_int(&writer, "neg", -5);
	border = spoe_writer_used(&writer);
	for (size_t n = 1; n < whole; n++) {
		start(NULL);
		write_two_messages();
		spoe_writer_rewind(&writer, n);
		assert_int_equal(
			decode(&notify), n == border ? SPOE_STATUS_NORMAL : SPOE_STATUS_INVALID);
	}
}

static void refuses_more_messages_than_the_limit(void **state)
{
	struct spoe_notify notify;

	(void)state;
	for (int i = 0; i < SPOE_MESSAGES_MAX; i++)
		peer_message(&writer, "m", 0);
	assert_int_equal(decode(&notify), SPOE_STATUS_NORMAL);
	assert_int_equal(notify.messages, SPOE_MESSAGES_MAX);
	peer_message(&writer, "m", 0);
	assert_int_equal(decode(&notify), SPOE_STATUS_INVALID);
}

static void refuses_more_arguments_than_the_limit(void **state)
{
	struct spoe_notify notify;

	(void)state;
	for (uint8_t args = SPOE_ARGS_MAX; args <= SPOE_ARGS_MAX + 1; args++) {
		start(NULL);
		peer_message(&writer, "m", args);
		for (int i = 0; i < args; i++)
			peer_arg_null(&writer, "a");
		assert_int_equal(decode(&notify),
			args == SPOE_ARGS_MAX ? SPOE_STATUS_NORMAL : SPOE_STATUS_INVALID);
	}
}

static void refuses_names_above_the_limit(void **state)
{
	struct spoe_notify notify;
	char name[SPOE_NAME_MAX + 2] = {0};

	(void)state;
	for (size_t n = SPOE_NAME_MAX; n <= SPOE_NAME_MAX + 1; n++) {
		enum spoe_status wanted =
			n == SPOE_NAME_MAX ? SPOE_STATUS_NORMAL : SPOE_STATUS_INVALID;

		memset(name, 'n', n);
		start(NULL);
		peer_message(&writer, name, 0);
		assert_int_equal(decode(&notify), wanted);
		start(NULL);
		peer_message(&writer, "m", 1);
		peer_arg_null(&writer, name);
		assert_int_equal(decode(&notify), wanted);
	}
}

static void refuses_fewer_arguments_than_promised(void **state)
{
	struct spoe_notify notify;

	(void)state;
	peer_message(&writer, "m", 2);
	peer_arg_null(&writer, "a");
	assert_int_equal(decode(&notify), SPOE_STATUS_INVALID);
}

#define TEST(name) cmocka_unit_test_setup(name, start)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(walks_messages_and_arguments),
		TEST(skips_arguments_left_unread),
		TEST(accepts_a_frame_without_messages),
		TEST(accepts_arguments_without_a_name_and_messages_without_arguments),
		TEST(refuses_a_message_without_a_name),
		TEST(refuses_a_list_cut_anywhere_but_between_messages),
		TEST(refuses_more_messages_than_the_limit),
		TEST(refuses_more_arguments_than_the_limit),
		TEST(refuses_names_above_the_limit),
		TEST(refuses_fewer_arguments_than_promised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
