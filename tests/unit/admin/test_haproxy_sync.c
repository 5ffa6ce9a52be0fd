#include "tests/unit/admin/room.h"

#include "admin/publish/change.h"
#include "admin/publish/generation.h"
#include "common/buffer.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BASE                                                                                       \
	"INSERT INTO upstreams (name, url, provider, created_ms)"                                  \
	" VALUES ('chat', 'http://127.0.0.1:9/api', 'openai', 0);"                                 \
	"INSERT INTO egresses (name, kind, address, created_ms)"                                   \
	" VALUES ('east', 'source', '127.0.0.9', 0);"                                              \
	"INSERT INTO accounts (name, upstream_id, source, created_ms) VALUES ('a', 1, 'token', 0)"

static struct json_object *options_of(const struct room *r)
{
	struct json_object *o = json_object_new_object();
	struct json_object *binds = json_object_new_array();
	char out[128];

	snprintf(out, sizeof(out), "%s/haproxy", r->dir);
	json_object_array_add(binds, json_object_new_string("127.0.0.1:8080"));
	json_object_object_add(o, "out", json_object_new_string(out));
	json_object_object_add(o, "bind", binds);
	return o;
}

static int configure(void **state)
{
	static const char text[] = "[spop]\nlisten = abns:relay-unit-test\n";
	struct room *r;

	room_setup(state);
	r = *state;
	assert_int_equal(
		config_parse(&r->control.config, "test.conf", slice_from_str(text), &r->e), 0);
	/* There is no agent, and control waits for none. */
	r->control.keeper_gone = true;
	close(r->agent_fd);
	r->agent_fd = -1;
	room_run(r, BASE);
	return 0;
}

static void take_outcome(void *context, const struct change_outcome *o)
{
	struct change_outcome *ret = context;

	*ret = *o;
}

/* Returns the error, with its reason in r->e. */
static int render_with(struct room *r, struct json_object *options, struct change_outcome *ret)
{
	assert_int_equal(change_render(&r->control, options, take_outcome, ret), 0);
	room_settle(r);
	r->e = ret->reason;
	return ret->error;
}

static int render(struct room *r, struct change_outcome *ret)
{
	struct json_object *o = options_of(r);
	int error = render_with(r, o, ret);

	json_object_put(o);
	return error;
}

static void take_check(void *context, int error, const struct errtext *why)
{
	struct room *r = context;

	r->e = *why;
	r->e.text[0] = error ? r->e.text[0] : '\0';
}

/* HAProxy's verdict about the files on disk; without a loop it is there at once. */
static int check(struct room *r)
{
	r->e.text[0] = '\0';
	int error = haproxy_sync_check(r->control.haproxy, take_check, r, &r->e);

	return error ? error : r->e.text[0] ? -EINVAL : 0;
}

static bool file_has(const struct room *r, const char *name, const char *word)
{
	char path[ROOM_PATH_MAX];
	struct buffer text = {0};

	snprintf(path, sizeof(path), "%s/haproxy/%s", r->dir, name);
	assert_int_equal(buffer_read_file(&text, path, 1 << 20), 0);
	bool found = strstr(buffer_str(&text), word) != NULL;
	buffer_fini(&text);
	return found;
}

static size_t count_files(const struct room *r)
{
	char path[ROOM_PATH_MAX];
	size_t n = 0;

	snprintf(path, sizeof(path), "%s/haproxy", r->dir);
	DIR *d = opendir(path);
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	closedir(d);
	return n;
}

static struct change_outcome change(struct room *r, const char *sql)
{
	struct change_outcome outcome = {.error = 1};

	room_run(r, sql);
	assert_int_equal(store_bump_version(r->control.store, &r->e), 0);
	assert_int_equal(change_publish(&r->control, CHANGE_HAPROXY, take_outcome, &outcome), 0);
	room_settle(r);
	assert_int_equal(outcome.error, 0);
	return outcome;
}

static void nothing_is_written_before_the_first_render(void **state)
{
	struct room *r = *state;
	struct change_outcome outcome = change(r, "UPDATE accounts SET weight = 5");
	struct haproxy_state s;

	assert_int_equal(outcome.haproxy, HAPROXY_UNCHANGED);
	assert_int_equal(generation_current(r->control.store), 0);
	assert_int_equal(check(r), -EINVAL);
	haproxy_sync_state(r->control.haproxy, &s);
	assert_string_equal(s.output_dir, "");
}

