/* How changes go into force: in rounds, HAProxy after the agent, and nobody waits in the loop. */
#include "tests/unit/admin/room.h"

#include "admin/publish/generation.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define BASE                                                                                       \
	"INSERT INTO upstreams (name, url, provider, created_ms)"                                  \
	" VALUES ('chat', 'http://127.0.0.1:9/api', 'openai', 0);"                                 \
	"INSERT INTO egresses (name, kind, address, created_ms)"                                   \
	" VALUES ('east', 'source', '127.0.0.9', 0);"                                              \
	"INSERT INTO accounts (name, upstream_id, source, created_ms) VALUES ('a', 1, 'token', 0)"

struct told {
	int times;
	struct change_outcome outcome;
};

static void on_told(void *context, const struct change_outcome *o)
{
	struct told *t = context;

	t->times++;
	t->outcome = *o;
}

static void change(struct room *r, enum change_reach reach, const char *sql, struct told *told)
{
	*told = (struct told){.times = 0};
	room_run(r, sql);
	assert_int_equal(store_bump_version(r->control.store, &r->e), 0);
	assert_int_equal(change_publish(&r->control, reach, on_told, told), 0);
}

/* The agent's answer to the newest version; what control does before it sleeps. */
static void answer(struct room *r, int error)
{
	room_acknowledge(r, publish_version(r->control.publish), error);
	publish_receive(r->control.publish);
	changes_run(r->control.changes);
}

static int publications(struct room *r)
{
	struct channel_message m;
	int fds[CHANNEL_FDS_MAX];
	int n = 0;

	for (; channel_receive(r->agent_fd, &m, fds) == 0; n++) {
		close(fds[0]);
		close(fds[1]);
	}
	return n;
}

static int setup(void **state)
{
	static const char text[] = "[spop]\nlisten = abns:relay-unit-test\n";
	struct room *r;

	room_setup(state);
	r = *state;
	assert_int_equal(
		config_parse(&r->control.config, "test.conf", slice_from_str(text), &r->e), 0);
	room_run(r, BASE);
	return 0;
}

static void a_change_is_told_when_the_agent_has_it(void **state)
{
	struct room *r = *state;
	struct told told;

	change(r, CHANGE_AGENT, "UPDATE accounts SET weight = 5", &told);
	assert_int_equal(publications(r), 0);
	changes_run(r->control.changes);
	assert_int_equal(publications(r), 1);
	assert_int_equal(told.times, 0);
	answer(r, 0);
	assert_int_equal(told.times, 1);
	assert_int_equal(told.outcome.error, 0);
	assert_true(told.outcome.acknowledged);
	assert_string_equal(told.outcome.warning.text, "");
	assert_false(changes_busy(r->control.changes));
}

static void changes_of_a_round_share_the_next_one(void **state)
{
	struct room *r = *state;
	struct told told[3];

	change(r, CHANGE_AGENT, "UPDATE accounts SET weight = 1", &told[0]);
	changes_run(r->control.changes);
	change(r, CHANGE_AGENT, "UPDATE accounts SET weight = 2", &told[1]);
	changes_run(r->control.changes);
	change(r, CHANGE_AGENT, "UPDATE accounts SET weight = 3", &told[2]);
	changes_run(r->control.changes);
	assert_int_equal(publications(r), 1);
	answer(r, 0);
	assert_int_equal(told[0].times, 1);
	assert_int_equal(told[1].times + told[2].times, 0);
	assert_int_equal(publications(r), 1);
	answer(r, 0);
	assert_int_equal(told[1].times, 1);
	assert_int_equal(told[2].times, 1);
	assert_int_equal(publications(r), 0);
}

static void a_refusal_is_a_warning_with_its_reason(void **state)
{
	struct room *r = *state;
	struct told told;

	change(r, CHANGE_AGENT, "UPDATE accounts SET weight = 5", &told);
	changes_run(r->control.changes);
	answer(r, -EBADMSG);
	assert_int_equal(told.times, 1);
	assert_int_equal(told.outcome.error, 0);
	assert_false(told.outcome.acknowledged);
	assert_non_null(strstr(told.outcome.warning.text, "refused the snapshot: a row points"));
}

static void waits_for_no_agent(struct room *r)
{
	struct told told;

	close(r->agent_fd);
	r->agent_fd = -1;
	change(r, CHANGE_AGENT, "UPDATE accounts SET weight = 5", &told);
	changes_run(r->control.changes);
	assert_int_equal(told.times, 1);
	assert_false(told.outcome.acknowledged);
	assert_non_null(strstr(told.outcome.warning.text, "not running"));
}

static void without_an_agent_and_a_keeper_nothing_is_waited_for(void **state)
{
	struct room *r = *state;

	r->control.keeper_gone = true;
	waits_for_no_agent(r);
}

/* The agent has drained, and it is control's turn to end. */
static void at_the_end_of_a_drain_nothing_is_waited_for(void **state)
{
	struct room *r = *state;

	r->control.draining = true;
	waits_for_no_agent(r);
}

static void a_snapshot_that_cannot_be_built_is_an_error(void **state)
{
	struct room *r = *state;
	struct told told;

	change(r, CHANGE_AGENT, "INSERT INTO tenants (name, wait, created_ms) VALUES ('t', 'x', 0)",
		&told);
	changes_run(r->control.changes);
	assert_int_equal(told.times, 1);
	assert_int_equal(told.outcome.error, -EBADMSG);
	assert_non_null(
		strstr(told.outcome.reason.text, "the change is stored but not in force: "));
	assert_false(changes_busy(r->control.changes));
	/* a later one is not held up */
	change(r, CHANGE_AGENT, "UPDATE tenants SET wait = 'refuse'", &told);
	changes_run(r->control.changes);
	answer(r, 0);
	assert_true(told.outcome.acknowledged);
}

