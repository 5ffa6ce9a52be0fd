/* Queries of the store: arguments, columns by name, and how each mistake is reported. */
#include "tests/unit/admin/room.h"

#include <errno.h>

#define TENANTS                                                                                    \
	"INSERT INTO tenants (name, rpm, created_ms) VALUES ('a', 7, 0), ('b', 0, 0), ('c', 9, 0)"

struct seen {
	int rows;
	int64_t rpm;
	char name[4];
	bool has_pool;
	int result;
};

static int take(struct row *row, void *context)
{
	struct seen *s = context;

	s->rows++;
	s->rpm += row_number(row, "rpm");
	row_copy(row, "name", s->name, sizeof(s->name));
	s->has_pool = !row_is_null(row, "pool");
	assert_int_equal(row_number(row, "pool"), 0);
	assert_int_equal(row_text(row, "pool").n, 0);
	assert_true(slice_eq_str(row_text(row, "name"), s->name));
	return s->result;
}

#define SELECT "SELECT name, pool_id AS pool, rpm FROM tenants "

static void columns_are_read_by_name(void **state)
{
	struct room *r = *state;
	struct store *s = r->control.store;
	struct seen seen = {0};

	room_run(r, TENANTS);
	assert_int_equal(sql_each(s, &r->e, take, &seen, SELECT "ORDER BY name", ""), 0);
	assert_int_equal(seen.rows, 3);
	assert_int_equal(seen.rpm, 16);
	assert_string_equal(seen.name, "c");
	assert_false(seen.has_pool);
}

static void the_first_row_alone_or_none(void **state)
{
	struct room *r = *state;
	struct store *s = r->control.store;
	struct seen seen = {0};

	room_run(r, TENANTS);
	assert_int_equal(sql_one(s, &r->e, take, &seen, SELECT "ORDER BY name DESC", ""), 0);
	assert_int_equal(seen.rows, 1);
	assert_string_equal(seen.name, "c");
	r->e.text[0] = '\0';
	assert_int_equal(
		sql_one(s, &r->e, take, &seen, SELECT "WHERE name = ?1", "t", "z"), -ENOENT);
	assert_string_equal(r->e.text, "");
}

static void an_error_of_the_function_ends_the_query(void **state)
{
	struct room *r = *state;
	struct store *s = r->control.store;
	struct seen seen = {.result = -EDOM};

	room_run(r, TENANTS);
	assert_int_equal(sql_each(s, &r->e, take, &seen, SELECT, ""), -EDOM);
	assert_int_equal(seen.rows, 1);
	seen = (struct seen){0};
	assert_int_equal(sql_each(s, &r->e, take, &seen, SELECT, ""), 0);
	assert_int_equal(seen.rows, 3);
}

static int take_unknown(struct row *row, void *context)
{
	int *rows = context;

	++*rows;
	assert_int_equal(row_number(row, "rpn"), 0);
	assert_int_equal(row_text(row, "nam").n, 0);
	return 0;
}

static void a_column_that_is_not_selected_fails_the_query(void **state)
{
	struct room *r = *state;
	int rows = 0;

	room_run(r, TENANTS);
	assert_int_equal(sql_each(r->control.store, &r->e, take_unknown, &rows, SELECT, ""), -EIO);
	assert_int_equal(rows, 1);
	assert_non_null(strstr(r->e.text, "no column"));
	assert_non_null(strstr(r->e.text, "FROM tenants"));
}

static void arguments_must_be_as_many_as_parameters(void **state)
{
	struct room *r = *state;
	struct store *s = r->control.store;
	int64_t n = 0;

	assert_int_equal(sql_run(s, &r->e, "DELETE FROM tenants WHERE name = ?1", ""), -EIO);
	assert_non_null(strstr(r->e.text, "1 parameters"));
	assert_int_equal(sql_run(s, &r->e, "DELETE FROM tenants", "i", (int64_t)1), -EIO);
	assert_int_equal(sql_number(s, &r->e, &n, "SELECT 1, 2", ""), -EIO);
	assert_int_equal(sql_run(s, &r->e, "SELECT id FROM nowhere", ""), -EIO);
	assert_non_null(strstr(r->e.text, "nowhere"));
}

static int take_bytes(struct row *row, void *context)
{
	struct slice bytes = row_text(row, "bytes");

	assert_true(slice_eq(bytes, *(struct slice *)context));
	assert_true(row_flag(row, "text"));
	assert_true(row_is_null(row, "none"));
	return 0;
}

static void arguments_keep_their_bytes(void **state)
{
	struct room *r = *state;
	struct slice bytes = {"a\0b", 3};
	struct slice text = {"texts", 4};

	assert_int_equal(sql_one(r->control.store, &r->e, take_bytes, &bytes,
				 "SELECT ?1 AS bytes, ?2 = 'text' AND ?4 = 5 AS text, ?3 AS none",
				 "bsti", &bytes, &text, NULL, (int64_t)5),
		0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(columns_are_read_by_name),
		TEST(the_first_row_alone_or_none),
		TEST(an_error_of_the_function_ends_the_query),
		TEST(a_column_that_is_not_selected_fails_the_query),
		TEST(arguments_must_be_as_many_as_parameters),
		TEST(arguments_keep_their_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
