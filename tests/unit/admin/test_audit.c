/* The log says of every change what is different now, and never a secret. */
#include "tests/unit/admin/room.h"

#include "admin/api/audit.h"
#include "common/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECRET "sk-very-secret-0123456789"

static void run(struct room *r, enum command_id id, const char *name, const char *body,
	const char *document)
{
	struct request q = {
		.control = &r->control,
		.command = command_row(id),
		.name = name,
		.body = json_tokener_parse(body),
		.document = slice_from_str(document),
		.answer = json_object_new_object(),
	};

	room_acknowledge(r, store_version(r->control.store) + 1, 0);
	assert_int_equal(command_body_check(q.command, q.body, &q.error), 0);
	if (room_run_request(r, &q) != 200)
		fail_msg("%s: %s", body, json_object_to_json_string(q.answer));
	json_object_put(q.body);
	json_object_put(q.answer);
}

/* Runs a command; returns what it logged, which the caller frees. */
static char *logged_document(struct room *r, enum command_id id, const char *name, const char *body,
	const char *document)
{
	char path[] = "/tmp/relay-audit-XXXXXX";
	int fd = mkstemp(path);
	int saved = dup(STDERR_FILENO);
	char *text = calloc(1, 1 << 16);

	assert_true(fd >= 0 && saved >= 0 && text);
	dup2(fd, STDERR_FILENO);
	log_init("test", LOG_LEVEL_INFO);
	run(r, id, name, body, document);
	dup2(saved, STDERR_FILENO);
	log_init("test", LOG_LEVEL_ERROR);
	close(saved);
	assert_true(pread(fd, text, (1 << 16) - 1, 0) >= 0);
	close(fd);
	unlink(path);
	return text;
}

static char *logged(struct room *r, enum command_id id, const char *name, const char *body)
{
	return logged_document(r, id, name, body, "");
}

static char *field_of(const char *line, const char *field)
{
	json_object *o = json_tokener_parse(line);
	json_object *value = NULL;
	char *text = NULL;

	assert_non_null(o);
	if (json_object_object_get_ex(o, field, &value))
		text = strdup(json_object_get_string(value));
	json_object_put(o);
	return text;
}

/* One line about this target, with exactly this text. */
static void expect(struct room *r, enum command_id id, const char *name, const char *body,
	const char *target, const char *changed)
{
	char *text = logged(r, id, name, body);
	char *has_target = field_of(text, "target");
	char *has = field_of(text, "changed");

	assert_non_null(strchr(text, '\n'));
	assert_null(strchr(strchr(text, '\n') + 1, '\n'));
	assert_null(strstr(text, SECRET));
	assert_string_equal(has_target, target);
	assert_string_equal(has, changed);
	free(has_target);
	free(has);
	free(text);
}

static void furnish(struct room *r)
{
	free(logged(r, COMMAND_UPSTREAMS_ADD, NULL,
		"{\"name\":\"u\",\"url\":\"https://h\",\"provider\":\"openai\"}"));
	free(logged(r, COMMAND_ACCOUNTS_ADD, NULL,
		"{\"name\":\"a\",\"upstream\":\"u\",\"token\":\"" SECRET "\"}"));
	free(logged(r, COMMAND_ACCOUNTS_ADD, NULL,
		"{\"name\":\"b\",\"upstream\":\"u\",\"token\":\"" SECRET "\"}"));
	free(logged(r, COMMAND_POOLS_SET, "p", "{\"accounts\":[\"a\"]}"));
	free(logged(r, COMMAND_TENANTS_ADD, NULL, "{\"name\":\"t\",\"pool\":\"p\"}"));
}

static void each_field_is_told_from_what_to_what(void **state)
{
	struct room *r = *state;

	furnish(r);
	expect(r, COMMAND_TENANTS_SET, "t", "{\"rpm\":7,\"daily\":0,\"allow_ip\":[\"10.0.0.0/8\"]}",
		"t", "rpm: 0 -> 7, daily: 500 -> 0, allow_ip: none -> 10.0.0.0/8");
	expect(r, COMMAND_TENANTS_SET, "t", "{\"pool\":\"\",\"shadow\":true,\"wait\":\"2s\"}", "t",
		"pool: p -> none, wait: refuse -> 2s, shadow: false -> true");
	expect(r, COMMAND_TENANTS_DISABLE, "t", "{}", "t", "enabled: true -> false");
	expect(r, COMMAND_POOLS_SET, "p",
		"{\"accounts\":[\"b\",\"a\"],\"strategy\":\"round-robin\"}", "p",
		"strategy: sticky -> round-robin, accounts: a -> b,a");
	expect(r, COMMAND_ACCOUNTS_SUSPEND, "a", "{\"reason\":\"odd\"}", "a",
		"suspended: false -> true, suspend_reason: none -> odd");
	expect(r, COMMAND_SITE_DISABLE, NULL, "{}", "", "enabled: true -> false");
}

