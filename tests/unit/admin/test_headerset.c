#include "tests/unit/admin/room.h"

#include "admin/command/headerset.h"

#include <errno.h>
#include <stdio.h>

static int put(struct headerset *h, const char *name, const char *value)
{
	struct errtext e;

	return headerset_put(h, slice_from_str(name), slice_from_str(value), &e);
}

static void a_header_is_added_or_replaced(void **state)
{
	struct headerset h = {.count = 0};
	struct headerset back;
	struct errtext e;
	struct buffer json = {0};

	(void)state;
	assert_int_equal(put(&h, "X-One", "  a \"b\" "), 0);
	assert_int_equal(put(&h, "x-one", " c"), 0);
	assert_int_equal(put(&h, "X-Two", " d\\e"), 0);
	assert_int_equal(h.count, 2);
	headerset_format(&h, &json);
	assert_int_equal(headerset_parse(buffer_slice(&json), &back, &e), 0);
	assert_int_equal(back.count, 2);
	assert_string_equal(back.rows[0].value, "c");
	assert_string_equal(back.rows[1].value, "d\\e");
	buffer_fini(&json);
}

static void rejects_invalid_headers(void **state)
{
	static const char *const rows[][2] = {{"X", ""}, {"", "v"}, {"X-A", " "}, {"X A", "v"},
		{"X-A", "a\rb"}, {"Host", "h"}, {"authorization", "Bearer x"}, {"X-API-Key", "k"},
		{"X-Relay-Code", "1"}, {"Content-Length", "3"}, {"X\xc3", "v"}};
	struct headerset h = {.count = 0};
	struct errtext e;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (put(&h, rows[i][0], rows[i][1]) != -EINVAL)
			fail_msg("accepted: %s: %s", rows[i][0], rows[i][1]);
	assert_int_equal(h.count, 0);
	assert_int_equal(headerset_parse(SLICE_LITERAL("[1]"), &h, &e), -EINVAL);
	assert_int_equal(headerset_parse(SLICE_LITERAL("{\"X-A\":1}"), &h, &e), -EINVAL);
	assert_int_equal(headerset_parse(SLICE_LITERAL("{\"X-A\":\"v\""), &h, &e), -EINVAL);
}

static void a_set_is_bounded(void **state)
{
	struct headerset h = {.count = 0};
	struct errtext e;
	char value[SEAM_HEADER_VALUE_MAX + 1];
	char name[32];

	(void)state;
	memset(value, 'v', sizeof(value));
	struct slice longest = {value, SEAM_HEADER_VALUE_MAX};
	struct slice longer = {value, SEAM_HEADER_VALUE_MAX + 1};
	assert_int_equal(headerset_put(&h, SLICE_LITERAL("X-L"), longer, &e), -EINVAL);
	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "X-%d", i);
		assert_int_equal(headerset_put(&h, slice_from_str(name), longest, &e), 0);
	}
	assert_int_equal(
		headerset_put(&h, SLICE_LITERAL("X-More"), SLICE_LITERAL("v"), &e), -E2BIG);
	/* replacing one is no growth */
	assert_int_equal(headerset_put(&h, SLICE_LITERAL("X-1"), SLICE_LITERAL("v"), &e), 0);
	for (int i = 3; i < SEAM_HEADERS_MAX; i++) {
		snprintf(name, sizeof(name), "X-%d", i);
		assert_int_equal(
			headerset_put(&h, slice_from_str(name), SLICE_LITERAL("v"), &e), 0);
	}
	assert_int_equal(
		headerset_put(&h, SLICE_LITERAL("X-Ninth"), SLICE_LITERAL("v"), &e), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_header_is_added_or_replaced),
		cmocka_unit_test(rejects_invalid_headers),
		cmocka_unit_test(a_set_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
