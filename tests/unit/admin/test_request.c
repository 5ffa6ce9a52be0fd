/* Commands on a real store, as the server runs them: row, body check, transaction, publication. */
#include "tests/unit/admin/room.h"

#include "admin/api/request.h"
#include "common/log.h"
#include "common/relaykey.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct called {
	unsigned status;
	json_object *answer;
	char message[ERRTEXT_SIZE];
};

/* A room with an agent that takes every snapshot. */
struct office {
	struct room *room;
	pid_t agent;
};

/* Ends when control closes its end of the channel. */
static void serve_as_agent(struct room *r)
{
	struct pollfd wait = {.fd = r->agent_fd, .events = POLLIN};
	struct channel_message m;
	int fds[CHANNEL_FDS_MAX];
	int error = 0;

	while (error == 0 || error == -EAGAIN) {
		poll(&wait, 1, -1);
		error = channel_receive(r->agent_fd, &m, fds);
		if (error)
			continue;
		close(fds[0]);
		close(fds[1]);
		room_acknowledge(r, m.version, 0);
	}
	_exit(0);
}

static struct office *office_open(void)
{
	struct office *o = calloc(1, sizeof(*o));

	assert_non_null(o);
	o->room = room_new();
	o->agent = fork();
	assert_true(o->agent >= 0);
	if (o->agent == 0) {
		close(publish_fd(o->room->control.publish));
		serve_as_agent(o->room);
	}
	close(o->room->agent_fd);
	o->room->agent_fd = -1;
	return o;
}

static void office_close(struct office *o)
{
	room_free(o->room);
	waitpid(o->agent, NULL, 0);
	free(o);
}

static int setup(void **state)
{
	*state = office_open();
	return 0;
}

static int teardown(void **state)
{
	office_close(*state);
	return 0;
}

static struct room *room_of(void **state)
{
	return ((struct office *)*state)->room;
}

static struct called call_document(struct room *room, enum command_id id, const char *name,
	const char *body, const char *document)
{
	struct request r = {
		.control = &room->control,
		.command = command_row(id),
		.name = name,
		.body = json_tokener_parse(body),
		.document = slice_from_str(document),
		.answer = json_object_new_object(),
	};
	struct called c = {.status = 400};

	assert_non_null(r.body);
	if (command_body_check(r.command, r.body, &r.error))
		request_refuse(&r, 400, r.error.text);
	else
		c.status = room_run_request(room, &r);
	json_object *error = json_object_object_get(r.answer, "error");
	if (error)
		snprintf(c.message, sizeof(c.message), "%s",
			json_object_get_string(json_object_object_get(error, "message")));
	c.answer = r.answer;
	json_object_put(r.body);
	return c;
}

static unsigned call(struct room *room, enum command_id id, const char *name, const char *body)
{
	struct called c = call_document(room, id, name, body, "");

	json_object_put(c.answer);
	if (c.status != 200)
		print_message("%s\n", c.message);
	return c.status;
}

static void refuse(struct room *room, enum command_id id, const char *name, const char *body,
	unsigned status, const char *message)
{
	int64_t before = (int64_t)store_version(room->control.store);
	struct called c = call_document(room, id, name, body, "");

	json_object_put(c.answer);
	assert_int_equal(c.status, status);
	if (!strstr(c.message, message))
		fail_msg("\"%s\" lacks \"%s\"", c.message, message);
	assert_int_equal((int64_t)store_version(room->control.store), before);
}

#define OK(...) assert_int_equal(call(__VA_ARGS__), 200)

