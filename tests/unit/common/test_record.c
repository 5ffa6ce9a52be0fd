#include "common/record.h"
#include "common/refusal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define ID "96da910e-ca7c-490b-8775-7491a3ab1c0b"
#define SECRET "s3cret"
/* as HAProxy 2.6 wrote it */
#define LINE                                                                                       \
	"relay1 " SECRET " 7 " ID                                                                  \
	" 12|345|6 relay-in b3-demo-ip1 out 200 1130 5242 0 1 2 30 95 -- 0 - "                     \
	"client-1 2.31.4.9 a=b c=d"

/* the form before this one, with method and path */
#define NEW_LINE(method, path)                                                                     \
	"relay2 " SECRET " 7 " ID                                                                  \
	" 12|345|6 relay-in b3-demo-ip1 out 200 1130 5242 0 1 2 30 95 -- 0 - "                     \
	"client-1 2.31.4.9 " method " " path " a=b c=d"

static const struct slice secret = {SECRET, sizeof(SECRET) - 1};

static enum record_result parse(const char *line, struct record *r)
{
	return record_parse(slice_from_str(line), secret, r);
}

/* What HAProxy wrote is what `relayadm` shows: people search for it. */
static void an_id_comes_back_as_it_was_written(void **state)
{
	static const char *const ids[] = {ID, "01a22049-6bf7-7c2d-9755-98e4843787c0",
		"01a220495cdef8d265264561f60f8da6", "ffffffffffffffffffffffffffffffff",
		"00000000000000000000000000000000"};
	char text[RECORD_ID_TEXT_SIZE];
	uint8_t id[16];

	(void)state;
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		assert_int_equal(record_parse_id(slice_from_str(ids[i]), id), 0);
		assert_string_equal(record_format_id(id, text), ids[i]);
	}
}

static void other_forms_are_no_ids(void **state)
{
	static const char *const bad[] = {"", "0", "01a220495cdef8d265264561f60f8da",
		"01a220495cdef8d265264561f60f8da60", "01a220495cdef8d265264561f60f8dag",
		"01a220495cdef8d265264561f60f8da6\n", "01a22049-6bf7-7c2d-9755-98e4843787c0\n",
		"01a22049-6bf7-7c2d-975598e4843787c00", "01a2204966bf7-7c2d-9755-98e4843787c0",
		"01a220495cde-f8d2-6526-4561-f60f8da6", " 01a220495cdef8d265264561f60f8da"};
	uint8_t id[16];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(record_parse_id(slice_from_str(bad[i]), id), -EINVAL);
}

static void reads_every_field(void **state)
{
	struct record r;
	char id[RECORD_ID_TEXT_SIZE];

	(void)state;
	assert_int_equal(parse(LINE, &r), RECORD_OK);
	assert_int_equal(r.gen, 7);
	assert_string_equal(record_format_id(r.id, id), ID);
	assert_int_equal(r.tenant, 12);
	assert_int_equal(r.key, 345);
	assert_int_equal(r.account, 6);
	assert_true(slice_eq_str(r.frontend, "relay-in"));
	assert_true(slice_eq_str(r.backend, "b3-demo-ip1"));
	assert_true(slice_eq_str(r.server, "out"));
	assert_int_equal(r.status, 200);
	assert_int_equal(r.bytes_in, 1130);
	assert_int_equal(r.bytes_out, 5242);
	assert_int_equal(r.ttfb_ms, 33);
	assert_int_equal(r.duration_ms, 95);
	assert_string_equal(r.termination, "--");
	assert_int_equal(r.code.n, 0);
	assert_true(slice_eq_str(r.label, "client-1"));
	assert_true(slice_eq_str(r.limits, "a=b c=d"));
	assert_int_equal(r.mark.attempt, 2);
	assert_int_equal(r.mark.account_generation, 31);
	assert_int_equal(r.mark.backend_generation, 4);
	assert_int_equal(r.mark.credential, 9);
	assert_false(r.mark.is_probe);
}

static void the_target_has_no_query(void **state)
{
	static const struct {
		const char *line, *method, *path;
	} cases[] = {
		{NEW_LINE("POST", "/v1/responses"), "POST", "/v1/responses"},
		{NEW_LINE("GET", "/v1/models?key=secret"), "GET", "/v1/models"},
		{NEW_LINE("OPTIONS", ""), "OPTIONS", ""},
		{NEW_LINE("GET", "-"), "GET", ""},
		{NEW_LINE("GET", "?key=secret"), "GET", ""},
		{NEW_LINE("<BADREQ>", "<BADREQ>"), "", ""},
	};
	struct record r;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(parse(cases[i].line, &r), RECORD_OK);
		assert_true(slice_eq_str(r.method, cases[i].method));
		assert_true(slice_eq_str(r.path, cases[i].path));
		assert_true(slice_eq_str(r.limits, "a=b c=d"));
		assert_int_equal(r.mark.attempt, 2);
		assert_int_equal(r.relay_ms, 1);
	}
	/* files of an earlier version */
	assert_int_equal(parse(LINE, &r), RECORD_OK);
	assert_int_equal(r.method.n + r.path.n, 0);
}

