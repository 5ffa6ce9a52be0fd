#include "tests/unit/spoe/cmocka_env.h"

#include <errno.h>
#include <string.h>

#include "spoe/session.h"
#include "tests/unit/spoe/peer.h"

enum {
	ACK_MAX = 6000,
};

static uint8_t sent[65536];    /* by HAProxy */
static uint8_t replied[65536]; /* by the agent */
static struct spoe_writer peer;
static struct spoe_writer agent;
static struct spoe_session session;
static size_t taken; /* bytes of `sent` that the session consumed */

static int start(void **state)
{
	(void)state;
	spoe_writer_init(&peer, sent, sizeof(sent));
	spoe_writer_init(&agent, replied, sizeof(replied));
	spoe_session_init(&session, ACK_MAX);
	taken = 0;
	return 0;
}

static enum spoe_answer next(struct spoe_event *ret_event)
{
	struct slice in = {(const char *)sent + taken, spoe_writer_used(&peer) - taken};
	enum spoe_answer answer;
	size_t consumed = SIZE_MAX;

	assert_false(peer.full);
	answer = spoe_session_next(&session, in, &consumed, ret_event);
	assert_true(consumed <= in.n);
	taken += consumed;
	return answer;
}

static void expect(enum spoe_event_type type)
{
	struct spoe_event event;

	assert_int_equal(next(&event), SPOE_OK);
	assert_int_equal(event.type, type);
}

/* The next frame is refused with `status`, for good, and the DISCONNECT has the reason. */
static void expect_bad(enum spoe_status status)
{
	struct peer_answer answer;
	struct spoe_event event;
	size_t mark = spoe_writer_used(&agent);

	assert_int_equal(next(&event), SPOE_BAD);
	assert_int_equal(session.status, status);
	assert_int_equal(session.state, SPOE_SESSION_BROKEN);
	assert_int_equal(next(&event), SPOE_BAD);
	assert_int_equal(session.status, status);
	assert_int_equal(spoe_session_disconnect(&session, &agent), 0);
	assert_int_equal(peer_read((struct slice){(const char *)replied + mark,
					   spoe_writer_used(&agent) - mark},
				 &answer),
		SPOE_OK);
	assert_int_equal(answer.type, SPOE_FRAME_AGENT_DISCONNECT);
	assert_int_equal(answer.code, status);
	assert_true(slice_eq_str(answer.message, spoe_status_text(status)));
}

static void notify(uint64_t stream_id, uint64_t frame_id)
{
	size_t mark = peer_notify_begin(&peer, stream_id, frame_id);

	peer_message(&peer, "decide", 2);
	peer_arg_str(&peer, "id", "abc");
	peer_arg_int(&peer, "neg", -5);
	peer_notify_end(&peer, mark);
}

/* After HELLO: the test writes the rest of `sent`. */
static int start_running(void **state)
{
	start(state);
	peer_hello_write(&peer, &peer_hello_3_2);
	expect(SPOE_EVENT_HELLO);
	return 0;
}

static void shakes_hands_and_remembers_the_peer(void **state)
{
	struct peer_answer answer;

	(void)state;
	peer_hello_write(&peer, &peer_hello_2_6);
	expect(SPOE_EVENT_HELLO);
	assert_int_equal(session.state, SPOE_SESSION_RUNNING);
	memset(sent, 0xee, sizeof(sent));
	assert_int_equal(session.peer.frame_max, 16380);
	assert_int_equal(session.frame_max, 16380);
	assert_true(session.peer.capabilities & SPOE_CAP_ASYNC);
	assert_true(slice_eq_str(session.peer.engine_id, peer_hello_2_6.engine_id));
	assert_int_equal(spoe_session_hello(&session, &agent), 0);
	assert_int_equal(
		peer_read((struct slice){(const char *)replied, spoe_writer_used(&agent)}, &answer),
		SPOE_OK);
	assert_int_equal(answer.type, SPOE_FRAME_AGENT_HELLO);
	assert_true(slice_eq_str(answer.capabilities, "pipelining"));
	assert_int_equal(answer.size, spoe_writer_used(&agent));
}

