/* One line for each request, with names, as the configuration asks for. */
#include "tests/unit/admin/room.h"

#include "admin/upkeep/accesslog.h"
#include "common/clock.h"
#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAMES                                                                                       \
	"INSERT INTO upstreams (name, url, provider, created_ms) VALUES"                            \
	" ('chat', 'https://h', 'openai', 0);"                                                      \
	"INSERT INTO accounts (name, upstream_id, source, created_ms) VALUES ('a', 1, 'token', 0);" \
	"INSERT INTO pools (name, upstream_id, created_ms) VALUES ('main', 1, 0);"                  \
	"INSERT INTO tenants (name, created_ms) VALUES ('acme', 0)"

struct capture {
	int fd, saved;
	char path[32];
};

static void capture_start(struct capture *c)
{
	strcpy(c->path, "/tmp/relay-access-XXXXXX");
	c->fd = mkstemp(c->path);
	c->saved = dup(STDERR_FILENO);
	assert_true(c->fd >= 0 && c->saved >= 0);
	dup2(c->fd, STDERR_FILENO);
	/* access lines have a separate switch */
	log_init("control", LOG_LEVEL_ERROR);
}

/* The lines as an array of objects; the caller puts it. */
static json_object *capture_stop(struct capture *c)
{
	char *text = calloc(1, 1 << 20);
	json_object *lines = json_object_new_array();
	char *rest = text;
	char *line;

	dup2(c->saved, STDERR_FILENO);
	close(c->saved);
	log_init("test", LOG_LEVEL_ERROR);
	assert_true(pread(c->fd, text, (1 << 20) - 1, 0) >= 0);
	close(c->fd);
	unlink(c->path);
	while ((line = strsep(&rest, "\n")) && *line) {
		json_object *o = json_tokener_parse(line);
		assert_non_null(o);
		json_object_array_add(lines, o);
	}
	free(text);
	return lines;
}

static json_object *lines_of(struct accesslog *a)
{
	struct capture c;

	capture_start(&c);
	while (accesslog_poll(a))
		;
	return capture_stop(&c);
}

static void is(json_object *o, const char *field, const char *value)
{
	json_object *has = NULL;

	if (!json_object_object_get_ex(o, field, &has))
		fail_msg("%s lacks %s", json_object_to_json_string(o), field);
	const char *text = has ? json_object_get_string(has) : "null";
	if (strcmp(text, value) != 0)
		fail_msg("%s is %s instead of %s", field, text, value);
}

static void put_served(struct room *r, uint16_t status)
{
	board_put_request(r->board,
		&(struct board_request){.id = {1, 2, 3},
			.started_ms = clock_wall_ms(),
			.tenant = 1,
			.key = 7,
			.account = 1,
			.egress = 1,
			.upstream = 1,
			.pool = 1,
			.provider = 1,
			.status = status,
			.retries = 1,
			.tries = 2,
			.circuit = 2,
			.active = 3,
			.conversation = 0xabc,
			.relay_ms = 4,
			.ttfb_ms = 104,
			.duration_ms = 2000,
			.bytes_in = 10,
			.bytes_out = 20,
			.termination = "--",
			.method = "POST",
			.path = "/v1/responses",
			.region = "eu",
			.label = "mine"});
}

static void put_refused(struct room *r)
{
	board_put_request(r->board,
		&(struct board_request){.started_ms = clock_wall_ms(),
			.status = 401,
			.relay_ms = -1,
			.ttfb_ms = -1,
			.duration_ms = 0,
			.termination = "LR",
			.code = "missing_api_key",
			.method = "GET",
			.path = "/v1/models"});
}

static void a_line_has_names_and_both_latencies(void **state)
{
	static const char *const fields[][2] = {{"msg", "access"}, {"level", "info"},
		{"tenant", "acme"}, {"key", "7"}, {"pool", "main"}, {"account", "a"},
		{"egress", "direct"}, {"upstream", "chat"}, {"region", "eu"}, {"method", "POST"},
		{"path", "/v1/responses"}, {"status", "200"}, {"code", "null"}, {"attempts", "2"},
		{"retries", "1"}, {"circuit", "open"}, {"conversation", "0000000000000abc"},
		{"concurrency", "3"}, {"relay_ms", "4"}, {"upstream_ms", "100"},
		{"duration_ms", "2000"}, {"bytes_in", "10"}, {"bytes_out", "20"},
		{"termination", "--"}, {"label", "mine"}};
	struct room *r = *state;
	struct accesslog *a = calloc(1, sizeof(*a));

	a->control = &r->control;
	r->control.config.log_requests = LOG_REQUESTS_ALL;
	room_run(r, NAMES);
	put_served(r, 200);
	json_object *lines = lines_of(a);
	assert_int_equal(json_object_array_length(lines), 1);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		is(json_object_array_get_idx(lines, 0), fields[i][0], fields[i][1]);
	json_object_put(lines);
	free(a);
}