static void a_set_that_changes_nothing_says_nothing(void **state)
{
	struct room *r = *state;

	furnish(r);
	expect(r, COMMAND_TENANTS_SET, "t", "{\"pool\":\"p\"}", "t", "");
}

static void what_is_new_or_gone_is_told(void **state)
{
	struct room *r = *state;

	furnish(r);
	expect(r, COMMAND_TENANTS_ADD, NULL, "{\"name\":\"n\",\"rps\":3}", "n",
		"name: n, enabled: true, rps: 3, daily: 500, monthly: 10000, wait: refuse");
	char *text = logged(r, COMMAND_TENANTS_DEL, "n", "{}");
	assert_non_null(strstr(text, "rps: 3 -> none"));
	free(text);
	text = logged(
		r, COMMAND_BANS_ADD, NULL, "{\"network\":\"10.1.0.0/16\",\"reason\":\"noisy\"}");
	assert_non_null(strstr(text, "reason: noisy"));
	free(text);
}

static void secrets_are_never_told(void **state)
{
	struct room *r = *state;

	furnish(r);
	expect(r, COMMAND_ACCOUNTS_SET, "a", "{\"token\":\"" SECRET "\",\"weight\":5}", "a",
		"weight: 100 -> 5, token replaced");
	expect(r, COMMAND_ACCOUNTS_SET, "a", "{\"headers\":{\"X-Org\":\"" SECRET "\"}}", "a",
		"headers X-Org added");
	expect(r, COMMAND_ACCOUNTS_SET, "a", "{\"headers\":{\"X-Org\":\"" SECRET "2\"}}", "a",
		"headers X-Org changed");
	expect(r, COMMAND_ACCOUNTS_SET, "a", "{\"headers\":{}}", "a", "headers X-Org removed");
}

static void keys_are_told_by_id(void **state)
{
	struct room *r = *state;

	furnish(r);
	char *text = logged(r, COMMAND_TOKENS_ISSUE, NULL, "{\"tenant\":\"t\",\"name\":\"ci\"}");
	char *changed = field_of(text, "changed");
	assert_non_null(strstr(changed, "id: 1,"));
	assert_non_null(strstr(changed, "name: ci"));
	assert_null(strstr(text, "rk_"));
	free(changed);
	free(text);
	expect(r, COMMAND_TOKENS_ISSUE, NULL, "{\"tenant\":\"t\",\"count\":3}", "t", "keys 2 to 4");
	text = logged(r, COMMAND_TOKENS_ROTATE, "1", "{}");
	changed = field_of(text, "changed");
	assert_non_null(strstr(changed, "state: active -> revoked"));
	assert_non_null(strstr(changed, "new key: 5"));
	assert_null(strstr(text, "rk_"));
	free(changed);
	free(text);
}

static void a_document_has_a_line_for_each_thing(void **state)
{
	struct room *r = *state;

	furnish(r);
	char *text = logged_document(r, COMMAND_APPLY, NULL, "{}",
		"{\"tenants\":[{\"name\":\"t\",\"rpm\":9},{\"name\":\"t2\",\"rpm\":1}]}");
	char *second = strchr(text, '\n');
	assert_non_null(second);
	*second++ = '\0';
	char *changed = field_of(text, "changed");
	assert_string_equal(changed, "rpm: 0 -> 9");
	free(changed);
	changed = field_of(second, "target");
	assert_string_equal(changed, "t2");
	free(changed);
	changed = field_of(second, "changed");
	assert_non_null(strstr(changed, "rpm: 1"));
	free(changed);
	free(text);
}

/* A value that an operator chose may be long: the line stays whole. */
static void a_long_change_is_cut(void **state)
{
	char out[AUDIT_TEXT_SIZE];
	char field[32];
	json_object *after = json_object_new_object();
	json_object *value;

	(void)state;
	for (int i = 0; i < 200; i++) {
		char *text = calloc(1, 5000);
		memset(text, 'x', 4999);
		snprintf(field, sizeof(field), "field%d", i);
		value = json_object_new_string(text);
		json_object_object_add(after, field, value);
		free(text);
	}
	audit_differences(NULL, after, out);
	assert_int_equal(strlen(out), AUDIT_TEXT_SIZE - 1);
	assert_memory_equal(out, "field0: xxxx", 12);
	json_object_put(after);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_field_is_told_from_what_to_what),
		TEST(a_set_that_changes_nothing_says_nothing),
		TEST(what_is_new_or_gone_is_told),
		TEST(secrets_are_never_told),
		TEST(keys_are_told_by_id),
		TEST(a_document_has_a_line_for_each_thing),
		TEST(a_long_change_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