/* upstreams u, v; egress e; accounts a, b of u, c of v; pool p of a, b; tenant t on p */
static void furnish(struct room *r)
{
	OK(r, COMMAND_UPSTREAMS_ADD, NULL, "{\"name\":\"u\",\"url\":\"http://127.0.0.1:1/x\"}");
	OK(r, COMMAND_UPSTREAMS_ADD, NULL,
		"{\"name\":\"v\",\"url\":\"https://v.example\",\"provider\":\"codex\"}");
	OK(r, COMMAND_EGRESS_ADD, NULL, "{\"name\":\"e\",\"source\":\"127.0.0.2\"}");
	OK(r, COMMAND_ACCOUNTS_ADD, NULL,
		"{\"name\":\"a\",\"upstream\":\"u\",\"token\":\"sk-a\",\"egress\":[\"e\"]}");
	OK(r, COMMAND_ACCOUNTS_ADD, NULL, "{\"name\":\"b\",\"upstream\":\"u\",\"token\":\"sk-b\"}");
	OK(r, COMMAND_ACCOUNTS_ADD, NULL, "{\"name\":\"c\",\"upstream\":\"v\",\"token\":\"sk-c\"}");
	OK(r, COMMAND_POOLS_SET, "p", "{\"accounts\":[\"a\",\"b\"]}");
	OK(r, COMMAND_TENANTS_ADD, NULL, "{\"name\":\"t\",\"pool\":\"p\"}");
}

static void duplicates_are_refused(void **state)
{
	struct room *r = room_of(state);

	furnish(r);
	refuse(r, COMMAND_TENANTS_ADD, NULL, "{\"name\":\"t\"}", 409,
		"tenant \"t\" exists already");
	refuse(r, COMMAND_UPSTREAMS_ADD, NULL, "{\"name\":\"u\",\"url\":\"http://x\"}", 409,
		"upstream \"u\" exists already");
	refuse(r, COMMAND_EGRESS_ADD, NULL, "{\"name\":\"direct\",\"source\":\"127.0.0.9\"}", 409,
		"egress \"direct\" exists already");
	refuse(r, COMMAND_ACCOUNTS_ADD, NULL, "{\"name\":\"a\",\"upstream\":\"v\",\"token\":\"x\"}",
		409, "account \"a\" exists already");
}

static void an_object_in_use_cannot_be_deleted(void **state)
{
	struct room *r = room_of(state);

	furnish(r);
	OK(r, COMMAND_TOKENS_ISSUE, NULL, "{\"tenant\":\"t\"}");
	refuse(r, COMMAND_UPSTREAMS_DEL, "u", "{}", 409, "in use by accounts a, b");
	refuse(r, COMMAND_EGRESS_DEL, "e", "{}", 409, "in use by account a");
	refuse(r, COMMAND_EGRESS_DEL, "direct", "{}", 409, "built in");
	refuse(r, COMMAND_ACCOUNTS_DEL, "a", "{}", 409, "in use by pool p");
	refuse(r, COMMAND_POOLS_DEL, "p", "{}", 409, "in use by tenant t");
	refuse(r, COMMAND_TENANTS_DEL, "t", "{}", 409, "has 1 live key");
	OK(r, COMMAND_TOKENS_REVOKE, "1", "{}");
	OK(r, COMMAND_TENANTS_DEL, "t", "{}");
	OK(r, COMMAND_POOLS_DEL, "p", "{}");
	OK(r, COMMAND_ACCOUNTS_DEL, "a", "{}");
	OK(r, COMMAND_EGRESS_DEL, "e", "{}");
}

static void a_pool_with_live_keys_cannot_be_deleted(void **state)
{
	struct room *r = room_of(state);

	furnish(r);
	OK(r, COMMAND_POOLS_SET, "q", "{\"accounts\":[\"b\"]}");
	OK(r, COMMAND_TOKENS_ISSUE, NULL, "{\"tenant\":\"t\",\"pool\":\"q\"}");
	refuse(r, COMMAND_POOLS_DEL, "q", "{}", 409, "in use by 1 live key");
	OK(r, COMMAND_TOKENS_REVOKE, "1", "{}");
	OK(r, COMMAND_POOLS_DEL, "q", "{}");
	assert_int_equal(room_number(r, "SELECT count(*) FROM keys"), 1);
}