static void a_text_is_as_the_client_sent_it(void **state)
{
	static const struct {
		const char *field, *text;
	} cases[] = {
		{"", ""},
		{"/v1/responses", "/v1/responses"},
		{"/a#22b\\c", "/a\"b\\c"},
		{"/a#23", "/a#"},
		{"/#C3#A4#7f", "/%C3%A4%7F"},
		{"/a%20b", "/a%20b"},
		{"/#", "/#"},
		{"/#2", "/#2"},
		{"/#zz", "/#zz"},
		{"123456789012345", "123456789012345"},
		{"1234567890123456", "123456789012..."},
		{"1234567890123#2256", "123456789012..."},
		{"12345678901#C3#A4", "12345678901..."},
		{"123456789012#C3", "123456789012%C3"},
	};
	char out[16];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		record_copy_text(slice_from_str(cases[i].field), out, sizeof(out));
		assert_string_equal(out, cases[i].text);
	}
}

/* What the upstream said of its connection and of the request. */
static void reads_what_the_answer_tells(void **state)
{
	static const char line[] =
		"relay3 " SECRET " 7 " ID
		" 12|345|6 relay-in %s out 200 1130 5242 0 1 2 30 95 -- 0 - - - POST /v1/x %s %s a=b";
	char text[512];
	struct record r;

	(void)state;
	snprintf(text, sizeof(text), line, "b3-demo-ip1.once", "40001", "req_01.A-b");
	assert_int_equal(parse(text, &r), RECORD_OK);
	assert_int_equal(r.port, 40001);
	assert_true(record_is_once(&r));
	assert_int_equal(record_backend_id(&r), 3);
	assert_true(slice_eq_str(r.answer, "req_01.A-b"));
	assert_true(slice_eq_str(r.limits, "a=b"));
	snprintf(text, sizeof(text), line, "b3-demo-ip1", "-", "-");
	assert_int_equal(parse(text, &r), RECORD_OK);
	assert_false(r.port || record_is_once(&r));
	assert_int_equal(record_backend_id(&r), 3);
	assert_int_equal(r.answer.n, 0);
	snprintf(text, sizeof(text), line, ".once", "-", "-");
	assert_int_equal(parse(text, &r), RECORD_OK);
	assert_false(record_is_once(&r));
	assert_int_equal(record_backend_id(&r), 0);
	/* files of earlier versions */
	assert_int_equal(parse(NEW_LINE("POST", "/v1/x"), &r), RECORD_OK);
	assert_true(r.port == 0 && r.answer.n == 0);
	snprintf(text, sizeof(text), line, "b3-demo-ip1", "65536", "-");
	assert_int_equal(parse(text, &r), RECORD_BAD);
}

static void a_mark_comes_back(void **state)
{
	static const struct record_mark marks[] = {
		{1, 0, 0, 0, false}, {4, UINT32_MAX, 7, 3, false}, {0, 5, UINT32_MAX, 1, true}};
	static const char *const bad[] = {"", "1", "1.2.3", "1.2.3.4.5", "q.1.2.3", "p1.1.2.3",
		"1..2.3", "1.2.3.", "-1.2.3.4", "4294967296.1.1.1"};
	char text[RECORD_MARK_SIZE];
	struct record_mark mark;

	(void)state;
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		record_format_mark(&marks[i], text);
		assert_int_equal(record_parse_mark(slice_from_str(text), &mark), 0);
		assert_int_equal(mark.attempt, marks[i].attempt);
		assert_int_equal(mark.account_generation, marks[i].account_generation);
		assert_int_equal(mark.backend_generation, marks[i].backend_generation);
		assert_int_equal(mark.credential, marks[i].credential);
		assert_int_equal(mark.is_probe, marks[i].is_probe);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_not_equal(record_parse_mark(slice_from_str(bad[i]), &mark), 0);
}

static void a_refused_request_has_no_server(void **state)
{
	struct record r;

	(void)state;
	assert_int_equal(parse("relay1 " SECRET " 7 " ID
			       " - relay-in relay-in <NOSRV> 401 98 371 0 -1 -1 -1 0 LR 0 "
			       "invalid_api_key - - -\n",
				 &r),
		RECORD_OK);
	assert_int_equal(r.tenant, 0);
	assert_int_equal(r.server.n, 0);
	assert_int_equal(r.ttfb_ms, -1);
	assert_true(slice_eq_str(r.code, "invalid_api_key"));
	assert_false(r.is_own);
	assert_int_equal(r.limits.n, 0);
}

