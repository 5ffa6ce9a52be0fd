/*
 * The refresh engine on a real store and loop; a socket stands in for HAProxy and the token host.
 */
#include "tests/unit/admin/room.h"

#include "admin/upkeep/outbound.h"
#include "admin/upkeep/refresh.h"
#include "admin/upkeep/refresh_journal.h"
#include "common/clock.h"
#include "tests/unit/admin/counterpart.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#define HEAD "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
/* the lifetime is so long that no test sees a second refresh */
#define GRANTED HEAD "{\"access_token\":\"at.2\",\"refresh_token\":\"rt.2\",\"expires_in\":360000}"
#define BODY "{\"client_id\":\"app\",\"grant_type\":\"refresh_token\",\"refresh_token\":\"rt.1\"}"
#define ROWS "SELECT count(*) FROM refreshes"

struct scene {
	struct room *room;
	struct counterpart host;
	const char *sql; /* of has_row() */
	size_t wanted;	 /* of has_requests() */
	int overlaps;
	int64_t intents; /* intents on disk when a token arrived */
	int told;
	int told_error;
};

static void put(struct scene *s, int64_t account, enum credential_field f, const char *value,
	int64_t expires_ms)
{
	struct control *c = &s->room->control;

	assert_int_equal(credential_put(c->store, c->vault, account, f, slice_from_str(value),
				 expires_ms, &s->room->e),
		0);
}

static void add_account(struct scene *s, const char *name)
{
	char sql[256];

	snprintf(sql, sizeof(sql),
		"INSERT INTO accounts (name, upstream_id, source, created_ms)"
		" VALUES ('%s', 1, 'auth-json', 0);"
		"INSERT INTO account_egresses SELECT max(id), 1, 0 FROM accounts",
		name);
	room_run(s->room, sql);
	int64_t id = room_number(s->room, "SELECT max(id) FROM accounts");
	put(s, id, CREDENTIAL_ACCESS_TOKEN, "at.1", 1); /* expired */
	put(s, id, CREDENTIAL_REFRESH_TOKEN, "rt.1", 0);
}

static int setup(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->room = room_new();
	struct control *c = &s->room->control;
	c->loop = ev_loop_new(EVFLAG_AUTO);
	c->outbound = outbound_new(c->loop);
	assert_non_null(c->outbound);
	counterpart_start(&s->host, c->loop);
	s->host.context = s;
	c->config.health_refresh_pause_ms = 1;
	snprintf(c->config.haproxy_internal_socket.s, sizeof(c->config.haproxy_internal_socket.s),
		"%s", s->host.path);
	room_run(s->room,
		"INSERT INTO upstreams (name, url, provider, token_url, client_id, created_ms)"
		" VALUES ('codex', 'https://h', 'codex', 'https://t/oauth/token', 'app', 0)");
	add_account(s, "a");
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;
	struct control *c = &s->room->control;

	refresh_free(c->refresh);
	outbound_free(c->outbound);
	counterpart_stop(&s->host);
	ev_loop_destroy(c->loop);
	c->loop = NULL;
	room_free(s->room);
	free(s);
	return 0;
}

static void start(struct scene *s)
{
	s->room->control.refresh = refresh_new(&s->room->control);
	assert_non_null(s->room->control.refresh);
}

static bool has_row(void *context)
{
	struct scene *s = context;

	return room_number(s->room, s->sql) > 0;
}

static void wait_for(struct scene *s, const char *sql)
{
	s->sql = sql;
	counterpart_run(s->room->control.loop, has_row, s);
}

static bool has_requests(void *context)
{
	struct scene *s = context;

	return s->host.whole >= s->wanted;
}

static void wait_for_requests(struct scene *s, size_t n)
{
	s->wanted = n;
	counterpart_run(s->room->control.loop, has_requests, s);
}

static void expect_token(struct scene *s, enum credential_field field, const char *value)
{
	struct control *c = &s->room->control;
	struct credential got;

	assert_int_equal(credential_get(c->store, c->vault, 1, field, &got, &s->room->e), 0);
	assert_string_equal(buffer_str(&got.value), value);
	credential_fini(&got);
}