static void references_must_exist(void **state)
{
	struct room *r = room_of(state);

	furnish(r);
	refuse(r, COMMAND_POOLS_SET, "x", "{\"accounts\":[\"a\",\"nobody\"]}", 400,
		"no account named \"nobody\"");
	refuse(r, COMMAND_POOLS_SET, "p", "{\"accounts\":[\"a\",\"c\"]}", 400,
		"\"c\" is of another than the pool");
	refuse(r, COMMAND_POOLS_SET, "p", "{\"accounts\":[\"a\",\"a\"]}", 400, "given twice");
	refuse(r, COMMAND_TENANTS_SET, "t", "{\"pool\":\"nope\"}", 400, "no pool named \"nope\"");
	refuse(r, COMMAND_TENANTS_SET, "nobody", "{}", 404, "no tenant named \"nobody\"");
	refuse(r, COMMAND_ACCOUNTS_SET, "a", "{\"egress\":[\"nope\"]}", 400, "no egress named");
	refuse(r, COMMAND_ACCOUNTS_ADD, NULL, "{\"name\":\"z\",\"upstream\":\"w\",\"token\":\"x\"}",
		400, "no upstream named \"w\"");
	refuse(r, COMMAND_TOKENS_ISSUE, NULL, "{\"tenant\":\"nobody\"}", 400, "no tenant named");
	refuse(r, COMMAND_TOKENS_SHOW, "77", "{}", 404, "no key with id 77");
	assert_int_equal(room_number(r, "SELECT count(*) FROM pool_members"), 2);
}

static void a_failed_set_changes_nothing(void **state)
{
	struct room *r = room_of(state);

	furnish(r);
	refuse(r, COMMAND_ACCOUNTS_SET, "a", "{\"weight\":7,\"egress\":[\"nope\"]}", 400, "nope");
	assert_int_equal(room_number(r, "SELECT weight FROM accounts WHERE name = 'a'"), 100);
	refuse(r, COMMAND_ACCOUNTS_SET, "a", "{\"weight\":0}", 400,
		"weight: a number from 1 to 1000");
	refuse(r, COMMAND_ACCOUNTS_SET, "a", "{\"pace\":\"3s-1s\"}", 400, "pace:");
	refuse(r, COMMAND_ACCOUNTS_SET, "a", "{\"token\":\"a b\"}", 400, "token:");
	refuse(r, COMMAND_ACCOUNTS_SET, "a", "{\"auth_json\":\"{\"}", 400, "auth.json is not JSON");
	refuse(r, COMMAND_EGRESS_SET, "e", "{\"source\":\"224.0.0.1\"}", 400, "multicast");
	refuse(r, COMMAND_EGRESS_SET, "e", "{\"socks4\":\"nohost\"}", 400, "HOST:PORT");
	refuse(r, COMMAND_EGRESS_SET, "e", "{\"region\":\"No Region\"}", 400, "region:");
	refuse(r, COMMAND_UPSTREAMS_SET, "u", "{\"url\":\"ftp://x\"}", 400, "url:");
	refuse(r, COMMAND_UPSTREAMS_SET, "u", "{\"strip\":\"v1\"}", 400, "strip:");
	refuse(r, COMMAND_UPSTREAMS_SET, "u", "{\"ca_pem\":\"junk\"}", 400, "holds no certificate");
	refuse(r, COMMAND_TENANTS_SET, "t", "{\"wait\":\"soon\"}", 400, "wait:");
}

static void headers_are_bounded_together(void **state)
{
	struct room *r = room_of(state);

	furnish(r);
	OK(r, COMMAND_UPSTREAMS_SET, "u",
		"{\"headers\":{\"X-1\":\"a\",\"X-2\":\"a\",\"X-3\":\"a\",\"X-4\":\"a\",\"X-5\":\"a\"}}");
	OK(r, COMMAND_ACCOUNTS_SET, "a",
		"{\"headers\":{\"X-6\":\"a\",\"X-7\":\"a\",\"X-8\":\"a\"}}");
	refuse(r, COMMAND_ACCOUNTS_SET, "a",
		"{\"headers\":{\"X-6\":\"a\",\"X-7\":\"a\",\"X-8\":\"a\",\"X-9\":\"a\"}}", 400,
		"account \"a\": more than 8");
	refuse(r, COMMAND_ACCOUNTS_SET, "a", "{\"headers\":{\"Authorization\":\"a\"}}", 400,
		"set by the relay itself");
}

/* --- keys --- */