static void withholds_pipelining_where_acks_could_stall(void **state)
{
	struct peer_hello said = peer_hello_3_2;
	struct peer_answer answer;

	(void)state;
	for (int roomy = 0; roomy <= 1; roomy++) {
		start(NULL);
		said.frame_max =
			roomy ? SPOE_STREAMS_MAX * ACK_MAX : SPOE_STREAMS_MAX * ACK_MAX - 1;
		peer_hello_write(&peer, &said);
		expect(SPOE_EVENT_HELLO);
		assert_int_equal(spoe_session_hello(&session, &agent), 0);
		assert_int_equal(
			peer_read((struct slice){(const char *)replied, spoe_writer_used(&agent)},
				&answer),
			SPOE_OK);
		assert_true(slice_eq_str(answer.capabilities, roomy ? "pipelining" : ""));
		assert_int_equal(answer.frame_max, SPOE_FRAME_MAX);
	}
}

static void answers_a_health_check_and_takes_no_messages_on_it(void **state)
{
	(void)state;
	peer_hello_write(&peer, &peer_hello_check);
	expect(SPOE_EVENT_HELLO);
	assert_true(session.peer.healthcheck);
	assert_int_equal(spoe_session_hello(&session, &agent), 0);
	notify(1, 1);
	expect_bad(SPOE_STATUS_INVALID);
}

static void hands_out_several_frames_of_one_read(void **state)
{
	struct spoe_event event;

	(void)state;
	for (uint64_t i = 0; i < 20; i++)
		notify(i, 20 - i);
	for (uint64_t i = 0; i < 20; i++) {
		assert_int_equal(next(&event), SPOE_OK);
		assert_int_equal(event.type, SPOE_EVENT_NOTIFY);
		assert_int_equal(event.frame_type, SPOE_FRAME_NOTIFY);
		assert_int_equal(event.notify.stream_id, i);
		assert_int_equal(event.notify.frame_id, 20 - i);
		assert_int_equal(event.notify.messages, 1);
	}
	assert_int_equal(next(&event), SPOE_MORE);
	assert_int_equal(taken, spoe_writer_used(&peer));
}

static void answers_duplicates_like_any_other(void **state)
{
	struct peer_answer answer;
	struct spoe_event event;
	struct spoe_ack ack;

	(void)state;
	notify(9, 2);
	notify(9, 2);
	notify(3, 1);
	for (int i = 0; i < 3; i++) {
		size_t mark = spoe_writer_used(&agent);

		assert_int_equal(next(&event), SPOE_OK);
		spoe_session_ack(&session, &ack, &agent, &event.notify);
		assert_int_equal(spoe_ack_end(&ack), 0);
		assert_int_equal(peer_read((struct slice){(const char *)replied + mark,
						   spoe_writer_used(&agent) - mark},
					 &answer),
			SPOE_OK);
		assert_int_equal(answer.stream_id, i < 2 ? 9 : 3);
		assert_int_equal(answer.frame_id, i < 2 ? 2 : 1);
	}
}

static void asks_for_more_at_every_cut_of_a_frame(void **state)
{
	struct spoe_event event;
	size_t consumed;

	(void)state;
	notify(1, 1);
	for (size_t n = 0; n < spoe_writer_used(&peer) - taken; n++) {
		const struct slice in = {(const char *)sent + taken, n};

		assert_int_equal(spoe_session_next(&session, in, &consumed, &event), SPOE_MORE);
		assert_int_equal(consumed, 0);
	}
	expect(SPOE_EVENT_NOTIFY);
}

static void hands_out_a_notify_without_messages(void **state)
{
	struct spoe_event event;

	(void)state;
	peer_notify_end(&peer, peer_notify_begin(&peer, 1, 1));
	assert_int_equal(next(&event), SPOE_OK);
	assert_int_equal(event.type, SPOE_EVENT_NOTIFY);
	assert_int_equal(event.notify.messages, 0);
}

