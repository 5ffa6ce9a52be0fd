#include "tests/unit/spoe/cmocka_env.h"

#include <errno.h>
#include <string.h>

#include "spoe/hello.h"
#include "tests/unit/spoe/peer.h"

enum {
	ACK_SMALL = PEER_FRAME_MAX / SPOE_STREAMS_MAX,
	ACK_LARGE = ACK_SMALL + 1,
};

static uint8_t buffer[1024];

/* The payload of a HELLO frame alone in the writer. */
static struct slice payload_of(const struct spoe_writer *writer)
{
	size_t head = SPOE_LENGTH_SIZE + SPOE_HEADER_MIN;

	return (struct slice){(const char *)writer->start + head, spoe_writer_used(writer) - head};
}

static enum spoe_status decode(const struct peer_hello *said, struct spoe_hello *ret_hello)
{
	struct spoe_writer writer;

	spoe_writer_init(&writer, buffer, sizeof(buffer));
	peer_hello_write(&writer, said);
	assert_false(writer.full);
	return spoe_hello_decode(payload_of(&writer), ret_hello);
}

static void remembers_what_haproxy_said(void **state)
{
	struct spoe_hello hello;

	(void)state;
	assert_int_equal(decode(&peer_hello_2_6, &hello), SPOE_STATUS_NORMAL);
	assert_int_equal(hello.frame_max, 16380);
	assert_int_equal(hello.capabilities, SPOE_CAP_PIPELINING | SPOE_CAP_ASYNC);
	assert_false(hello.healthcheck);
	assert_true(slice_eq_str(hello.engine_id, peer_hello_2_6.engine_id));
}

static void accepts_a_health_check_without_engine_id(void **state)
{
	struct spoe_hello hello;

	(void)state;
	assert_int_equal(decode(&peer_hello_check, &hello), SPOE_STATUS_NORMAL);
	assert_true(hello.healthcheck);
	assert_int_equal(hello.capabilities, 0);
	assert_int_equal(hello.engine_id.n, 0);
}

static void accepts_every_list_that_holds_version_two(void **state)
{
	static const char *const lists[] = {
		"2.0", "2.1", " 2.0 ", "1.0,2.0", "2.0, 1.5", "3.0 ,\t2.7"};
	struct peer_hello said = peer_hello_3_2;
	struct spoe_hello hello;

	(void)state;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		said.versions = lists[i];
		assert_int_equal(decode(&said, &hello), SPOE_STATUS_NORMAL);
	}
}

static void refuses_every_list_without_version_two(void **state)
{
	static const char *const lists[] = {
		"", "1.0", "3.0", "2", "2.", "2.x", "20.0", "12.0", "2.0.1", "1.0,3.0", "2 .0"};
	struct peer_hello said = peer_hello_3_2;
	struct spoe_hello hello;

	(void)state;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		said.versions = lists[i];
		assert_int_equal(decode(&said, &hello), SPOE_STATUS_BAD_VERSION);
	}
}

static void accepts_any_capability_list(void **state)
{
	static const struct {
		const char *list;
		unsigned bits;
	} rows[] = {
		{"", 0},
		{" , ,,", 0},
		{"pipelining", SPOE_CAP_PIPELINING},
		{" async , fragmentation\t", SPOE_CAP_ASYNC | SPOE_CAP_FRAGMENTATION},
		{"pipelining2,apipelining,PIPELINING", 0},
		{"new-thing,pipelining", SPOE_CAP_PIPELINING},
	};
	struct peer_hello said = peer_hello_3_2;
	struct spoe_hello hello;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		said.capabilities = rows[i].list;
		assert_int_equal(decode(&said, &hello), SPOE_STATUS_NORMAL);
		assert_int_equal(hello.capabilities, rows[i].bits);
	}
}

static void names_the_mandatory_item_that_is_missing(void **state)
{
	struct spoe_hello hello = {.frame_max = 77};
	struct peer_hello said = peer_hello_3_2;

	(void)state;
	said.versions = NULL;
	assert_int_equal(decode(&said, &hello), SPOE_STATUS_NO_VERSION);
	said = peer_hello_3_2;
	said.frame_max = 0;
	assert_int_equal(decode(&said, &hello), SPOE_STATUS_NO_FRAME_SIZE);
	said = peer_hello_3_2;
	said.capabilities = NULL;
	assert_int_equal(decode(&said, &hello), SPOE_STATUS_NO_CAPABILITIES);
	assert_int_equal(
		spoe_hello_decode((struct slice){NULL, 0}, &hello), SPOE_STATUS_NO_VERSION);
	assert_int_equal(hello.frame_max, 77);
}

static void refuses_frame_sizes_below_256(void **state)
{
	struct peer_hello said = peer_hello_3_2;
	struct spoe_hello hello;

	(void)state;
	said.frame_max = 255;
	assert_int_equal(decode(&said, &hello), SPOE_STATUS_BAD_FRAME_SIZE);
	said.frame_max = 256;
	assert_int_equal(decode(&said, &hello), SPOE_STATUS_NORMAL);
	assert_int_equal(spoe_hello_frame_max(&hello), 256);
}