static void a_key_needs_usable_credentials(void **state)
{
	struct room *r = room_of(state);

	furnish(r);
	OK(r, COMMAND_TENANTS_ADD, NULL, "{\"name\":\"poor\"}");
	refuse(r, COMMAND_TOKENS_ISSUE, NULL, "{\"tenant\":\"poor\"}", 400, "has no pool");
	room_run(r, "DELETE FROM credentials WHERE account_id = 2");
	refuse(r, COMMAND_TOKENS_ISSUE, NULL, "{\"tenant\":\"t\"}", 400,
		"no usable credential for b: missing or expired");
	OK(r, COMMAND_ACCOUNTS_SET, "b", "{\"token\":\"sk-b2\"}");
	room_run(r, "UPDATE credentials SET expires_ms = 1000 WHERE account_id = 1");
	refuse(r, COMMAND_TOKENS_ISSUE, NULL, "{\"tenant\":\"t\"}", 400, "credential for a");
}

static const char *answer_string(const struct called *c, const char *field)
{
	return json_object_get_string(json_object_object_get(c->answer, field));
}

static void a_key_is_shown_once_and_kept_as_a_hash(void **state)
{
	struct room *r = room_of(state);
	uint8_t hash[RELAYKEY_HASH_LEN];

	furnish(r);
	struct called c = call_document(
		r, COMMAND_TOKENS_ISSUE, NULL, "{\"tenant\":\"t\",\"ttl\":\"30d\"}", "");
	const char *token = answer_string(&c, "token");
	assert_int_equal(c.status, 200);
	assert_true(relaykey_is_well_formed(slice_from_str(token)));
	assert_string_equal(answer_string(&c, "tenant"), "t");
	assert_string_equal(answer_string(&c, "pool"), "p");
	assert_non_null(answer_string(&c, "expires_at"));
	relaykey_hash(&r->secrets.hasher, slice_from_str(token), hash);
	struct slice bytes = {(const char *)hash, sizeof(hash)};
	int64_t count = 0;
	assert_int_equal(sql_number(r->control.store, &r->e, &count,
				 "SELECT count(*) FROM keys WHERE hash = ?1", "b", &bytes),
		0);
	assert_int_equal(count, 1);
	struct called shown = call_document(r, COMMAND_TOKENS_SHOW, "1", "{}", "");
	assert_null(json_object_object_get(shown.answer, "token"));
	assert_string_equal(answer_string(&shown, "last4"), token + strlen(token) - 4);
	json_object_put(shown.answer);
	json_object_put(c.answer);
}

static void many_keys_come_in_one_transaction(void **state)
{
	struct room *r = room_of(state);

	furnish(r);
	uint64_t before = store_version(r->control.store);
	struct called c = call_document(
		r, COMMAND_TOKENS_ISSUE, NULL, "{\"tenant\":\"t\",\"count\":200}", "");
	assert_int_equal(c.status, 200);
	assert_int_equal(json_object_array_length(json_object_object_get(c.answer, "items")), 200);
	assert_int_equal(store_version(r->control.store), before + 1);
	assert_int_equal(room_number(r, "SELECT count(DISTINCT hash) FROM keys"), 200);
	json_object_put(c.answer);
}

static void rotation_gives_the_old_key_its_grace(void **state)
{
	struct room *r = room_of(state);

	furnish(r);
	OK(r, COMMAND_TOKENS_ISSUE, NULL, "{\"tenant\":\"t\",\"rpm\":7,\"name\":\"n\"}");
	OK(r, COMMAND_TOKENS_ROTATE, "1", "{\"grace\":\"1h\"}");
	assert_int_equal(room_number(r,
				 "SELECT revoked_ms = 0 AND expires_ms > created_ms + 3500000"
				 " AND expires_ms < created_ms + 3700000 FROM keys WHERE id = 1"),
		1);
	assert_int_equal(
		room_number(r,
			"SELECT rpm = 7 AND name = 'n' AND expires_ms = 0 FROM keys WHERE id = 2"),
		1);
	OK(r, COMMAND_TOKENS_ROTATE, "2", "{}");
	assert_int_equal(room_number(r, "SELECT revoked_ms > 0 FROM keys WHERE id = 2"), 1);
	refuse(r, COMMAND_TOKENS_ROTATE, "2", "{}", 409, "is revoked");
}