static void says_goodbye_when_haproxy_does_and_ignores_the_rest(void **state)
{
	struct peer_answer answer;
	struct spoe_event event;

	(void)state;
	peer_disconnect_write(&peer, 0, "normal");
	notify(1, 1);
	spoe_writer_bytes(&peer, "\xff\xff\xff\xff rubbish", 12);
	assert_int_equal(next(&event), SPOE_OK);
	assert_int_equal(event.type, SPOE_EVENT_DISCONNECT);
	assert_int_equal(event.disconnect.code, 0);
	assert_true(slice_eq_str(event.disconnect.message, "normal"));
	assert_int_equal(next(&event), SPOE_MORE);
	assert_int_equal(taken, spoe_writer_used(&peer));
	assert_int_equal(spoe_session_disconnect(&session, &agent), 0);
	assert_int_equal(
		peer_read((struct slice){(const char *)replied, spoe_writer_used(&agent)}, &answer),
		SPOE_OK);
	assert_int_equal(answer.type, SPOE_FRAME_AGENT_DISCONNECT);
	assert_int_equal(answer.code, SPOE_STATUS_NORMAL);
}

static void refuses_any_frame_but_hello_first(void **state)
{
	static const uint8_t types[] = {3, 4, 77, 101, 102, 103, 255};

	(void)state;
	for (size_t i = 0; i < sizeof(types); i++) {
		start(NULL);
		peer_frame_write(&peer, types[i], SPOE_FLAG_FIN, 0, 0, SLICE_LITERAL(""));
		expect_bad(SPOE_STATUS_INVALID);
	}
}

static void takes_a_goodbye_before_hello(void **state)
{
	(void)state;
	peer_disconnect_write(&peer, 2, "a timeout occurred");
	expect(SPOE_EVENT_DISCONNECT);
}

static void refuses_a_second_hello(void **state)
{
	(void)state;
	peer_hello_write(&peer, &peer_hello_3_2);
	expect_bad(SPOE_STATUS_INVALID);
}

static void passes_on_why_a_hello_is_refused(void **state)
{
	struct peer_hello said = peer_hello_3_2;

	(void)state;
	said.versions = "1.0";
	peer_hello_write(&peer, &said);
	expect_bad(SPOE_STATUS_BAD_VERSION);
}

static void refuses_ids_in_frames_about_the_connection(void **state)
{
	(void)state;
	for (uint8_t type = 1; type <= 2; type++)
		for (uint64_t stream_id = 0; stream_id <= 1; stream_id++) {
			start(NULL);
			peer_frame_write(&peer, type, SPOE_FLAG_FIN, stream_id, 1 - stream_id,
				SLICE_LITERAL(""));
			expect_bad(SPOE_STATUS_INVALID);
		}
}

static void refuses_a_hello_above_its_own_frame_size(void **state)
{
	struct peer_hello said = peer_hello_3_2;
	char text[300] = {0};

	(void)state;
	memset(text, 'c', sizeof(text) - 1);
	said.capabilities = text;
	said.frame_max = 256;
	peer_hello_write(&peer, &said);
	expect_bad(SPOE_STATUS_TOO_BIG);
}

static void refuses_frames_above_the_negotiated_size(void **state)
{
	struct peer_hello said = peer_hello_3_2;
	char text[250] = {0};

	(void)state;
	for (size_t n = 241; n <= 242; n++) {
		size_t mark;

		start(NULL);
		said.frame_max = 256;
		peer_hello_write(&peer, &said);
		expect(SPOE_EVENT_HELLO);
		memset(text, 't', n);
		mark = peer_notify_begin(&peer, 1, 1);
		peer_message(&peer, "m", 1);
		peer_arg_str(&peer, "a", text);
		peer_notify_end(&peer, mark);
		assert_int_equal(spoe_writer_used(&peer) - mark, SPOE_LENGTH_SIZE + 15 + n);
		if (n == 241)
			expect(SPOE_EVENT_NOTIFY);
		else
			expect_bad(SPOE_STATUS_TOO_BIG);
	}
}

static void refuses_the_largest_frame_by_its_length_alone(void **state)
{
	(void)state;
	spoe_writer_u32(&peer, SPOE_FRAME_MAX + 1);
	expect_bad(SPOE_STATUS_TOO_BIG);
}

static void refuses_a_frame_of_no_length(void **state)
{
	(void)state;
	spoe_writer_u32(&peer, 0);
	expect_bad(SPOE_STATUS_INVALID);
}

