/* Lists that have more rows than a page. */
#include "tests/unit/admin/room.h"

#include "admin/api/query.h"

#include <stdio.h>

#define PAGE QUERY_PAGE_ROWS

static const int counts[] = {0, 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE, 3 * PAGE + 7};
#define COUNTS (sizeof(counts) / sizeof(counts[0]))

/* `what` inserts a row for each i.n from 1 to `count`. */
static void insert(struct room *r, int count, const char *what)
{
	char sql[512];

	snprintf(sql, sizeof(sql),
		"WITH RECURSIVE i(n) AS (SELECT 1 WHERE %d > 0 UNION ALL SELECT n + 1 FROM i WHERE n < "
		"%d) ",
		count, count);
	size_t n = strlen(sql);
	snprintf(sql + n, sizeof(sql) - n, "%s", what);
	room_run(r, sql);
}

static json_object *list(struct room *r, enum command_id id, const char *body)
{
	json_object *o = NULL;

	assert_int_equal(room_call(r, id, NULL, body, &o), 200);
	return o;
}

static json_object *item(json_object *o, size_t i)
{
	return json_object_array_get_idx(json_object_object_get(o, "items"), i);
}

static size_t count_of(json_object *o)
{
	return json_object_array_length(json_object_object_get(o, "items"));
}

static const char *text(json_object *o, size_t i, const char *field)
{
	return json_object_get_string(json_object_object_get(item(o, i), field));
}

static void expect_rising(json_object *o, size_t count, const char *field)
{
	assert_int_equal(count_of(o), count);
	for (size_t i = 1; i < count; i++)
		assert_true(strcmp(text(o, i - 1, field), text(o, i, field)) < 0);
}

static void tenants_are_listed_once_each_by_name(void **state)
{
	struct room *r = *state;

	for (size_t i = 0; i < COUNTS; i++) {
		room_run(r, "DELETE FROM tenants");
		insert(r, counts[i],
			"INSERT INTO tenants (name, created_ms) SELECT 't' || n, 0 FROM i");
		json_object *o = list(r, COMMAND_TENANTS_LIST, "{}");
		expect_rising(o, (size_t)counts[i], "name");
		json_object_put(o);
	}
}

static void bans_are_listed_once_each_by_network(void **state)
{
	struct room *r = *state;

	for (size_t i = 0; i < COUNTS; i++) {
		room_run(r, "DELETE FROM bans");
		insert(r, counts[i],
			"INSERT INTO bans (network, source, created_ms)"
			" SELECT '10.0.' || n || '.0/24', 'operator', 0 FROM i");
		json_object *o = list(r, COMMAND_BANS_LIST, "{}");
		expect_rising(o, (size_t)counts[i], "network");
		json_object_put(o);
	}
}

static void expect_keys(struct room *r, const char *body, size_t count)
{
	json_object *o = list(r, COMMAND_TOKENS_LIST, body);

	assert_int_equal(count_of(o), count);
	for (size_t i = 1; i < count; i++) {
		int order = strcmp(text(o, i - 1, "tenant"), text(o, i, "tenant"));
		assert_true(order <= 0);
		if (order == 0)
			assert_true(json_object_get_int64(
					    json_object_object_get(item(o, i - 1), "id")) <
				json_object_get_int64(json_object_object_get(item(o, i), "id")));
	}
	json_object_put(o);
}

/* Tenant a has the counted keys, b none, c some; and many tenants without keys are behind them. */
static void keys_are_listed_once_each_by_tenant_and_id(void **state)
{
	struct room *r = *state;

	for (size_t i = 0; i < COUNTS; i++) {
		size_t n = (size_t)counts[i];
		room_run(r, "DELETE FROM keys");
		room_run(r, "DELETE FROM tenants");
		room_run(r,
			"INSERT INTO tenants (id, name, created_ms) VALUES (1, 'c', 0), (2, 'b', 0),"
			" (3, 'a', 0)");
		insert(r, 2 * PAGE,
			"INSERT INTO tenants (name, created_ms) SELECT 'empty' || n, 0 FROM i");
		insert(r, counts[i],
			"INSERT INTO keys (tenant_id, hash, last4, created_ms, version)"
			" SELECT 3, CAST(n AS BLOB), '', 0, 1 FROM i");
		insert(r, PAGE + 3,
			"INSERT INTO keys (tenant_id, hash, last4, created_ms, version)"
			" SELECT 1, CAST(-n AS BLOB), '', 0, 1 FROM i");
		expect_keys(r, "{}", n + PAGE + 3);
		expect_keys(r, "{\"tenant\": \"a\"}", n);
		expect_keys(r, "{\"tenant\": \"b\"}", 0);
	}
	room_refuse(r, COMMAND_TOKENS_LIST, NULL, "{\"tenant\": \"nobody\"}", 400, "nobody");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tenants_are_listed_once_each_by_name),
		TEST(bans_are_listed_once_each_by_network),
		TEST(keys_are_listed_once_each_by_tenant_and_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