static void renders_checks_and_keeps_its_options(void **state)
{
	struct room *r = *state;
	struct change_outcome outcome;
	struct stat st;
	char path[ROOM_PATH_MAX];

	if (render(r, &outcome) < 0)
		fail_msg("%s", r->e.text);
	assert_int_equal(outcome.haproxy, HAPROXY_PENDING);
	assert_non_null(strstr(outcome.haproxy_error.text, "master_socket"));
	assert_int_equal(count_files(r), 2);
	assert_true(file_has(r, RENDER_CFG_NAME, "b1-chat-direct"));
	snprintf(path, sizeof(path), "%s/haproxy/%s", r->dir, RENDER_CFG_NAME);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_int_equal(check(r), 0);
	/* A restarted control reads the options from the store. */
	haproxy_sync_free(r->control.haproxy);
	r->control.haproxy = haproxy_sync_new(&r->control, &r->e);
	outcome = change(r, "INSERT INTO account_egresses VALUES (1, 2, 1)");
	assert_int_equal(outcome.haproxy, HAPROXY_PENDING);
	assert_int_equal(generation_current(r->control.store), 2);
	assert_true(file_has(r, RENDER_CFG_NAME, "b2-chat-east"));
	assert_false(file_has(r, RENDER_CFG_NAME, "b1-chat-direct"));
	assert_true(file_has(r, RENDER_CFG_NAME, "127.0.0.1:8080"));
}

/* A HAProxy that does not run reads the files when it starts; one that runs goes on without them. */
static void a_change_fails_if_haproxy_runs_without_it(void **state)
{
	struct room *r = *state;
	board_counter *connections = &r->board->counters[BOARD_SPOP_CONNECTIONS];
	struct change_outcome outcome;

	assert_int_equal(render(r, &outcome), 0);
	assert_int_equal(outcome.haproxy, HAPROXY_PENDING);
	assert_false(outcome.haproxy_failed);
	board_set(connections, 1);
	outcome = change(r, "INSERT INTO account_egresses VALUES (1, 2, 1)");
	assert_int_equal(outcome.haproxy, HAPROXY_PENDING);
	assert_true(outcome.haproxy_failed);
	/* the agent alone needs this one */
	outcome = change(r, "UPDATE accounts SET weight = 7");
	assert_int_equal(outcome.haproxy, HAPROXY_PENDING);
	assert_false(outcome.haproxy_failed);
	/* a requested reload happens or returns an error */
	board_set(connections, 0);
	assert_int_equal(change_publish(&r->control, CHANGE_RELOAD, take_outcome, &outcome), 0);
	room_settle(r);
	assert_true(outcome.haproxy_failed);
}

static void a_change_irrelevant_to_haproxy_makes_no_generation(void **state)
{
	struct room *r = *state;
	struct change_outcome outcome;

	assert_int_equal(render(r, &outcome), 0);
	change(r, "UPDATE accounts SET weight = 7");
	assert_int_equal(generation_current(r->control.store), 1);
	assert_int_equal(render(r, &outcome), 0);
	assert_int_equal(generation_current(r->control.store), 1);
}

static void a_refused_render_changes_nothing(void **state)
{
	struct room *r = *state;
	struct change_outcome outcome;
	struct json_object *o;

	assert_int_equal(render(r, &outcome), 0);
	o = options_of(r);
	json_object_object_add(o, "cert", json_object_new_string("/nowhere/cert.pem"));
	assert_true(render_with(r, o, &outcome) < 0);
	assert_non_null(strstr(r->e.text, "/nowhere/cert.pem"));
	json_object_put(o);
	assert_int_equal(generation_current(r->control.store), 1);
	assert_false(file_has(r, RENDER_CFG_NAME, "/nowhere"));
	assert_int_equal(count_files(r), 2);
	/* Later changes use the options of the last good render. */
	change(r, "INSERT INTO account_egresses VALUES (1, 2, 1)");
	assert_true(file_has(r, RENDER_CFG_NAME, "b2-chat-east"));
}

static void a_failing_haproxy_binary_keeps_the_change_pending(void **state)
{
	struct room *r = *state;
	struct change_outcome outcome;
	struct haproxy_state s;

	assert_int_equal(render(r, &outcome), 0);
	snprintf(r->control.config.haproxy_binary.s, sizeof(r->control.config.haproxy_binary.s),
		"/nowhere/haproxy");
	outcome = change(r, "INSERT INTO account_egresses VALUES (1, 2, 1)");
	assert_int_equal(outcome.haproxy, HAPROXY_PENDING);
	assert_non_null(strstr(outcome.haproxy_error.text, "/nowhere/haproxy"));
	assert_true(outcome.haproxy_failed);
	assert_int_equal(generation_current(r->control.store), 1);
	assert_int_equal(room_number(r, "SELECT count(*) FROM backends"), 1);
	haproxy_sync_state(r->control.haproxy, &s);
	assert_true(s.pending);
	/* After the repair, the retry succeeds. */
	config_init(&r->control.config);
	assert_int_equal(config_parse(&r->control.config, "test.conf",
				 SLICE_LITERAL("[spop]\nlisten = abns:relay-unit-test\n"), &r->e),
		0);
	changes_retry(r->control.changes);
	room_settle(r);
	assert_int_equal(generation_current(r->control.store), 2);
	assert_true(file_has(r, RENDER_CFG_NAME, "b2-chat-east"));
}