static void a_refusal_of_haproxy_itself_is_marked(void **state)
{
	struct record r;

	(void)state;
	assert_int_equal(parse("relay1 " SECRET " 7 " ID
			       " - relay-in relay-in <NOSRV> 408 98 371 0 -1 -1 -1 0 cR 0 "
			       "!request_timeout - - -\n",
				 &r),
		RECORD_OK);
	assert_true(r.is_own);
	assert_true(slice_eq_str(r.code, "request_timeout"));
	assert_int_equal(refusal_find(r.code), REFUSAL_REQUEST_TIMEOUT);
	assert_int_equal(refusal_find(SLICE_LITERAL("request_timeouts")), REFUSAL_NONE);
	assert_int_equal(refusal_find(SLICE_LITERAL("")), REFUSAL_NONE);
}

static void a_killed_stream_keeps_no_status_that_it_never_had(void **state)
{
	struct record r;

	(void)state;
	assert_int_equal(
		parse("relay1 " SECRET " 7 " ID " 12|345|6 relay-in b3-demo-ip1 out 500 150"
		      " 132 0 1 2 30 201 KC 0 - - 1.31.4.9 -",
			&r),
		RECORD_OK);
	assert_int_equal(r.status, 0);
	assert_int_equal(
		parse("relay1 " SECRET " 7 " ID " 12|345|6 relay-in b3-demo-ip1 out 500 150"
		      " 132 0 1 2 -1 201 KC 0 - - 1.31.4.9 -",
			&r),
		RECORD_OK);
	assert_int_equal(r.status, 500);
}

static void a_refusal_before_a_request_has_a_status_and_no_id(void **state)
{
	struct record r;

	(void)state;
	assert_int_equal(
		parse("relay1 " SECRET
		      " 7 - - relay-in relay-in <NOSRV> 408 0 0 -1 -1 -1 -1 30004 cR 0 - - - -",
			&r),
		RECORD_EARLY);
	assert_int_equal(r.status, 408);
	assert_true(slice_eq_str(r.frontend, "relay-in"));
	assert_int_equal(
		parse("relay1 " SECRET
		      " 7 - - relay-in relay-in <NOSRV> 400 0 187 -1 -1 -1 -1 0 PR 0 - - - -",
			&r),
		RECORD_EARLY);
	assert_int_equal(r.status, 400);
}

static void a_wrong_secret_is_a_forgery(void **state)
{
	struct record r;

	(void)state;
	assert_int_equal(
		record_parse(slice_from_str(LINE), SLICE_LITERAL("s3cres"), &r), RECORD_FORGED);
	assert_int_equal(
		record_parse(slice_from_str(LINE), SLICE_LITERAL("s3"), &r), RECORD_FORGED);
	assert_int_equal(
		record_parse(slice_from_str(LINE), (struct slice){NULL, 0}, &r), RECORD_OK);
}

/* Fixed values: an old HAProxy process and a new agent make the same. */
static void each_generation_has_its_secret(void **state)
{
	char seven[RECORD_SECRET_SIZE];
	char eight[RECORD_SECRET_SIZE];
	char other[RECORD_SECRET_SIZE];
	uint64_t gen = 0;

	(void)state;
	assert_int_equal(record_secret(SLICE_LITERAL("stored"), 7, seven), 0);
	assert_int_equal(record_secret(SLICE_LITERAL("stored"), 8, eight), 0);
	assert_int_equal(record_secret(SLICE_LITERAL("storee"), 7, other), 0);
	assert_string_equal(seven, "8940c1aba423f269f3b590706b634dba82598639");
	assert_string_not_equal(seven, eight);
	assert_string_not_equal(seven, other);
	assert_int_equal(record_claimed_gen(slice_from_str(LINE), &gen), 0);
	assert_int_equal(gen, 7);
	assert_int_equal(
		record_claimed_gen(SLICE_LITERAL("relay1 x 18446744073709551615"), &gen), 0);
	assert_int_equal(gen, UINT64_MAX);
	assert_int_equal(record_claimed_gen(SLICE_LITERAL("relay1 x -1 y"), &gen), -EINVAL);
	assert_int_equal(record_claimed_gen(SLICE_LITERAL("relay1 x"), &gen), -EINVAL);
	assert_int_equal(record_claimed_gen(SLICE_LITERAL(""), &gen), -EINVAL);
}

