#include "tests/unit/spoe/cmocka_env.h"

#include <errno.h>
#include <string.h>

#include "spoe/ack.h"
#include "tests/unit/spoe/peer.h"

static uint8_t buffer[2048];
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

static void encodes_an_ack_byte_for_byte(void **state)
{
	static const char wanted[] = "\0\0\0\x35\x67\0\0\0\x01\xf0\x01\x03"
				     "\x01\x03\x02\x06"
				     "action\x08\x05"
				     "allow"
				     "\x01\x03\x02\x05"
				     "retry\x04\x07"
				     "\x01\x03\x01\x03"
				     "alt\x11"
				     "\x02\x02\x02\x05watch";
	struct spoe_ack ack;

	(void)state;
	spoe_ack_begin(&ack, &writer, 256, 256, 3);
	spoe_ack_set_str(&ack, SPOE_SCOPE_TXN, SLICE_LITERAL("action"), SLICE_LITERAL("allow"));
	spoe_ack_set_int(&ack, SPOE_SCOPE_TXN, SLICE_LITERAL("retry"), 7);
	spoe_ack_set_bool(&ack, SPOE_SCOPE_SESS, SLICE_LITERAL("alt"), true);
	spoe_ack_unset(&ack, SPOE_SCOPE_TXN, SLICE_LITERAL("watch"));
	assert_int_equal(spoe_ack_end(&ack), 0);
	assert_int_equal(spoe_writer_used(&writer), sizeof(wanted) - 1);
	assert_memory_equal(buffer, wanted, sizeof(wanted) - 1);
}

static void gives_every_variable_back_to_haproxy(void **state)
{
	const struct spoe_value address = {.type = SPOE_TYPE_IPV4, .ip = {127, 0, 0, 7}};
	struct peer_answer answer;
	struct spoe_ack ack;

	(void)state;
	spoe_ack_begin(&ack, &writer, 16380, 0, 1);
	spoe_ack_set_str(&ack, SPOE_SCOPE_TXN, SLICE_LITERAL("empty"), (struct slice){NULL, 0});
	spoe_ack_set_int(&ack, SPOE_SCOPE_TXN, SLICE_LITERAL("neg"), INT64_MIN);
	spoe_ack_set_bool(&ack, SPOE_SCOPE_TXN, SLICE_LITERAL("no"), false);
	spoe_ack_set(&ack, SPOE_SCOPE_TXN, SLICE_LITERAL("from"), &address);
	assert_int_equal(spoe_ack_end(&ack), 0);
	assert_int_equal(peer_read(written(), &answer), SPOE_OK);
	assert_int_equal(answer.type, SPOE_FRAME_ACK);
	assert_int_equal(answer.stream_id, 0);
	assert_int_equal(answer.frame_id, 1);
	assert_int_equal(answer.n_actions, 4);
	assert_int_equal(peer_variable(&answer, "empty")->bytes.n, 0);
	assert_true(peer_variable(&answer, "neg")->sint == INT64_MIN);
	assert_false(peer_variable(&answer, "no")->flag);
	assert_memory_equal(peer_variable(&answer, "from")->ip, address.ip, 4);
}

static void never_sends_an_ack_without_an_action(void **state)
{
	struct peer_answer answer;
	struct spoe_ack ack;

	(void)state;
	spoe_ack_begin(&ack, &writer, 256, 5, 1);
	assert_int_equal(spoe_ack_end(&ack), 0);
	assert_int_equal(peer_read(written(), &answer), SPOE_OK);
	assert_int_equal(answer.n_actions, 1);
	assert_int_equal(answer.actions[0].type, 2);
}

static void unsets_a_variable_set_to_null(void **state)
{
	const struct spoe_value null = {.type = SPOE_TYPE_NULL};
	struct peer_answer answer;
	struct spoe_ack ack;

	(void)state;
	spoe_ack_begin(&ack, &writer, 256, 5, 1);
	spoe_ack_set(&ack, SPOE_SCOPE_TXN, SLICE_LITERAL("gone"), &null);
	assert_int_equal(spoe_ack_end(&ack), 0);
	assert_int_equal(peer_read(written(), &answer), SPOE_OK);
	assert_int_equal(answer.actions[0].type, 2);
	assert_true(slice_eq_str(answer.actions[0].name, "gone"));
}