/* The reload was put off, the rendering was not. */
static void without_a_reload_a_rendering_that_fails_is_a_failure_too(void **state)
{
	struct room *r = *state;
	struct change_outcome outcome = {.error = 1};

	assert_int_equal(render(r, &outcome), 0);
	snprintf(r->control.config.haproxy_binary.s, sizeof(r->control.config.haproxy_binary.s),
		"/nowhere/haproxy");
	room_run(r, "INSERT INTO account_egresses VALUES (1, 2, 1)");
	assert_int_equal(store_bump_version(r->control.store, &r->e), 0);
	assert_int_equal(change_publish(&r->control, CHANGE_FILES, take_outcome, &outcome), 0);
	room_settle(r);
	assert_int_equal(outcome.haproxy, HAPROXY_PENDING);
	assert_true(outcome.haproxy_failed);
	assert_non_null(strstr(outcome.haproxy_error.text, "/nowhere/haproxy"));
}

static void a_haproxy_that_was_used_and_is_gone_lacks_a_change(void **state)
{
	struct room *r = *state;
	struct change_outcome outcome;

	assert_int_equal(render(r, &outcome), 0);
	assert_false(haproxy_sync_owes(r->control.haproxy));
	/* it has greeted the agent, and has no connection now */
	board_set(&r->board->frames[0], 1);
	outcome = change(r, "INSERT INTO account_egresses VALUES (1, 2, 1)");
	assert_int_equal(outcome.haproxy, HAPROXY_PENDING);
	assert_true(outcome.haproxy_failed);
	assert_true(haproxy_sync_owes(r->control.haproxy));
	/* it reads the files when it starts, and files are what this asks for */
	assert_int_equal(render(r, &outcome), 0);
	assert_false(outcome.haproxy_failed);
}

static void files_are_never_written_from_a_failed_rendering(void **state)
{
	struct room *r = *state;
	struct change_outcome outcome;
	char path[ROOM_PATH_MAX];

	assert_int_equal(render(r, &outcome), 0);
	/* A directory in its place keeps the file from being written. */
	snprintf(path, sizeof(path), "%s/haproxy/%s", r->dir, RENDER_CFG_NAME);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0755), 0);
	outcome = change(r, "INSERT INTO account_egresses VALUES (1, 2, 1)");
	assert_int_equal(outcome.haproxy, HAPROXY_PENDING);
	assert_int_equal(rmdir(path), 0);
	snprintf(r->control.config.haproxy_binary.s, sizeof(r->control.config.haproxy_binary.s),
		"/nowhere/haproxy");
	outcome = change(r, "DELETE FROM account_egresses");
	assert_non_null(strstr(outcome.haproxy_error.text, "/nowhere/haproxy"));
	assert_int_equal(access(path, F_OK), -1);
}

static void lost_files_are_written_again(void **state)
{
	struct room *r = *state;
	struct change_outcome outcome;
	char path[ROOM_PATH_MAX];

	assert_int_equal(render(r, &outcome), 0);
	snprintf(path, sizeof(path), "%s/haproxy/%s", r->dir, RENDER_CFG_NAME);
	assert_int_equal(unlink(path), 0);
	change(r, "UPDATE accounts SET weight = 9");
	assert_true(file_has(r, RENDER_CFG_NAME, "b1-chat-direct"));
	assert_int_equal(generation_current(r->control.store), 1);
}

static void the_output_directory_is_checked(void **state)
{
	struct room *r = *state;
	struct change_outcome outcome;
	struct json_object *o = options_of(r);

	json_object_object_add(o, "out", json_object_new_string("relative"));
	assert_int_equal(render_with(r, o, &outcome), -EINVAL);
	json_object_object_add(o, "out", json_object_new_string("/nowhere/at/all"));
	assert_int_equal(render_with(r, o, &outcome), -EINVAL);
	assert_non_null(strstr(r->e.text, "/nowhere/at/all"));
	json_object_put(o);
}

static void a_configured_output_directory_is_the_only_one(void **state)
{
	struct room *r = *state;
	struct change_outcome outcome;
	struct json_object *o = options_of(r);

	snprintf(r->control.config.haproxy_output_dir.s,
		sizeof(r->control.config.haproxy_output_dir.s), "%s/haproxy", r->dir);
	assert_int_equal(render_with(r, o, &outcome), 0);
	json_object_object_add(o, "out", json_object_new_string(r->dir));
	assert_int_equal(render_with(r, o, &outcome), -EINVAL);
	assert_non_null(strstr(r->e.text, "output_dir"));
	json_object_put(o);
}