static void a_rotated_key_keeps_family_and_limits(void **state)
{
	struct room *r = room_of(state);

	furnish(r);
	OK(r, COMMAND_TOKENS_ISSUE, NULL, "{\"tenant\":\"t\",\"daily\":7,\"monthly\":9}");
	OK(r, COMMAND_TOKENS_ROTATE, "1", "{\"grace\":\"1h\"}");
	OK(r, COMMAND_TOKENS_ROTATE, "2", "{}");
	assert_int_equal(
		room_number(r, "SELECT count(*) FROM keys WHERE daily = 7 AND monthly = 9"), 3);
	struct called c = call_document(r, COMMAND_TOKENS_LIST, NULL, "{}", "");
	json_object *items = json_object_object_get(c.answer, "items");
	assert_int_equal(json_object_array_length(items), 3);
	for (size_t i = 0; i < 3; i++) {
		json_object *key = json_object_array_get_idx(items, i);
		assert_int_equal(json_object_get_int64(json_object_object_get(key, "family")), 1);
		assert_int_equal(json_object_get_int64(json_object_object_get(key, "daily")), 7);
	}
	json_object_put(c.answer);
	/* the first key is no longer needed, and its id never belongs to another key */
	room_run(r, "DELETE FROM keys WHERE id < 3");
	OK(r, COMMAND_TOKENS_ROTATE, "3", "{}");
	assert_int_equal(room_number(r, "SELECT family FROM keys WHERE id = 4"), 1);
	OK(r, COMMAND_TOKENS_SHOW, "4", "{}");
}

static void a_change_of_a_key_carries_the_version(void **state)
{
	struct room *r = room_of(state);

	furnish(r);
	OK(r, COMMAND_TOKENS_ISSUE, NULL, "{\"tenant\":\"t\"}");
	assert_int_equal(room_number(r, "SELECT version FROM keys WHERE id = 1"),
		store_version(r->control.store));
	OK(r, COMMAND_TENANTS_SET, "t", "{\"rpm\":1}");
	OK(r, COMMAND_TOKENS_REVOKE, "1", "{}");
	assert_int_equal(room_number(r, "SELECT version FROM keys WHERE id = 1"),
		store_version(r->control.store));
}

/* --- defaults --- */

static void defaults_come_from_the_configuration(void **state)
{
	struct room *r = room_of(state);

	furnish(r);
	OK(r, COMMAND_TOKENS_ISSUE, NULL, "{\"tenant\":\"t\"}");
	assert_int_equal(room_number(r, "SELECT rpm FROM keys"), r->control.config.limit_key_rpm);
	assert_int_equal(
		room_number(r, "SELECT daily FROM tenants"), r->control.config.limit_tenant_daily);
	assert_int_equal(room_number(r, "SELECT rpm + rph FROM accounts WHERE name = 'a'"), 0);
	assert_int_equal(room_number(r, "SELECT rpm FROM accounts WHERE name = 'c'"),
		r->control.config.limit_account_rpm);
	assert_int_equal(room_number(r,
				 "SELECT count(*) FROM account_egresses x JOIN egresses e"
				 " ON e.id = x.egress_id WHERE e.kind = 'direct'"),
		2);
}

/* --- documents --- */

static struct called apply(struct room *r, const char *document)
{
	return call_document(r, COMMAND_APPLY, NULL, "{}", document);
}

static void assert_changes(struct called c, const char *want)
{
	json_object *changes = json_object_object_get(c.answer, "changes");

	assert_int_equal(c.status, 200);
	assert_string_equal(json_object_to_json_string_ext(changes, JSON_C_TO_STRING_PLAIN), want);
	json_object_put(c.answer);
}

static void an_export_applies_without_a_change(void **state)
{
	struct room *r = room_of(state);

	furnish(r);
	struct called c = call_document(r, COMMAND_EXPORT, NULL, "{}", "");
	uint64_t before = store_version(r->control.store);
	assert_changes(apply(r, json_object_to_json_string(c.answer)), "[]");
	assert_int_equal(store_version(r->control.store), before);
	assert_null(strstr(json_object_to_json_string(c.answer), "sk-"));
	json_object_put(c.answer);
}