static void keeps_the_smaller_of_both_frame_sizes(void **state)
{
	struct peer_hello said = peer_hello_3_2;
	struct spoe_hello hello;

	(void)state;
	said.frame_max = UINT32_MAX;
	assert_int_equal(decode(&said, &hello), SPOE_STATUS_NORMAL);
	assert_int_equal(spoe_hello_frame_max(&hello), SPOE_FRAME_MAX);
	said.frame_max = 4092;
	assert_int_equal(decode(&said, &hello), SPOE_STATUS_NORMAL);
	assert_int_equal(spoe_hello_frame_max(&hello), 4092);
}

/* A good list with one more item before it. */
static enum spoe_status decode_with(const char *key, const struct spoe_value *value)
{
	struct spoe_writer writer;
	struct spoe_hello hello;
	struct slice rest;

	spoe_writer_init(&writer, buffer + 512, 512);
	peer_hello_write(&writer, &peer_hello_check);
	rest = payload_of(&writer);
	spoe_writer_init(&writer, buffer, 512);
	peer_arg(&writer, key, value);
	spoe_writer_bytes(&writer, rest.p, rest.n);
	return spoe_hello_decode((struct slice){(char *)buffer, spoe_writer_used(&writer)}, &hello);
}

static void skips_unknown_items(void **state)
{
	const struct spoe_value text = {.type = SPOE_TYPE_STRING, .bytes = {"abc", 3}};
	const struct spoe_value null = {.type = SPOE_TYPE_NULL};

	(void)state;
	assert_int_equal(decode_with("supported-versionsX", &text), SPOE_STATUS_NORMAL);
	assert_int_equal(decode_with("supported", &null), SPOE_STATUS_NORMAL);
	assert_int_equal(decode_with("new", &text), SPOE_STATUS_NORMAL);
}

static void refuses_items_twice_or_without_a_name(void **state)
{
	const struct spoe_value text = {.type = SPOE_TYPE_STRING, .bytes = {"2.0", 3}};

	(void)state;
	assert_int_equal(decode_with("supported-versions", &text), SPOE_STATUS_INVALID);
	assert_int_equal(decode_with("", &text), SPOE_STATUS_INVALID);
}

static void refuses_items_of_a_wrong_type(void **state)
{
	static const char *const keys[] = {
		"supported-versions", "max-frame-size", "capabilities", "healthcheck", "engine-id"};
	const struct spoe_value null = {.type = SPOE_TYPE_NULL};
	const struct spoe_value binary = {.type = SPOE_TYPE_BINARY, .bytes = {"2.0", 3}};

	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		assert_int_equal(decode_with(keys[i], &null), SPOE_STATUS_INVALID);
		assert_int_equal(decode_with(keys[i], &binary), SPOE_STATUS_INVALID);
	}
}

static void refuses_frame_sizes_beyond_32_bits(void **state)
{
	const struct spoe_value huge = {.type = SPOE_TYPE_UINT64, .uint = UINT64_MAX};
	const struct spoe_value large = {.type = SPOE_TYPE_INT64, .sint = (int64_t)1 << 32};
	const struct spoe_value negative = {.type = SPOE_TYPE_INT64, .sint = -1};

	(void)state;
	assert_int_equal(decode_with("max-frame-size", &huge), SPOE_STATUS_BAD_FRAME_SIZE);
	assert_int_equal(decode_with("max-frame-size", &large), SPOE_STATUS_BAD_FRAME_SIZE);
	assert_int_equal(decode_with("max-frame-size", &negative), SPOE_STATUS_BAD_FRAME_SIZE);
}

static void refuses_an_engine_id_above_the_limit(void **state)
{
	char text[SPOE_ENGINE_ID_MAX + 2];
	struct peer_hello said = peer_hello_3_2;
	struct spoe_hello hello;

	(void)state;
	memset(text, 'e', sizeof(text));
	text[SPOE_ENGINE_ID_MAX] = '\0';
	said.engine_id = text;
	assert_int_equal(decode(&said, &hello), SPOE_STATUS_NORMAL);
	text[SPOE_ENGINE_ID_MAX] = 'e';
	text[SPOE_ENGINE_ID_MAX + 1] = '\0';
	assert_int_equal(decode(&said, &hello), SPOE_STATUS_INVALID);
}

static void refuses_a_list_cut_at_any_byte(void **state)
{
	struct spoe_hello hello;
	struct slice whole;

	(void)state;
	assert_int_equal(decode(&peer_hello_check, &hello), SPOE_STATUS_NORMAL);
	whole = (struct slice){(char *)buffer + SPOE_LENGTH_SIZE + SPOE_HEADER_MIN, 71};
	assert_int_equal(spoe_hello_decode(whole, &hello), SPOE_STATUS_NORMAL);
	/* the last item, healthcheck, takes 13 bytes and is optional */
	for (size_t n = 0; n < whole.n; n++)
		if (n != whole.n - 13)
			assert_int_not_equal(
				spoe_hello_decode(slice_cut(whole, n), &hello), SPOE_STATUS_NORMAL);
}

