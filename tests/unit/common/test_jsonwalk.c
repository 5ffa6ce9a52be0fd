#include "common/jsonwalk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#define S(text) SLICE_LITERAL(text)
#define DEPTH 100000

static void a_value_is_taken_off_whole(void **state)
{
	static const char *const values[] = {"\"text\"", "\"\"", "\"a\\\"b\"", "\"a\\\\\"",
		"\"\\\\\\\"\"", "12.5e-3", "true", "null", "{}", "[]",
		"{\"a\":[1,{\"b\":\"}\"}],\"c\":\"]\"}", "[\"[\", {\"\\\"\": [[]]} , -1]"};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		snprintf(text, sizeof(text), " \r\n\t%s,\"rest\"", values[i]);
		struct slice rest = slice_from_str(text);
		jsonwalk_skip(&rest);
		assert_true(slice_eq(rest, S(",\"rest\"")));
	}
}

static void deep_nesting_costs_nothing(void **state)
{
	char *text = malloc(2 * DEPTH + 1);

	(void)state;
	assert_non_null(text);
	memset(text, '[', DEPTH);
	memset(text + DEPTH, ']', DEPTH);
	text[2 * DEPTH] = ',';
	struct slice rest = {text, 2 * DEPTH + 1};
	jsonwalk_skip(&rest);
	assert_int_equal(rest.n, 1);
	rest = (struct slice){text, DEPTH};
	jsonwalk_skip(&rest);
	assert_int_equal(rest.n, 0);
	free(text);
}

static void members_and_items_come_in_their_order(void **state)
{
	struct slice rest = S(" { \"a\" : 1 , \"b\":[ 2 ,\"x\"], \"\":{} } tail");
	struct slice name;
	char names[8] = "";
	size_t count = 0;

	(void)state;
	assert_true(jsonwalk_enter_object(&rest));
	while (count < sizeof(names) - 1 && jsonwalk_next_member(&rest, &name)) {
		names[count++] = name.n ? *name.p : '-';
		jsonwalk_skip(&rest);
	}
	assert_string_equal(names, "ab-");
	assert_true(slice_eq(rest, S(" tail")));
	rest = S("[1, [2], {\"three\":3}] tail");
	size_t items = 0;
	assert_true(jsonwalk_enter_array(&rest));
	for (; jsonwalk_next_item(&rest); items++)
		jsonwalk_skip(&rest);
	assert_int_equal(items, 3);
	assert_true(slice_eq(rest, S(" tail")));
}

static void what_is_no_object_ends_the_walk(void **state)
{
	static const char *const texts[] = {"{", "{\"a", "{\"a\"", "{\"a\":", "{\"a\" 1}", "{a:1}",
		"{,}", "{1:2}", "{\"a\":}", "{\"a\":]", "{\"a\":1]", "{:"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct slice rest = slice_from_str(texts[i]);
		struct slice name;
		int steps = 0;
		assert_true(jsonwalk_enter_object(&rest));
		for (; jsonwalk_next_member(&rest, &name); steps++)
			jsonwalk_skip(&rest);
		assert_int_equal(rest.n, 0);
		assert_true(steps <= 1);
	}
	struct slice array = S("[1]");
	struct slice text = S("\"{\"");
	assert_false(jsonwalk_enter_object(&array));
	assert_false(jsonwalk_enter_object(&text));
	assert_false(jsonwalk_enter_array(&text));
}

static void a_cut_string_is_not_whole(void **state)
{
	static const struct {
		const char *text;
		const char *raw;
		bool whole;
	} rows[] = {{"\"\"", "", true}, {"\"a\" ", "a", true}, {"\"a\\\"\"", "a\\\"", true},
		{"\"", "", false}, {"\"a", "a", false}, {"\"a\\\"", "a\\\"", false},
		{"\"a\\\\\\\"", "a\\\\\\\"", false}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct slice rest = slice_from_str(rows[i].text);
		struct slice raw;
		bool whole;
		assert_true(jsonwalk_string(&rest, &raw, &whole));
		assert_true(slice_eq_str(raw, rows[i].raw));
		assert_int_equal(whole, rows[i].whole);
	}
}

static void escapes_are_decoded(void **state)
{
	static const struct {
		const char *raw;
		const char *text;
	} rows[] = {{"", ""}, {"plain", "plain"}, {"\\n\\t\\r\\b\\f", "\n\t\r\b\f"},
		{"\\\"\\\\\\/", "\"\\/"}, {"\\u0061b\\u005F", "ab_"}, {"\\u00e4", "\xc3\xa4"},
		{"\\u20AC", "\xe2\x82\xac"}, {"\\ud83d\\ude00!", "\xf0\x9f\x98\x80!"},
		{"\\ud83d", "\xef\xbf\xbd"}, {"\\ude00x", "\xef\xbf\xbdx"},
		{"\\ud83d\\u0041",
			"\xef\xbf\xbd"
			"A"},
		{"\\uzzzz", "uzzzz"}, {"\\q", "q"}, {"cut\\", "cut"}, {"cut\\u00", "cutu00"}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct slice raw = slice_from_str(rows[i].raw);
		char scratch[JSONWALK_PIECE_SIZE];
		char text[64] = {0};
		struct slice piece;
		assert_true(jsonwalk_says(raw, rows[i].text));
		while (jsonwalk_piece(&raw, scratch, &piece))
			memcpy(text + strlen(text), piece.p, piece.n);
		assert_string_equal(text, rows[i].text);
	}
	assert_false(jsonwalk_says(S("role"), "roles"));
	assert_false(jsonwalk_says(S("roles"), "role"));
	assert_false(jsonwalk_says(S("\\u0000"), ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_value_is_taken_off_whole),
		cmocka_unit_test(deep_nesting_costs_nothing),
		cmocka_unit_test(members_and_items_come_in_their_order),
		cmocka_unit_test(what_is_no_object_ends_the_walk),
		cmocka_unit_test(a_cut_string_is_not_whole),
		cmocka_unit_test(escapes_are_decoded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