/* Anybody with the admin socket could run a program as control's user otherwise. */
static void no_option_of_a_request_names_a_program(void **state)
{
	struct room *r = *state;
	struct change_outcome outcome;
	struct json_object *o = options_of(r);

	json_object_object_add(o, "haproxy", json_object_new_string("/nowhere/haproxy"));
	assert_int_equal(render_with(r, o, &outcome), 0);
	assert_int_equal(check(r), 0);
	json_object_put(o);
}

/* The server line of the given section, to its end. */
static void assert_server(const struct room *r, const char *section, const char *server)
{
	char path[ROOM_PATH_MAX];
	struct buffer text = {0};

	snprintf(path, sizeof(path), "%s/haproxy/relay.cfg", r->dir);
	assert_int_equal(buffer_read_file(&text, path, 1 << 20), 0);
	const char *at = strstr(buffer_str(&text), section);
	assert_non_null(at);
	at = strstr(at, "\tserver out ");
	assert_non_null(at);
	assert_int_equal(strncmp(at + strlen("\tserver out "), server, strlen(server)), 0);
	buffer_fini(&text);
}

static void renders_backends_for_token_hosts_and_echo_endpoints(void **state)
{
	struct room *r = *state;
	struct change_outcome outcome;

	assert_int_equal(render(r, &outcome), 0);
	assert_true(file_has(r, "relay.cfg", "haproxy-internal.sock' mode 600 uid "));
	assert_false(file_has(r, "relay.cfg", "\nbackend t"));
	assert_false(file_has(r, "relay.cfg", "\nbackend c-"));
	snprintf(r->control.config.health_echo_url.s, sizeof(r->control.config.health_echo_url.s),
		"http://127.0.0.1:7/ip");
	change(r,
		"UPDATE upstreams SET token_url = 'http://127.0.0.1:8/oauth/token';"
		"INSERT INTO account_egresses VALUES (1, 2, 0);"
		"INSERT INTO accounts (name, upstream_id, source, created_ms)"
		" VALUES ('b', 1, 'token', 0)");
	assert_server(r, "\nbackend t1-e1 ", "127.0.0.1:8 tcp-ut 15s\n");
	assert_server(r, "\nbackend t1-e2 ", "127.0.0.1:8 source 127.0.0.9 tcp-ut 15s\n");
	assert_server(r, "\nbackend c-e1 ", "127.0.0.1:7 tcp-ut 15s\n");
	assert_server(r, "\nbackend c-e2 ", "127.0.0.1:7 source 127.0.0.9 tcp-ut 15s\n");
}

static void renders_agent_checks_for_a_local_agent(void **state)
{
	struct room *r = *state;
	struct change_outcome outcome;

	assert_int_equal(render(r, &outcome), 0);
	assert_false(file_has(r, "relay.cfg", " agent-check "));
	snprintf(r->control.config.check_listen.s, sizeof(r->control.config.check_listen.s),
		"tcp:0.0.0.0:8812");
	assert_int_equal(render(r, &outcome), 0);
	assert_true(file_has(r, "relay.cfg",
		" agent-check agent-addr 127.0.0.1 agent-port 8812 agent-inter 2s"
		" agent-send \"b1-chat-direct\\n\""));
}

static void renders_the_limit_headers_of_the_provider(void **state)
{
	struct room *r = *state;
	struct change_outcome outcome;

	assert_int_equal(render(r, &outcome), 0);
	assert_true(file_has(r, "relay.cfg", "res.hdr_names -m sub x-ratelimit- }"));
	change(r, "UPDATE upstreams SET provider = 'anthropic'");
	assert_false(file_has(r, "relay.cfg", "res.hdr_names -m sub x-ratelimit- }"));
	assert_true(file_has(r, "relay.cfg", "res.hdr_names -m sub anthropic-ratelimit- }"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, configure, room_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_written_before_the_first_render),
		TEST(renders_checks_and_keeps_its_options),
		TEST(a_change_fails_if_haproxy_runs_without_it),
		TEST(a_change_irrelevant_to_haproxy_makes_no_generation),
		TEST(a_refused_render_changes_nothing),
		TEST(a_failing_haproxy_binary_keeps_the_change_pending),
		TEST(without_a_reload_a_rendering_that_fails_is_a_failure_too),
		TEST(a_haproxy_that_was_used_and_is_gone_lacks_a_change),
		TEST(files_are_never_written_from_a_failed_rendering),
		TEST(lost_files_are_written_again),
		TEST(the_output_directory_is_checked),
		TEST(a_configured_output_directory_is_the_only_one),
		TEST(no_option_of_a_request_names_a_program),
		TEST(renders_backends_for_token_hosts_and_echo_endpoints),
		TEST(renders_agent_checks_for_a_local_agent),
		TEST(renders_the_limit_headers_of_the_provider),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