static void other_datagrams_are_bad(void **state)
{
	static const char *const lines[] = {
		"",
		"relay1",
		"relay2 x",
		"relay3 " SECRET " 7 " ID " 1|2|3 relay-in b s 200 1 1 0 0 0 0 0 -- 0 - - - - - -",
		"relay2 " SECRET " 7 " ID " 1|2|3 relay-in b s 200 1 1 0 0 0 0 0 -- 0 - - - -",
		"relay1 " SECRET " 7 not-an-id 1|2|3 relay-in b s 200 1 1 0 0 0 0 0 -- 0 - - - -",
		"relay1 " SECRET " x " ID " 1|2|3 relay-in b s 200 1 1 0 0 0 0 0 -- 0 - - - -",
		"relay1 " SECRET " 7 " ID " 1|2 relay-in b s 200 1 1 0 0 0 0 0 -- 0 - - - -",
		"relay1 " SECRET " 7 " ID
		" 1|2|4294967296 relay-in b s 200 1 1 0 0 0 0 0 -- 0 - - - -",
		"relay1 " SECRET " 7 " ID " 1|2|3 relay-in b s 1200 1 1 0 0 0 0 0 -- 0 - - - -",
		"relay1 " SECRET " 7 " ID
		" 1|2|3 relay-in b s 200 1 1 0 0 0 99999999999 0 -- 0 - - - -",
		"relay1 " SECRET " 7 " ID
		" 1|2|3 relay-in b s 200 18446744073709551616 1 0 0 0 0 0 -- 0 - - - -",
		"relay1 " SECRET " 7 " ID " 1|2|3 relay-in b s 200 1 1 0 0 0 0 0 --- 0 - - - -",
		"relay1 " SECRET " 7 " ID " 1|2|3 relay-in b s 200 1 1 0 0 0 0 0 -- 0 -",
	};
	struct record r;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_int_equal(parse(lines[i], &r), RECORD_BAD);
}

static void haproxys_own_lines_are_no_alarm(void **state)
{
	struct record r;

	(void)state;
	assert_int_equal(
		parse("Proxy relay-in stopped (cumulated conns: FE: 5, BE: 0).", &r), RECORD_OTHER);
	assert_int_equal(
		parse("relay1 " SECRET
		      " 7 - - relay-in relay-in <NOSRV> 400 0 0 -1 -1 -1 -1 0 CR 0 - - - -",
			&r),
		RECORD_OTHER);
	assert_int_equal(parse("relay1 " SECRET
			       " 7 - - relay-in relay-in <NOSRV> 0 0 0 -1 -1 -1 -1 0 PR 0 - - - -",
				 &r),
		RECORD_OTHER);
}

static void no_cut_and_no_changed_byte_reads_outside(void **state)
{
	size_t n = sizeof(LINE) - 1;
	struct record r;

	(void)state;
	for (size_t cut = 0; cut <= n; cut++) {
		char *exact = malloc(cut ? cut : 1);
		memcpy(exact, LINE, cut);
		record_parse((struct slice){exact, cut}, secret, &r);
		free(exact);
	}
	char *copy = malloc(n);
	memcpy(copy, LINE, n);
	for (size_t i = 0; i < n; i++) {
		for (int c = 0; c < 256; c++) {
			copy[i] = (char)c;
			record_parse((struct slice){copy, n}, secret, &r);
		}
		copy[i] = LINE[i];
	}
	free(copy);
}

static void the_log_format_has_a_place_for_each_field(void **state)
{
	char out[1024];
	struct slice rest;
	struct slice field;
	size_t count = 0;

	(void)state;
	assert_int_equal(record_log_format(42, true, out, sizeof(out)), 0);
	rest = slice_from_str(out);
	while (slice_next(&rest, ' ', &field)) {
		assert_true(field.n > 0);
		count++;
	}
	assert_int_equal(count, RECORD_FIELD_COUNT);
	assert_non_null(strstr(out, " 42 "));
	assert_int_not_equal(record_log_format(42, true, out, 40), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_id_comes_back_as_it_was_written),
		cmocka_unit_test(other_forms_are_no_ids),
		cmocka_unit_test(reads_every_field),
		cmocka_unit_test(the_target_has_no_query),
		cmocka_unit_test(a_text_is_as_the_client_sent_it),
		cmocka_unit_test(reads_what_the_answer_tells),
		cmocka_unit_test(a_mark_comes_back),
		cmocka_unit_test(a_refused_request_has_no_server),
		cmocka_unit_test(a_refusal_of_haproxy_itself_is_marked),
		cmocka_unit_test(a_killed_stream_keeps_no_status_that_it_never_had),
		cmocka_unit_test(a_refusal_before_a_request_has_a_status_and_no_id),
		cmocka_unit_test(a_wrong_secret_is_a_forgery),
		cmocka_unit_test(each_generation_has_its_secret),
		cmocka_unit_test(other_datagrams_are_bad),
		cmocka_unit_test(haproxys_own_lines_are_no_alarm),
		cmocka_unit_test(no_cut_and_no_changed_byte_reads_outside),
		cmocka_unit_test(the_log_format_has_a_place_for_each_field),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
