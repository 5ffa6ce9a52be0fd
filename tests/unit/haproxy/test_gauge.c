/* HAProxy's output about its requests in progress. */
#include "common/gauge.h"
#include "haproxy/gauge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HEAD "# table: relay-track, type: string, size:102400, used:3\n"

static int parse(const char *text, struct buffer *out)
{
	buffer_clear(out);
	return gauge_parse_table(slice_from_str(text), out);
}

static void reads_the_rows_of_every_version(void **state)
{
	static const char answer[] =
		HEAD "0x5581c0: key=1|2|3 use=1 exp=59990 conn_cur=4\n"
		     "0x5581d0: key=10|20|4294967295 use=0 exp=1 shard=0 conn_cur=1\n"
		     "\n";
	struct buffer out = {0};

	(void)state;
	assert_int_equal(parse(answer, &out), 2);
	const struct gauge_row *rows = (const void *)out.data;
	assert_int_equal(rows[0].tenant, 1);
	assert_int_equal(rows[0].key, 2);
	assert_int_equal(rows[0].account, 3);
	assert_int_equal(rows[0].count, 4);
	assert_int_equal(rows[1].account, UINT32_MAX);
	buffer_fini(&out);
}

static void leaves_out_what_is_no_row(void **state)
{
	static const char *const lines[] = {
		HEAD "0x1: key=1|2|3 use=1 exp=59990\n\n",
		HEAD "0x1: key=1|2 use=1 conn_cur=1\n\n",
		HEAD "0x1: key=a|b|c use=1 conn_cur=1\n\n",
		HEAD "0x1: key=1|2|3 use=1 conn_cur=0\n\n",
		HEAD "0x1: key=1|2|3 use=1 conn_cur=99999999999\n\n",
		HEAD "0x1: key= conn_cur=1\n\n",
		HEAD "0x1:\n\n",
		HEAD "key=1|2|3 conn_cur=1\n\n",
		HEAD "\n",
	};
	struct buffer out = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_int_equal(parse(lines[i], &out), 0);
	buffer_fini(&out);
}

static void refuses_what_is_not_its_table(void **state)
{
	static const char *const answers[] = {"", "\n", "No such table\n", "Unknown command\n",
		"# table: other, type: string\n0x1: key=1|2|3 conn_cur=1\n"};
	struct buffer out = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		assert_int_equal(parse(answers[i], &out), -EPROTO);
	buffer_fini(&out);
}

/* An answer of a master that reloads meanwhile. */
static void does_not_take_a_part_for_the_whole(void **state)
{
	static const char table[] = HEAD "0x1: key=1|2|3 use=12 conn_cur=12\n"
					 "0x2: key=4|5|6 use=1 conn_cur=1\n\n";
	static const char workers[] = "100 master 1 [failed: 0] 0d 2.6\n# workers\n"
				      "104 worker 0 0d 2.6\n# old workers\n"
				      "102 worker 1 0d 2.6\n\n";
	uint64_t pids[GAUGE_WORKERS_MAX];
	struct buffer out = {0};

	(void)state;
	for (size_t n = 0; n < sizeof(table) - 1; n++) {
		assert_true(gauge_parse_table((struct slice){table, n}, &out) < 0);
		assert_int_equal(out.len, 0);
	}
	assert_int_equal(gauge_parse_table(SLICE_LITERAL(table), &out), 2);
	for (size_t n = 0; n < sizeof(workers) - 1; n++)
		assert_true(gauge_parse_workers((struct slice){workers, n}, pids) < 0);
	assert_int_equal(gauge_parse_workers(SLICE_LITERAL(workers), pids), 2);
	buffer_fini(&out);
}

static void bounds_the_rows(void **state)
{
	static const char row[] = "0x1: key=1|2|3 use=1 conn_cur=1\n";
	struct buffer text = {0};
	struct buffer out = {0};

	(void)state;
	buffer_append_str(&text, HEAD);
	for (int i = 0; i <= GAUGE_ROWS_MAX; i++)
		buffer_append_str(&text, row);
	buffer_append_str(&text, "\n");
	assert_int_equal(gauge_parse_table(buffer_slice(&text), &out), -E2BIG);
	buffer_fini(&text);
	buffer_fini(&out);
}

static void lists_old_workers_too(void **state)
{
	static const char answer[] =
		"#<PID>          <type>          <reloads>       <uptime>        <version>\n"
		"100             master          2 [failed: 0]   0d00h00m09s     2.6.12\n"
		"# workers\n"
		"104             worker          0               0d00h00m01s     2.6.12\n"
		"# old workers\n"
		"102             worker          1               0d00h00m05s     2.6.12\n"
		"101             worker          2               0d00h00m09s     2.6.12\n"
		"# programs\n\n";
	uint64_t pids[GAUGE_WORKERS_MAX];

	(void)state;
	assert_int_equal(gauge_parse_workers(slice_from_str(answer), pids), 3);
	assert_int_equal(pids[0], 104);
	assert_int_equal(pids[2], 101);
	assert_int_equal(gauge_parse_workers(SLICE_LITERAL("Unknown command\n"), pids), -EPROTO);
}

static void bounds_the_workers(void **state)
{
	uint64_t pids[GAUGE_WORKERS_MAX];
	struct buffer text = {0};

	(void)state;
	buffer_append_str(&text, "1 master 0 [failed: 0] 0d 2.6\n");
	for (int i = 0; i <= GAUGE_WORKERS_MAX; i++)
		buffer_printf(&text, "%d worker 0 0d 2.6\n", i + 2);
	assert_int_equal(gauge_parse_workers(buffer_slice(&text), pids), -E2BIG);
	buffer_fini(&text);
}

static void a_socket_that_is_not_there_is_an_error(void **state)
{
	struct buffer out = {0};
	struct errtext e = {""};

	(void)state;
	assert_true(gauge_read("/nonexistent/a.sock", "", 100, &out, &e) < 0);
	assert_true(gauge_read("", "/nonexistent/m.sock", 100, &out, &e) < 0);
	assert_true(e.text[0] != '\0');
	buffer_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_the_rows_of_every_version),
		cmocka_unit_test(leaves_out_what_is_no_row),
		cmocka_unit_test(refuses_what_is_not_its_table),
		cmocka_unit_test(does_not_take_a_part_for_the_whole),
		cmocka_unit_test(bounds_the_rows),
		cmocka_unit_test(lists_old_workers_too),
		cmocka_unit_test(bounds_the_workers),
		cmocka_unit_test(a_socket_that_is_not_there_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