static void announces_pipelining_by_age_or_by_room(void **state)
{
	struct spoe_hello hello = {.frame_max = PEER_FRAME_MAX};

	(void)state;
	assert_false(spoe_hello_pipelining(&hello, 0));
	hello.capabilities = SPOE_CAP_ASYNC;
	assert_false(spoe_hello_pipelining(&hello, 0));
	hello.capabilities = SPOE_CAP_PIPELINING;
	assert_true(spoe_hello_pipelining(&hello, ACK_SMALL));
	assert_false(spoe_hello_pipelining(&hello, ACK_LARGE));
	assert_false(spoe_hello_pipelining(&hello, SIZE_MAX));
	hello.capabilities = SPOE_CAP_PIPELINING | SPOE_CAP_ASYNC;
	assert_true(spoe_hello_pipelining(&hello, ACK_LARGE));
	assert_true(spoe_hello_pipelining(&hello, SIZE_MAX));
	/* buffers of 64 KB have no room for 20 answers of 8,000 bytes */
	hello = (struct spoe_hello){.frame_max = 65532, .capabilities = SPOE_CAP_PIPELINING};
	assert_false(spoe_hello_pipelining(&hello, 8000));
	hello.frame_max = 163836;
	assert_true(spoe_hello_pipelining(&hello, 8000));
}

static void encodes_agent_hello_byte_for_byte(void **state)
{
	static const char wanted[] = "\0\0\0\x40\x65\0\0\0\x01\0\0"
				     "\x07version\x08\x03"
				     "2.0"
				     "\x0emax-frame-size\x03\xfc\xf0\x1e"
				     "\x0c"
				     "capabilities\x08\x0apipelining";
	const struct spoe_hello hello = {
		.frame_max = 163836,
		.capabilities = SPOE_CAP_PIPELINING,
	};
	struct spoe_writer writer;

	(void)state;
	spoe_writer_init(&writer, buffer, sizeof(buffer));
	assert_int_equal(spoe_hello_encode(&writer, &hello, 8191), 0);
	assert_int_equal(spoe_writer_used(&writer), sizeof(wanted) - 1);
	assert_memory_equal(buffer, wanted, sizeof(wanted) - 1);
}

static void announces_all_items_and_never_async_or_fragmentation(void **state)
{
	struct peer_answer answer;
	struct spoe_writer writer;
	struct spoe_hello hello = {.frame_max = 4092};

	(void)state;
	for (hello.capabilities = 0; hello.capabilities < 8; hello.capabilities++) {
		bool both = (hello.capabilities & 3) == 3;

		spoe_writer_init(&writer, buffer, sizeof(buffer));
		assert_int_equal(spoe_hello_encode(&writer, &hello, 4096), 0);
		assert_int_equal(
			peer_read(
				(struct slice){(char *)buffer, spoe_writer_used(&writer)}, &answer),
			SPOE_OK);
		assert_int_equal(answer.type, SPOE_FRAME_AGENT_HELLO);
		assert_true(slice_eq_str(answer.version, "2.0"));
		assert_int_equal(answer.frame_max, 4092);
		assert_true(slice_eq_str(answer.capabilities, both ? "pipelining" : ""));
	}
}

static void writes_nothing_where_it_does_not_fit(void **state)
{
	const struct spoe_hello hello = {.frame_max = 16380};
	struct spoe_writer writer;

	(void)state;
	spoe_writer_init(&writer, buffer, 40);
	assert_int_equal(spoe_hello_encode(&writer, &hello, 1), -ENOSPC);
	assert_int_equal(spoe_writer_used(&writer), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(remembers_what_haproxy_said),
		cmocka_unit_test(accepts_a_health_check_without_engine_id),
		cmocka_unit_test(accepts_every_list_that_holds_version_two),
		cmocka_unit_test(refuses_every_list_without_version_two),
		cmocka_unit_test(accepts_any_capability_list),
		cmocka_unit_test(names_the_mandatory_item_that_is_missing),
		cmocka_unit_test(refuses_frame_sizes_below_256),
		cmocka_unit_test(keeps_the_smaller_of_both_frame_sizes),
		cmocka_unit_test(skips_unknown_items),
		cmocka_unit_test(refuses_items_twice_or_without_a_name),
		cmocka_unit_test(refuses_items_of_a_wrong_type),
		cmocka_unit_test(refuses_frame_sizes_beyond_32_bits),
		cmocka_unit_test(refuses_an_engine_id_above_the_limit),
		cmocka_unit_test(refuses_a_list_cut_at_any_byte),
		cmocka_unit_test(announces_pipelining_by_age_or_by_room),
		cmocka_unit_test(encodes_agent_hello_byte_for_byte),
		cmocka_unit_test(announces_all_items_and_never_async_or_fragmentation),
		cmocka_unit_test(writes_nothing_where_it_does_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
