#include "tests/unit/admin/room.h"

#include "admin/control_keeper.h"
#include "admin/publish/change.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct hall {
	struct room *room;
	int keeper_fd; /* the keeper's end */
};

static int hall_setup(void **state)
{
	static struct hall h;
	int pair[2];

	h.room = room_new();
	assert_int_equal(channel_pair(pair), 0);
	h.room->control.keeper_fd = pair[0];
	h.keeper_fd = pair[1];
	*state = &h;
	return 0;
}

static int hall_teardown(void **state)
{
	struct hall *h = *state;

	if (h->keeper_fd >= 0)
		close(h->keeper_fd);
	close(h->room->control.keeper_fd);
	room_free(h->room);
	return 0;
}

static void tell(struct hall *h, enum channel_type type, int fd)
{
	struct channel_message m = {.type = (uint32_t)type};

	m.processes[CHILD_AGENT].pid = 4711;
	assert_int_equal(channel_send(h->keeper_fd, &m, &fd, fd >= 0 ? 1 : 0), 0);
}

static void take_outcome(void *context, const struct change_outcome *o)
{
	struct change_outcome *ret = context;

	*ret = *o;
}

static void a_question_is_answered_and_its_time_kept(void **state)
{
	struct hall *h = *state;
	struct control *c = &h->room->control;
	struct channel_message m;
	int fds[CHANNEL_FDS_MAX];

	c->pinged_ms = 1;
	tell(h, CHANNEL_PROCESSES, -1);
	control_keeper_receive(c);
	assert_int_equal(c->pinged_ms, 1);
	tell(h, CHANNEL_PING, -1);
	control_keeper_receive(c);
	assert_true(c->pinged_ms > 1);
	assert_int_equal(channel_receive(h->keeper_fd, &m, fds), 0);
	assert_int_equal(m.type, CHANNEL_PONG);
}

/* The agent dies before the acknowledgement; the change waits for the next agent's. */
static void a_change_outlives_the_agent_it_was_sent_to(void **state)
{
	struct hall *h = *state;
	struct room *r = h->room;
	struct change_outcome outcome = {.error = 1};
	struct room_seen seen;
	int pair[2];

	assert_int_equal(store_bump_version(r->control.store, &r->e), 0);
	assert_int_equal(change_publish(&r->control, CHANGE_AGENT, take_outcome, &outcome), 0);
	changes_run(r->control.changes);
	close(r->agent_fd);
	publish_receive(r->control.publish);
	assert_int_equal(publish_fd(r->control.publish), -1);
	assert_true(changes_busy(r->control.changes));
	assert_int_equal(channel_pair(pair), 0);
	r->agent_fd = pair[1];
	tell(h, CHANNEL_PEER, pair[0]);
	close(pair[0]);
	control_keeper_receive(&r->control);
	/* The acknowledgement is there once the snapshot was sent. */
	room_acknowledge(r, store_version(r->control.store), 0);
	room_settle(r);
	assert_int_equal(outcome.error, 0);
	assert_true(outcome.acknowledged);
	room_take(r, &seen);
	assert_true(seen.version == store_version(r->control.store));
	room_seen_fini(&seen);
}

static void stores_the_messages_of_the_keeper(void **state)
{
	struct hall *h = *state;
	struct control *c = &h->room->control;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	tell(h, CHANNEL_PROCESSES, -1);
	tell(h, CHANNEL_RELOAD, fd);
	tell(h, CHANNEL_RELOAD, fd); /* the newer one wins */
	close(fd);
	control_keeper_receive(c);
	assert_int_equal(c->processes[CHILD_AGENT].pid, 4711);
	assert_true(c->reload_fd >= 0);
	close(c->reload_fd);
	assert_false(c->draining);
	tell(h, CHANNEL_DRAIN, -1);
	control_keeper_receive(c);
	assert_true(c->draining);
	assert_false(c->keeper_gone);
	close(h->keeper_fd);
	h->keeper_fd = -1;
	control_keeper_receive(c);
	assert_true(c->keeper_gone);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, hall_setup, hall_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_question_is_answered_and_its_time_kept),
		TEST(a_change_outlives_the_agent_it_was_sent_to),
		TEST(stores_the_messages_of_the_keeper),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