static uint64_t count(struct scene *s, enum refresh_outcome o)
{
	return refresh_count(s->room->control.refresh, o);
}

/* Uses a second connection, which sees only what has been committed. */
static void count_intents(void *context, const struct counterpart_request *r)
{
	struct scene *s = context;
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;

	(void)r;
	assert_int_equal(sqlite3_open_v2(s->room->db, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(
		sqlite3_prepare_v2(db,
			"SELECT count(*) FROM refreshes WHERE parent = 1 AND reply IS NULL", -1,
			&st, NULL),
		SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	s->intents += sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	sqlite3_close(db);
}

static void an_expired_token_is_renewed_and_published(void **state)
{
	struct scene *s = *state;
	struct room_seen seen;

	s->host.seen = count_intents;
	s->host.answer = GRANTED;
	start(s);
	wait_for(s, "SELECT generation = 2 FROM credentials WHERE field = 'access_token'");
	expect_token(s, CREDENTIAL_ACCESS_TOKEN, "at.2");
	expect_token(s, CREDENTIAL_REFRESH_TOKEN, "rt.2");
	assert_int_equal(s->intents, 1);
	assert_int_equal(room_number(s->room, ROWS), 0);
	const char *text = buffer_str(&s->host.requests[0].text);
	assert_non_null(strstr(text, "POST /oauth/token HTTP/1.1\r\n"));
	assert_non_null(strstr(text, "\r\nX-Relay-Backend: t1-e1\r\n"));
	assert_non_null(strstr(text, "\r\nAccept-Encoding: identity\r\n"));
	assert_string_equal(counterpart_body(&s->host.requests[0]), BODY);
	room_take(s->room, &seen);
	assert_true(seen.version == store_version(s->room->control.store));
	room_seen_fini(&seen);
	assert_int_equal(count(s, REFRESH_GRANTED), 1);
}

static void an_unknown_outcome_sends_the_same_token_again(void **state)
{
	struct scene *s = *state;

	s->host.answer = HEAD "{\"access_token\":\"at.2\",\"refr";
	start(s);
	wait_for_requests(s, 1);
	wait_for(s, "SELECT count(*) FROM refreshes WHERE attempt = 1 AND reply IS NULL");
	s->host.answer = GRANTED;
	wait_for(s, "SELECT generation = 2 FROM credentials WHERE field = 'access_token'");
	assert_int_equal(s->host.whole, 2);
	assert_string_equal(counterpart_body(&s->host.requests[1]), BODY);
	assert_int_equal(count(s, REFRESH_LOST), 1);
}

static void a_new_refresh_token_is_used_at_once_if_it_came_alone(void **state)
{
	struct scene *s = *state;
	const char *next = "{\"client_id\":\"app\",\"grant_type\":\"refresh_token\","
			   "\"refresh_token\":\"rt.2\"}";

	put(s, 1, CREDENTIAL_ACCESS_TOKEN, "at.1", clock_wall_ms() + 3600 * 1000);
	start(s);
	const char *word;
	assert_int_equal(refresh_ask(s->room->control.refresh, 1, &word, &s->room->e), 0);
	wait_for_requests(s, 1);
	counterpart_answer_all(&s->host,
		HEAD "{\"access_token\":\"a\\nb\",\"id_token\":7,\"refresh_token\":\"rt.2\"}");
	wait_for(s, "SELECT count(*) FROM notices WHERE acked_ms = 0");
	expect_token(s, CREDENTIAL_REFRESH_TOKEN, "rt.2");
	expect_token(s, CREDENTIAL_ACCESS_TOKEN, "at.1");
	s->host.answer = HEAD "{\"access_token\":\"at.3\",\"refresh_token\":\"rt.3\"}";
	wait_for(s, "SELECT generation = 3 FROM credentials WHERE field = 'access_token'");
	assert_int_equal(s->host.whole, 2);
	assert_string_equal(counterpart_body(&s->host.requests[1]), next);
	expect_token(s, CREDENTIAL_REFRESH_TOKEN, "rt.3");
	assert_int_equal(count(s, REFRESH_KEPT), 1);
	assert_int_equal(
		room_number(s->room, "SELECT count(*) FROM notices WHERE acked_ms = 0"), 0);
}

static void an_answer_without_a_body_is_an_unknown_outcome(void **state)
{
	struct scene *s = *state;

	s->host.answer = HEAD;
	start(s);
	wait_for_requests(s, 2);
	assert_int_equal(count(s, REFRESH_LOST), 1);
	assert_int_equal(room_number(s->room, "SELECT attempt FROM refreshes"), 2);
}

static void a_longer_answer_is_journalled_too(void **state)
{
	struct scene *s = *state;

	s->host.answer = HEAD "{\"access_token\":\"at.2\",\"expires_in\":360000}";
	s->host.filler = OUTBOUND_BODY_MAX + 4096;
	start(s);
	wait_for(s, "SELECT generation = 2 FROM credentials WHERE field = 'access_token'");
	expect_token(s, CREDENTIAL_ACCESS_TOKEN, "at.2");
}

static void a_reply_is_kept_while_the_store_fails(void **state)
{
	struct scene *s = *state;
	struct control *c = &s->room->control;

	start(s);
	wait_for_requests(s, 1);
	room_run(s->room, "PRAGMA query_only = ON");
	counterpart_answer_all(&s->host, GRANTED);
	for (int i = 0; i < 5; i++)
		ev_run(c->loop, EVRUN_ONCE);
	expect_token(s, CREDENTIAL_REFRESH_TOKEN, "rt.1");
	room_run(s->room, "PRAGMA query_only = OFF");
	wait_for(s, "SELECT generation = 2 FROM credentials WHERE field = 'access_token'");
	expect_token(s, CREDENTIAL_REFRESH_TOKEN, "rt.2");
	assert_int_equal(s->host.count, 1);
}

static void a_reply_in_the_journal_needs_no_request(void **state)
{
	struct scene *s = *state;
	struct control *c = &s->room->control;

	refresh_journal_intend(c->store, 1, 1, clock_wall_ms(), &s->room->e);
	assert_int_equal(
		refresh_journal_reply(c->store, c->vault, 1, 1,
			&(struct refresh_raw){200,
				SLICE_LITERAL(
					"{\"access_token\":\"at.2\",\"refresh_token\":\"rt.2\","
					"\"expires_in\":360000}"),
				"", clock_wall_ms(), 0},
			&s->room->e),
		0);
	start(s);
	wait_for(s, "SELECT generation = 2 FROM credentials WHERE field = 'access_token'");
	expect_token(s, CREDENTIAL_REFRESH_TOKEN, "rt.2");
	assert_int_equal(s->host.count, 0);
}

static void an_intent_in_the_journal_sends_the_same_token(void **state)
{
	struct scene *s = *state;
	struct control *c = &s->room->control;

	refresh_journal_intend(c->store, 1, 1, clock_wall_ms() - 5000, &s->room->e);
	start(s);
	wait_for_requests(s, 1);
	assert_int_equal(room_number(s->room, "SELECT attempt FROM refreshes"), 2);
	assert_string_equal(counterpart_body(&s->host.requests[0]), BODY);
}

static void a_credential_replaced_during_a_refresh_is_kept(void **state)
{
	struct scene *s = *state;

	start(s);
	wait_for_requests(s, 1);
	put(s, 1, CREDENTIAL_REFRESH_TOKEN, "rt.new", 0);
	put(s, 1, CREDENTIAL_ACCESS_TOKEN, "at.new", 0);
	counterpart_answer_all(&s->host, GRANTED);
	wait_for(s, "SELECT count(*) = 0 FROM refreshes");
	expect_token(s, CREDENTIAL_REFRESH_TOKEN, "rt.new");
	expect_token(s, CREDENTIAL_ACCESS_TOKEN, "at.new");
	assert_int_equal(s->host.count, 1);
}

static void an_account_may_be_deleted_during_a_refresh(void **state)
{
	struct scene *s = *state;

	add_account(s, "b");
	start(s);
	wait_for_requests(s, 1);
	room_run(s->room, "DELETE FROM accounts WHERE id = 1");
	counterpart_answer_all(&s->host, GRANTED);
	wait_for(s,
		"SELECT generation = 2 FROM credentials WHERE field = 'access_token' AND account_id = 2");
	assert_int_equal(s->host.count, 2);
	assert_int_equal(room_number(s->room, ROWS), 0);
}

static void note_overlaps(void *context, const struct counterpart_request *r)
{
	struct scene *s = context;

	for (size_t i = 0; i < s->host.count; i++)
		s->overlaps += &s->host.requests[i] != r && s->host.requests[i].io.fd >= 0;
}

static void accounts_of_one_client_id_are_refreshed_one_by_one(void **state)
{
	static const char *const names[] = {"b", "c", "d", "e", "f"};
	struct scene *s = *state;

	for (size_t i = 0; i < 5; i++)
		add_account(s, names[i]);
	s->host.seen = note_overlaps;
	s->host.answer = GRANTED;
	start(s);
	wait_for(s,
		"SELECT count(*) = 6 FROM credentials WHERE field = 'access_token' AND generation = 2");
	assert_int_equal(s->host.count, 6);
	assert_int_equal(s->overlaps, 0);
}

static void a_rejected_token_needs_a_login_and_is_not_sent_again(void **state)
{
	struct scene *s = *state;
	const char *word;

	s->host.answer = "HTTP/1.1 401 No\r\nConnection: close\r\n\r\n"
			 "{\"error\":{\"code\":\"refresh_token_reused\"}}";
	start(s);
	wait_for(s, "SELECT count(*) FROM accounts WHERE needs_login = 'refresh_token_reused'");
	assert_int_equal(refresh_ask(s->room->control.refresh, 1, &word, &s->room->e), -ENOENT);
	for (int i = 0; i < 5; i++)
		ev_run(s->room->control.loop, EVRUN_ONCE);
	assert_int_equal(s->host.count, 1);
}

static void error_responses_of_haproxy_are_no_reply(void **state)
{
	struct scene *s = *state;

	s->host.answer = "HTTP/1.1 502 x\r\nX-Relay-Error: upstream_unreachable\r\n"
			 "Connection: close\r\n\r\n{\"access_token\":\"at.2\"}";
	start(s);
	wait_for_requests(s, 1);
	wait_for(s, "SELECT count(*) = 0 FROM refreshes");
	assert_int_equal(count(s, REFRESH_NOT_SENT), 1);
	expect_token(s, CREDENTIAL_ACCESS_TOKEN, "at.1");
}

static void an_invalid_upstream_response_leaves_the_outcome_unknown(void **state)
{
	struct scene *s = *state;

	s->host.answer = "HTTP/1.1 502 x\r\nX-Relay-Error: upstream_invalid\r\n"
			 "Connection: close\r\n\r\n";
	start(s);
	wait_for_requests(s, 2);
	assert_int_equal(room_number(s->room, "SELECT attempt FROM refreshes"), 2);
	assert_int_equal(count(s, REFRESH_LOST), 1);
	assert_int_equal(count(s, REFRESH_NOT_SENT), 0);
}

static void without_haproxy_no_token_is_used(void **state)
{
	struct scene *s = *state;
	struct control *c = &s->room->control;

	snprintf(c->config.haproxy_internal_socket.s, sizeof(c->config.haproxy_internal_socket.s),
		"/tmp/relay-nobody.sock");
	start(s);
	while (!count(s, REFRESH_NOT_SENT))
		ev_run(c->loop, EVRUN_ONCE);
	assert_int_equal(room_number(s->room, ROWS), 0);
}

static void an_account_without_a_usable_egress_sends_nothing(void **state)
{
	struct scene *s = *state;
	const char *word;

	room_run(s->room, "UPDATE egresses SET suspended = 1");
	start(s);
	assert_int_equal(refresh_ask(s->room->control.refresh, 1, &word, &s->room->e), -EBUSY);
	assert_non_null(strstr(s->room->e.text, "no usable egress"));
	assert_int_equal(room_number(s->room, ROWS), 0);
	assert_int_equal(s->host.count, 0);
}

static void on_told(void *context, int error, const char *text)
{
	struct scene *s = context;

	assert_non_null(text);
	s->told++;
	s->told_error = error;
}

static void waiting_callers_get_the_outcome(void **state)
{
	struct scene *s = *state;
	struct refresh *r;
	const char *word;

	put(s, 1, CREDENTIAL_ACCESS_TOKEN, "at.1", 0); /* never expires */
	start(s);
	r = s->room->control.refresh;
	assert_int_equal(refresh_ask(r, 1, &word, &s->room->e), 0);
	assert_string_equal(word, "started");
	assert_int_equal(refresh_ask(r, 1, &word, &s->room->e), 0);
	assert_string_equal(word, "running");
	assert_int_equal(refresh_wait(r, 1, on_told, s), 0);
	wait_for_requests(s, 1);
	assert_int_equal(s->told, 0);
	counterpart_answer_all(&s->host, GRANTED);
	wait_for(s, "SELECT generation = 3 FROM credentials WHERE field = 'access_token'");
	assert_int_equal(s->told, 1);
	assert_int_equal(s->told_error, 0);
	assert_int_equal(s->host.count, 1);
}

static void an_impossible_refresh_reports_the_reason(void **state)
{
	static const struct {
		const char *sql;
		const char *words;
	} cases[] = {
		{"UPDATE upstreams SET token_url = ''", "no token-url"},
		{"UPDATE accounts SET needs_login = 'invalid_grant'", "needs a login"},
		{"DELETE FROM credentials WHERE field = 'refresh_token'", "no refresh token"},
		{"UPDATE accounts SET source = 'watch'", "watched"},
	};
	struct scene *s = *state;

	start(s);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		room_run(s->room, cases[i].sql);
		room_refuse(s->room, COMMAND_ACCOUNTS_REFRESH, "a", "{}", 409, cases[i].words);
	}
	room_refuse(s->room, COMMAND_ACCOUNTS_REFRESH, "nobody", "{}", 404, "nobody");
	assert_int_equal(s->host.count, 0);
}

static void shutdown_waits_for_pending_replies(void **state)
{
	struct scene *s = *state;

	start(s);
	wait_for_requests(s, 1);
	counterpart_answer_all(&s->host, GRANTED);
	while (refresh_drain(s->room->control.refresh))
		ev_run(s->room->control.loop, EVRUN_ONCE);
	expect_token(s, CREDENTIAL_REFRESH_TOKEN, "rt.2");
	assert_int_equal(room_number(s->room, ROWS), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_expired_token_is_renewed_and_published),
		TEST(an_unknown_outcome_sends_the_same_token_again),
		TEST(a_new_refresh_token_is_used_at_once_if_it_came_alone),
		TEST(an_answer_without_a_body_is_an_unknown_outcome),
		TEST(a_longer_answer_is_journalled_too),
		TEST(a_reply_is_kept_while_the_store_fails),
		TEST(a_reply_in_the_journal_needs_no_request),
		TEST(an_intent_in_the_journal_sends_the_same_token),
		TEST(a_credential_replaced_during_a_refresh_is_kept),
		TEST(an_account_may_be_deleted_during_a_refresh),
		TEST(accounts_of_one_client_id_are_refreshed_one_by_one),
		TEST(a_rejected_token_needs_a_login_and_is_not_sent_again),
		TEST(error_responses_of_haproxy_are_no_reply),
		TEST(an_invalid_upstream_response_leaves_the_outcome_unknown),
		TEST(without_haproxy_no_token_is_used),
		TEST(an_account_without_a_usable_egress_sends_nothing),
		TEST(waiting_callers_get_the_outcome),
		TEST(an_impossible_refresh_reports_the_reason),
		TEST(shutdown_waits_for_pending_replies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