static void takes_back_an_ack_that_finds_the_buffer_full(void **state)
{
	struct peer_answer answer;
	struct spoe_ack ack;
	size_t before;

	(void)state;
	spoe_ack_begin(&ack, &writer, 256, 1, 1);
	assert_int_equal(spoe_ack_end(&ack), 0);
	before = spoe_writer_used(&writer);
	writer.end = writer.p + 40;
	for (int i = 0; i < 3; i++) {
		spoe_ack_begin(&ack, &writer, 256, 2, 1);
		spoe_ack_set_str(&ack, SPOE_SCOPE_TXN, SLICE_LITERAL("a"),
			SLICE_LITERAL("longer than what is left in the buffer"));
		spoe_ack_set_int(&ack, SPOE_SCOPE_TXN, SLICE_LITERAL("b"), 1);
		assert_int_equal(spoe_ack_end(&ack), -ENOSPC);
		assert_int_equal(spoe_writer_used(&writer), before);
	}
	spoe_ack_begin(&ack, &writer, 256, 3, 1);
	spoe_ack_set_int(&ack, SPOE_SCOPE_TXN, SLICE_LITERAL("b"), 1);
	assert_int_equal(spoe_ack_end(&ack), 0);
	assert_int_equal(peer_read(slice_skip(written(), before), &answer), SPOE_OK);
	assert_int_equal(answer.stream_id, 3);
}

static void takes_back_an_ack_above_the_negotiated_size(void **state)
{
	char text[256];
	struct spoe_ack ack;

	(void)state;
	memset(text, 't', sizeof(text));
	spoe_ack_begin(&ack, &writer, 256, 1, 1);
	spoe_ack_set_str(&ack, SPOE_SCOPE_TXN, SLICE_LITERAL("a"), (struct slice){text, 241});
	assert_int_equal(spoe_ack_end(&ack), 0);
	assert_int_equal(spoe_writer_used(&writer), SPOE_LENGTH_SIZE + 256);
	spoe_ack_begin(&ack, &writer, 256, 1, 1);
	spoe_ack_set_str(&ack, SPOE_SCOPE_TXN, SLICE_LITERAL("a"), (struct slice){text, 242});
	assert_int_equal(spoe_ack_end(&ack), -EMSGSIZE);
	assert_int_equal(spoe_writer_used(&writer), SPOE_LENGTH_SIZE + 256);
}

static void refuses_names_that_haproxy_would_cut(void **state)
{
	char name[SPOE_VAR_NAME_MAX + 1];
	struct spoe_ack ack;

	(void)state;
	memset(name, 'n', sizeof(name));
	for (size_t n = 0; n <= sizeof(name); n++) {
		int wanted = n >= 1 && n <= SPOE_VAR_NAME_MAX ? 0 : -EINVAL;

		start(NULL);
		spoe_ack_begin(&ack, &writer, 256, 1, 1);
		spoe_ack_set_bool(&ack, SPOE_SCOPE_TXN, (struct slice){name, n}, true);
		spoe_ack_set_bool(&ack, SPOE_SCOPE_TXN, SLICE_LITERAL("good"), true);
		assert_int_equal(spoe_ack_end(&ack), wanted);
		if (wanted < 0)
			assert_int_equal(spoe_writer_used(&writer), 0);
	}
}

#define TEST(name) cmocka_unit_test_setup(name, start)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(encodes_an_ack_byte_for_byte),
		TEST(gives_every_variable_back_to_haproxy),
		TEST(never_sends_an_ack_without_an_action),
		TEST(unsets_a_variable_set_to_null),
		TEST(takes_back_an_ack_that_finds_the_buffer_full),
		TEST(takes_back_an_ack_above_the_negotiated_size),
		TEST(refuses_names_that_haproxy_would_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