/* --- HAProxy --- */

static void render(struct room *r, const char *cert, struct told *told)
{
	struct json_object *o = json_object_new_object();
	struct json_object *binds = json_object_new_array();
	char out[128];

	*told = (struct told){.times = 0};
	snprintf(out, sizeof(out), "%s/haproxy", r->dir);
	json_object_array_add(binds, json_object_new_string("127.0.0.1:8080"));
	json_object_object_add(o, "out", json_object_new_string(out));
	json_object_object_add(o, "bind", binds);
	if (cert)
		json_object_object_add(o, "cert", json_object_new_string(cert));
	assert_int_equal(change_render(&r->control, o, on_told, told), 0);
	json_object_put(o);
}

static bool files_have(const struct room *r, const char *word)
{
	char path[ROOM_PATH_MAX];
	struct buffer text = {0};

	snprintf(path, sizeof(path), "%s/haproxy/%s", r->dir, RENDER_CFG_NAME);
	bool found = buffer_read_file(&text, path, 1 << 20) == 0 &&
		strstr(buffer_str(&text), word) != NULL;
	buffer_fini(&text);
	return found;
}

static void render_first(struct room *r)
{
	struct told told;

	render(r, NULL, &told);
	changes_run(r->control.changes);
	assert_false(files_have(r, "b1-chat-direct"));
	answer(r, 0);
	assert_int_equal(told.times, 1);
	assert_int_equal(told.outcome.error, 0);
	assert_true(files_have(r, "b1-chat-direct"));
}

static void haproxy_is_told_after_the_agent(void **state)
{
	struct room *r = *state;
	struct told told[2];

	render_first(r);
	change(r, CHANGE_HAPROXY, "INSERT INTO account_egresses VALUES (1, 2, 1)", &told[0]);
	changes_run(r->control.changes);
	assert_int_equal(generation_current(r->control.store), 2);
	/* the next round's rendering must not replace this one's before it is written */
	change(r, CHANGE_HAPROXY, "DELETE FROM account_egresses", &told[1]);
	changes_retry(r->control.changes);
	changes_run(r->control.changes);
	assert_int_equal(generation_current(r->control.store), 2);
	assert_true(files_have(r, "b1-chat-direct"));
	answer(r, 0);
	assert_int_equal(told[0].times, 1);
	assert_int_equal(told[1].times, 0);
	assert_int_equal(generation_current(r->control.store), 3);
	assert_true(files_have(r, "b2-chat-east"));
	answer(r, 0);
	assert_int_equal(told[1].times, 1);
	assert_true(files_have(r, "b3-chat-direct"));
}

static void each_change_is_told_what_it_has_asked_for(void **state)
{
	struct room *r = *state;
	struct told agent;
	struct told files;

	render_first(r);
	change(r, CHANGE_AGENT, "UPDATE accounts SET weight = 5", &agent);
	change(r, CHANGE_FILES, "INSERT INTO account_egresses VALUES (1, 2, 1)", &files);
	changes_run(r->control.changes);
	answer(r, 0);
	assert_int_equal(agent.outcome.haproxy, HAPROXY_UNCHANGED);
	assert_int_equal(files.outcome.haproxy, HAPROXY_PENDING);
	/* no reload was wanted, so its failure is not reported */
	assert_string_equal(files.outcome.haproxy_error.text, "");
	change(r, CHANGE_FILES, "DELETE FROM account_egresses", &files);
	change(r, CHANGE_HAPROXY, "UPDATE accounts SET weight = 6", &agent);
	changes_run(r->control.changes);
	answer(r, 0);
	assert_non_null(strstr(files.outcome.haproxy_error.text, "master_socket"));
	assert_false(files.outcome.haproxy_failed);
	assert_non_null(strstr(agent.outcome.haproxy_error.text, "master_socket"));
}

static void the_error_of_a_rendering_is_no_others_error(void **state)
{
	struct room *r = *state;
	struct told bad;
	struct told good;

	render_first(r);
	render(r, "/nowhere/cert.pem", &bad);
	change(r, CHANGE_AGENT, "UPDATE accounts SET weight = 5", &good);
	changes_run(r->control.changes);
	assert_int_equal(bad.times, 1);
	assert_int_equal(bad.outcome.error, -EINVAL);
	assert_non_null(strstr(bad.outcome.reason.text, "/nowhere/cert.pem"));
	answer(r, 0);
	assert_int_equal(good.times, 1);
	assert_int_equal(good.outcome.error, 0);
}

static void the_end_of_control_ends_all_that_wait(void **state)
{
	struct room *r = *state;
	struct told told[2];

	change(r, CHANGE_AGENT, "UPDATE accounts SET weight = 1", &told[0]);
	changes_run(r->control.changes);
	change(r, CHANGE_AGENT, "UPDATE accounts SET weight = 2", &told[1]);
	changes_free(r->control.changes);
	r->control.changes = NULL;
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(told[i].times, 1);
		assert_int_equal(told[i].outcome.error, -EPIPE);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, room_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_change_is_told_when_the_agent_has_it),
		TEST(changes_of_a_round_share_the_next_one),
		TEST(a_refusal_is_a_warning_with_its_reason),
		TEST(without_an_agent_and_a_keeper_nothing_is_waited_for),
		TEST(at_the_end_of_a_drain_nothing_is_waited_for),
		TEST(a_snapshot_that_cannot_be_built_is_an_error),
		TEST(haproxy_is_told_after_the_agent),
		TEST(each_change_is_told_what_it_has_asked_for),
		TEST(the_error_of_a_rendering_is_no_others_error),
		TEST(the_end_of_control_ends_all_that_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