static void an_export_fills_an_empty_store(void **state)
{
	struct room *r = room_of(state);
	struct office *second = office_open();
	struct room *other = second->room;

	furnish(r);
	struct called c = call_document(r, COMMAND_EXPORT, NULL, "{}", "");
	struct called done = apply(other, json_object_to_json_string(c.answer));
	assert_int_equal(done.status, 200);
	struct called again = call_document(other, COMMAND_EXPORT, NULL, "{}", "");
	assert_string_equal(
		json_object_to_json_string(again.answer), json_object_to_json_string(c.answer));
	struct called account = call_document(other, COMMAND_ACCOUNTS_SHOW, "a", "{}", "");
	assert_string_equal(answer_string(&account, "state"), "no_credential");
	json_object_put(account.answer);
	json_object_put(again.answer);
	json_object_put(done.answer);
	json_object_put(c.answer);
	office_close(second);
}

static void apply_reports_its_changes(void **state)
{
	struct room *r = room_of(state);

	furnish(r);
	assert_changes(apply(r,
			       "{\"tenants\":[{\"name\":\"n\",\"rpm\":5,\"enabled\":false},"
			       "{\"name\":\"t\",\"rpm\":9,\"pool\":\"\"}],"
			       "\"pools\":[{\"name\":\"p\",\"accounts\":[\"b\"]}]}"),
		"[\"~ pools p: accounts\",\"+ tenants n\",\"~ tenants t: pool, rpm\"]");
	assert_int_equal(room_number(r, "SELECT enabled FROM tenants WHERE name = 'n'"), 0);
}

static void apply_is_all_or_nothing(void **state)
{
	static const char *const bad[] = {
		"{\"tenants\":[{\"name\":\"n\"}],\"pools\":[{\"name\":\"x\",\"accounts\":[\"nobody\"]}]}",
		"{\"tenants\":[{\"name\":\"n\"},{\"name\":\"m\",\"colour\":1}]}",
		"{\"tenants\":[{\"name\":\"n\"},5]}",
		"{\"tenants\":[{\"name\":\"n\"},{\"name\":\"M\"}]}",
		"{\"tenants\":[{\"name\":\"n\"}],\"things\":[]}",
		"{\"tenants\":[{\"name\":\"n\",\"enabled\":5}]}",
		"{\"tenants\":{\"name\":\"n\"}}",
		"{\"version\":2,\"tenants\":[{\"name\":\"n\"}]}",
		"{\"accounts\":[{\"name\":\"n\",\"upstream\":\"u\",\"token\":\"sk-x\"}]}",
		"{\"accounts\":[{\"name\":\"a\",\"upstream\":\"v\"}]}",
		"{\"accounts\":[{\"name\":\"n\"}]}",
		"{\"egress\":[{\"name\":\"n\"}]}",
		"{\"egress\":[{\"name\":\"n\",\"source\":\"127.0.0.3\",\"node\":\"a:1\"}]}",
		"{\"egress\":[{\"name\":\"direct\",\"source\":\"127.0.0.3\"}]}",
		"{\"upstreams\":[{\"name\":\"n\"}]}",
		"[]",
		"{",
		"",
	};
	struct room *r = room_of(state);

	furnish(r);
	uint64_t before = store_version(r->control.store);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct called c = apply(r, bad[i]);
		if (c.status != 400 || !*c.message)
			fail_msg("%s: %u", bad[i], c.status);
		json_object_put(c.answer);
	}
	assert_int_equal(store_version(r->control.store), before);
	assert_int_equal(room_number(r, "SELECT count(*) FROM tenants"), 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(duplicates_are_refused),
		TEST(an_object_in_use_cannot_be_deleted),
		TEST(a_pool_with_live_keys_cannot_be_deleted),
		TEST(references_must_exist),
		TEST(a_failed_set_changes_nothing),
		TEST(headers_are_bounded_together),
		TEST(a_key_needs_usable_credentials),
		TEST(a_key_is_shown_once_and_kept_as_a_hash),
		TEST(many_keys_come_in_one_transaction),
		TEST(rotation_gives_the_old_key_its_grace),
		TEST(a_rotated_key_keeps_family_and_limits),
		TEST(a_change_of_a_key_carries_the_version),
		TEST(defaults_come_from_the_configuration),
		TEST(an_export_applies_without_a_change),
		TEST(an_export_fills_an_empty_store),
		TEST(apply_reports_its_changes),
		TEST(apply_is_all_or_nothing),
	};
	log_init("test", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
