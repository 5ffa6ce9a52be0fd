#include "common/head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_text(struct slice s, const char *expected)
{
	if (!slice_eq_str(s, expected))
		fail_msg("\"%.*s\" is not \"%s\"", (int)s.n, s.p, expected);
}

static void reads_line_after_line(void **state)
{
	struct slice rest = SLICE_LITERAL("host: relay\r\nempty:\r\nempty: \r\nb:  x \t y \r\n"
					  "c:no blank\r\nd: a: b\r\ne: \xff\x80\r\n\r\n");
	static const char *const expected[][2] = {{"host", "relay"}, {"empty", ""}, {"empty", ""},
		{"b", "x \t y"}, {"c", "no blank"}, {"d", "a: b"}, {"e", "\xff\x80"}};
	struct head_line line;

	(void)state;
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		assert_int_equal(head_next(&rest, &line), HEAD_LINE);
		assert_text(line.name, expected[i][0]);
		assert_text(line.value, expected[i][1]);
	}
	assert_int_equal(head_next(&rest, &line), HEAD_END);
	assert_int_equal(head_next(&rest, &line), HEAD_END);
}

static void a_request_may_have_no_header(void **state)
{
	struct slice rest = SLICE_LITERAL("\r\n");
	struct head_line line;

	(void)state;
	assert_int_equal(head_next(&rest, &line), HEAD_END);
}

static void refuses_what_is_no_complete_head(void **state)
{
	static const struct slice bad[] = {
		{"", 0},
		{NULL, 0},
		{"a: b", 4},
		{"a: b\r\n", 6},
		{"a: b\r\n\r", 7},
		{"a: b\n\n", 6},
		{"a: b\n\r\n", 7},
		{"\n", 1},
		{": b\r\n\r\n", 7},
		{"name\r\n\r\n", 8},
		{"a: b\r\n\r\nc: d\r\n\r\n", 16},
		{"a: b\r\n\r\n\r\n", 10},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct slice rest = bad[i];
		enum head_answer answer;
		struct head_line line;
		while ((answer = head_next(&rest, &line)) == HEAD_LINE)
			;
		if (answer != HEAD_BAD)
			fail_msg("text %zu was taken for a head", i);
	}
}

static void finds_a_word_of_a_list(void **state)
{
	static const struct slice word = {"websocket", 9};

	(void)state;
	assert_true(head_list_has_prefix(SLICE_LITERAL("websocket"), word));
	assert_true(head_list_has_prefix(SLICE_LITERAL("WebSocket/13"), word));
	assert_true(head_list_has_prefix(SLICE_LITERAL("h2c ,\t WEBSOCKET"), word));
	assert_false(head_list_has_prefix(SLICE_LITERAL("h2c"), word));
	assert_false(head_list_has_prefix(SLICE_LITERAL("websock"), word));
	assert_false(head_list_has_prefix(SLICE_LITERAL("a websocket"), word));
	assert_false(head_list_has_prefix(SLICE_LITERAL(""), word));
}

static void finds_the_headers_of_this_hop(void **state)
{
	static const struct {
		const char *head;
		const char *hops; /* without the 0 at the end */
		bool fits;
	} rows[] = {
		{"connection: keep-alive\r\nx-a: b\r\n\r\n", "", true},
		{"connection: X-A, close\r\nx-a: b\r\n\r\n", "\3x-a", true},
		{"x-a: b\r\nx-b: c\r\nconnection: x-b\r\nconnection: , x-a ,\r\n\r\n", "\3x-b\3x-a",
			true},
		{"connection: x-a\r\nx-ab: c\r\n\r\n", "", true},
		{"connection: host, content-length, upgrade\r\nhost: a\r\ncontent-length: 1\r\n\r\n",
			"", true},
		{"connection: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p\r\nz: b\r\n\r\n", "", true},
		{"connection: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q\r\nz: b\r\n\r\n", "", false},
		{"connection: x-0123456789012345678901234567890123456789012345678901234567890\r\n"
		 "x-0123456789012345678901234567890123456789012345678901234567890: b\r\n\r\n",
			"", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char out[HEAD_HOPS_MAX];
		size_t n = 0;
		assert_int_equal(head_hops(slice_from_str(rows[i].head), out, &n), rows[i].fits);
		if (!rows[i].fits)
			continue;
		size_t expected = strlen(rows[i].hops);
		assert_int_equal(n, expected ? expected + 1 : 0);
		assert_memory_equal(out, rows[i].hops, n);
	}
}

static void knows_a_label(void **state)
{
	static const char longest[] =
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789ABCDEF";

	(void)state;
	assert_true(head_is_label(SLICE_LITERAL("00-0af7651916cd43dd-b7ad6b7169203331-01")));
	assert_true(head_is_label(SLICE_LITERAL("a.b_C-9")));
	assert_true(head_is_label((struct slice){longest, 64}));
	assert_false(head_is_label((struct slice){longest, 0}));
	assert_false(head_is_label(SLICE_LITERAL(
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789ABCDEFx")));
	assert_false(head_is_label(SLICE_LITERAL("a b")));
	assert_false(head_is_label(SLICE_LITERAL("a\"")));
	assert_false(head_is_label(SLICE_LITERAL("\xc3\xa9")));
	assert_false(head_is_label((struct slice){"a\0b", 3}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_line_after_line),
		cmocka_unit_test(a_request_may_have_no_header),
		cmocka_unit_test(refuses_what_is_no_complete_head),
		cmocka_unit_test(finds_a_word_of_a_list),
		cmocka_unit_test(finds_the_headers_of_this_hop),
		cmocka_unit_test(knows_a_label),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