static void what_is_not_known_is_null(void **state)
{
	static const char *const fields[] = {"tenant", "key", "pool", "account", "egress",
		"upstream", "provider", "region", "attempts", "circuit", "conversation",
		"concurrency", "relay_ms", "upstream_ms", "label"};
	struct room *r = *state;
	struct accesslog *a = calloc(1, sizeof(*a));

	a->control = &r->control;
	r->control.config.log_requests = LOG_REQUESTS_ERRORS;
	put_refused(r);
	json_object *lines = lines_of(a);
	assert_int_equal(json_object_array_length(lines), 1);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		is(json_object_array_get_idx(lines, 0), fields[i], "null");
	is(json_object_array_get_idx(lines, 0), "code", "missing_api_key");
	json_object_put(lines);
	free(a);
}

static void the_option_selects(void **state)
{
	static const size_t expected[] = {
		[LOG_REQUESTS_OFF] = 0, [LOG_REQUESTS_ERRORS] = 3, [LOG_REQUESTS_ALL] = 4};
	struct room *r = *state;
	struct accesslog *a = calloc(1, sizeof(*a));

	a->control = &r->control;
	for (int option = LOG_REQUESTS_OFF; option <= LOG_REQUESTS_ALL; option++) {
		r->control.config.log_requests = (enum log_requests)option;
		put_served(r, 200);
		put_served(r, 502);
		put_served(r, 0);
		put_refused(r);
		json_object *lines = lines_of(a);
		assert_int_equal(json_object_array_length(lines), expected[option]);
		json_object_put(lines);
	}
	free(a);
}

/* Turned on later, it does not begin with what was before. */
static void each_request_has_one_line(void **state)
{
	struct room *r = *state;
	struct accesslog *a = calloc(1, sizeof(*a));
	bool more;

	a->control = &r->control;
	put_served(r, 200);
	assert_false(accesslog_poll(a));
	r->control.config.log_requests = LOG_REQUESTS_ALL;
	for (int i = 0; i < 300; i++)
		put_served(r, 200);
	json_object *lines = lines_of(a);
	assert_int_equal(json_object_array_length(lines), 300);
	json_object_put(lines);
	lines = lines_of(a);
	assert_int_equal(json_object_array_length(lines), 0);
	json_object_put(lines);
	/* the next control process goes on where the store is */
	while (history_step(&r->history, &more, &r->e) == 0 && more)
		;
	put_served(r, 200);
	struct accesslog *next = calloc(1, sizeof(*next));
	next->control = &r->control;
	lines = lines_of(next);
	assert_int_equal(json_object_array_length(lines), 1);
	json_object_put(lines);
	free(next);
	free(a);
}

static void lines_that_came_too_fast_are_counted(void **state)
{
	struct room *r = *state;
	struct accesslog *a = calloc(1, sizeof(*a));

	a->control = &r->control;
	r->control.config.log_requests = LOG_REQUESTS_ERRORS;
	accesslog_poll(a);
	for (int i = 0; i < BOARD_REQUESTS + 5; i++)
		put_served(r, 200);
	put_served(r, 500);
	struct capture c;
	capture_start(&c);
	log_set_level(LOG_LEVEL_WARNING);
	while (accesslog_poll(a))
		;
	json_object *lines = capture_stop(&c);
	assert_int_equal(json_object_array_length(lines), 2);
	is(json_object_array_get_idx(lines, 0), "count", "6");
	is(json_object_array_get_idx(lines, 1), "status", "500");
	json_object_put(lines);
	free(a);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_line_has_names_and_both_latencies),
		TEST(what_is_not_known_is_null),
		TEST(the_option_selects),
		TEST(each_request_has_one_line),
		TEST(lines_that_came_too_fast_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