static void refuses_fragments(void **state)
{
	static const uint8_t types[] = {0, 2, 3, 77};

	(void)state;
	for (size_t i = 0; i < sizeof(types); i++)
		for (uint32_t flags = 0; flags <= SPOE_FLAG_ABORT; flags += SPOE_FLAG_ABORT) {
			start_running(NULL);
			peer_frame_write(&peer, types[i], flags, 1, 1, SLICE_LITERAL(""));
			expect_bad(SPOE_STATUS_FRAGMENTED);
		}
	start_running(NULL);
	peer_frame_write(&peer, SPOE_FRAME_UNSET, SPOE_FLAG_FIN, 1, 1, SLICE_LITERAL(""));
	expect_bad(SPOE_STATUS_FRAGMENTED);
}

static void skips_frames_of_unknown_types(void **state)
{
	struct spoe_event event;

	(void)state;
	peer_frame_write(&peer, 77, SPOE_FLAG_FIN, 1, 1, SLICE_LITERAL("anything"));
	notify(1, 1);
	assert_int_equal(next(&event), SPOE_OK);
	assert_int_equal(event.type, SPOE_EVENT_SKIPPED);
	assert_int_equal(event.frame_type, 77);
	expect(SPOE_EVENT_NOTIFY);
}

static void refuses_frames_that_only_agents_send(void **state)
{
	(void)state;
	for (uint8_t type = SPOE_FRAME_AGENT_HELLO; type <= SPOE_FRAME_ACK; type++) {
		start_running(NULL);
		peer_frame_write(&peer, type, SPOE_FLAG_FIN, 1, 1, SLICE_LITERAL(""));
		expect_bad(SPOE_STATUS_INVALID);
	}
}

static void skips_a_notify_that_was_aborted(void **state)
{
	(void)state;
	peer_frame_write(
		&peer, SPOE_FRAME_NOTIFY, SPOE_FLAG_FIN | SPOE_FLAG_ABORT, 1, 1, SLICE_LITERAL(""));
	expect(SPOE_EVENT_SKIPPED);
}

static void ignores_reserved_flags(void **state)
{
	(void)state;
	peer_frame_write(&peer, SPOE_FRAME_NOTIFY, SPOE_FLAG_FIN | 0xfffffffc, 1, 1,
		SLICE_LITERAL("\x01m\x00"));
	expect(SPOE_EVENT_NOTIFY);
}

static void refuses_a_malformed_message_list(void **state)
{
	(void)state;
	peer_frame_write(&peer, SPOE_FRAME_NOTIFY, SPOE_FLAG_FIN, 1, 1,
		SLICE_LITERAL("\x01m\x01\x01"
			      "a"));
	expect_bad(SPOE_STATUS_INVALID);
}

#define FRESH(name) cmocka_unit_test_setup(name, start)
#define RUNNING(name) cmocka_unit_test_setup(name, start_running)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FRESH(shakes_hands_and_remembers_the_peer),
		FRESH(withholds_pipelining_where_acks_could_stall),
		FRESH(answers_a_health_check_and_takes_no_messages_on_it),
		RUNNING(hands_out_several_frames_of_one_read),
		RUNNING(answers_duplicates_like_any_other),
		RUNNING(asks_for_more_at_every_cut_of_a_frame),
		RUNNING(hands_out_a_notify_without_messages),
		RUNNING(says_goodbye_when_haproxy_does_and_ignores_the_rest),
		FRESH(refuses_any_frame_but_hello_first),
		FRESH(takes_a_goodbye_before_hello),
		RUNNING(refuses_a_second_hello),
		FRESH(passes_on_why_a_hello_is_refused),
		FRESH(refuses_ids_in_frames_about_the_connection),
		FRESH(refuses_a_hello_above_its_own_frame_size),
		FRESH(refuses_frames_above_the_negotiated_size),
		FRESH(refuses_the_largest_frame_by_its_length_alone),
		RUNNING(refuses_a_frame_of_no_length),
		RUNNING(refuses_fragments),
		RUNNING(skips_frames_of_unknown_types),
		RUNNING(refuses_frames_that_only_agents_send),
		RUNNING(skips_a_notify_that_was_aborted),
		RUNNING(ignores_reserved_flags),
		RUNNING(refuses_a_malformed_message_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
