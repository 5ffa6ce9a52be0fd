#include "common/result.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <stdio.h>

#include "common/limittext.h"
#include "common/provider.h"

#define NOW INT64_C(1767323045000) /* 2026-01-02T03:04:05Z */
#define SECOND INT64_C(1000)
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define EVERY NULL

static const struct provider *named(const char *name)
{
	return provider_find(slice_from_str(name));
}

static struct result classify(
	const char *provider, unsigned status, const char *termination, const char *limits)
{
	struct result_answer a = {.status = status, .limits = slice_from_str(limits)};
	struct result r;

	memset(&r, 0xa5, sizeof(r));
	memcpy(a.termination, termination, 3);
	result_classify(named(provider), &a, NOW, &r);
	return r;
}

struct row {
	const char *provider; /* EVERY = of each */
	unsigned status;
	const char *termination;
	const char *limits;
	enum result_class class;
	int64_t until_ms;
};

static void check_row(const char *provider, const struct row *row)
{
	struct result r = classify(provider, row->status, row->termination, row->limits);

	if (r.class != row->class || !r.known || r.until_ms != row->until_ms)
		fail_msg("%s %u %s %s: %s, known %d, until now %+lld ms", provider, row->status,
			row->termination, row->limits, result_class_name(r.class), r.known,
			(long long)(r.until_ms - NOW));
}

static void check_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (rows[i].provider)
			check_row(rows[i].provider, &rows[i]);
		for (size_t p = 0; p < provider_count() && !rows[i].provider; p++)
			check_row(provider_at(p)->name, &rows[i]);
	}
}

static void answers_without_an_error_are_successes(void **state)
{
	static const struct row rows[] = {
		{EVERY, 200, "--", "", RESULT_SUCCESS, 0},
		{EVERY, 204, "--", "", RESULT_SUCCESS, 0},
		{EVERY, 299, "--", "ra=5;", RESULT_SUCCESS, 0},
		{EVERY, 304, "--", "", RESULT_SUCCESS, 0},
		{EVERY, 399, "--", "", RESULT_SUCCESS, 0},
		{EVERY, 200, "sL", "", RESULT_SUCCESS, 0},
		{EVERY, 101, "--", "", RESULT_SUCCESS, 0},
		{EVERY, 101, "SD", "", RESULT_SUCCESS, 0},
		{EVERY, 101, "sD", "", RESULT_SUCCESS, 0},
	};

	(void)state;
	check_rows(rows, COUNT(rows));
}

static void errors_count_by_their_status(void **state)
{
	static const struct row rows[] = {
		{EVERY, 400, "--", "", RESULT_PAYLOAD, 0},
		{EVERY, 401, "--", "", RESULT_AUTH, 0},
		{EVERY, 403, "--", "", RESULT_DENIED, 0},
		{EVERY, 404, "--", "", RESULT_PAYLOAD, 0},
		{EVERY, 405, "--", "", RESULT_PAYLOAD, 0},
		{EVERY, 406, "--", "", RESULT_PAYLOAD, 0},
		{EVERY, 408, "--", "", RESULT_PAYLOAD, 0},
		{EVERY, 409, "--", "", RESULT_PAYLOAD, 0},
		{EVERY, 411, "--", "", RESULT_PAYLOAD, 0},
		{EVERY, 413, "--", "", RESULT_PAYLOAD, 0},
		{EVERY, 415, "--", "", RESULT_PAYLOAD, 0},
		{EVERY, 417, "--", "", RESULT_PAYLOAD, 0},
		{EVERY, 422, "--", "", RESULT_PAYLOAD, 0},
		{EVERY, 426, "--", "", RESULT_PAYLOAD, 0},
		{EVERY, 431, "--", "", RESULT_PAYLOAD, 0},
		{EVERY, 500, "--", "", RESULT_SERVER, 0},
		{EVERY, 501, "--", "", RESULT_SERVER, 0},
		{EVERY, 502, "--", "", RESULT_SERVER, 0},
		{EVERY, 503, "--", "", RESULT_OVERLOAD, 0},
		{EVERY, 504, "--", "", RESULT_SERVER, 0},
		{EVERY, 520, "--", "", RESULT_SERVER, 0},
		{EVERY, 527, "--", "", RESULT_SERVER, 0},
		{EVERY, 529, "--", "", RESULT_OVERLOAD, 0},
	};

	(void)state;
	check_rows(rows, COUNT(rows));
}

static void unknown_answers_hurt_as_little_as_their_status_allows(void **state)
{
	static const struct {
		unsigned status;
		const char *termination;
		enum result_class class;
	} rows[] = {
		{402, "--", RESULT_PAYLOAD},
		{407, "--", RESULT_PAYLOAD},
		{418, "--", RESULT_PAYLOAD},
		{451, "--", RESULT_PAYLOAD},
		{499, "--", RESULT_PAYLOAD},
		{499, "CD", RESULT_PAYLOAD},
		{505, "--", RESULT_SERVER},
		{530, "--", RESULT_SERVER},
		{599, "--", RESULT_SERVER},
		{0, "--", RESULT_PAYLOAD},
		{100, "--", RESULT_PAYLOAD},
		{199, "--", RESULT_PAYLOAD},
		{600, "--", RESULT_PAYLOAD},
		{999, "--", RESULT_PAYLOAD},
		{4000000000u, "--", RESULT_PAYLOAD},
		{200, "??", RESULT_PAYLOAD},
		{200, "\0\0", RESULT_PAYLOAD},
		{401, "\0\0", RESULT_PAYLOAD},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct result r = classify("openai", rows[i].status, rows[i].termination, "");
		assert_int_equal(r.class, rows[i].class);
		assert_false(r.known);
		assert_false(r.connect);
		assert_int_equal(r.until_ms, 0);
	}
}

static void the_side_that_left_decides_without_an_error_response(void **state)
{
	static const struct row rows[] = {
		{EVERY, 200, "CD", "", RESULT_CLIENT, 0},
		{EVERY, 200, "cD", "", RESULT_CLIENT, 0},
		{EVERY, 200, "CL", "", RESULT_CLIENT, 0},
		{EVERY, 101, "CD", "", RESULT_CLIENT, 0},
		{EVERY, 0, "CH", "", RESULT_CLIENT, 0},
		/* HAProxy's own statuses, before a response */
		{EVERY, 400, "CH", "", RESULT_CLIENT, 0},
		{EVERY, 503, "CC", "", RESULT_CLIENT, 0},
		{EVERY, 503, "CQ", "", RESULT_CLIENT, 0},
		{EVERY, 408, "cR", "", RESULT_CLIENT, 0},
		{EVERY, 400, "CR", "", RESULT_CLIENT, 0},
		/* the upstream's */
		{EVERY, 401, "CD", "", RESULT_AUTH, 0},
		{EVERY, 403, "cD", "", RESULT_DENIED, 0},
		{EVERY, 429, "CD", "ra=7;", RESULT_BURST, NOW + 7 * SECOND},
		{EVERY, 500, "CL", "", RESULT_SERVER, 0},
		{EVERY, 401, "SD", "", RESULT_AUTH, 0},
		{EVERY, 503, "sD", "", RESULT_OVERLOAD, 0},
		{EVERY, 500, "PD", "", RESULT_SERVER, 0},
		{EVERY, 401, "KD", "", RESULT_AUTH, 0},
	};

	(void)state;
	check_rows(rows, COUNT(rows));
}

static void no_valid_answer_is_the_networks_fault(void **state)
{
	static const struct row rows[] = {
		{EVERY, 503, "SC", "", RESULT_NETWORK, 0},
		{EVERY, 503, "sC", "", RESULT_NETWORK, 0},
		{EVERY, 502, "SC", "", RESULT_NETWORK, 0},
		{EVERY, 502, "SH", "", RESULT_NETWORK, 0},
		{EVERY, 504, "sH", "", RESULT_NETWORK, 0},
		{EVERY, 0, "SH", "", RESULT_NETWORK, 0},
		{EVERY, 502, "PH", "", RESULT_NETWORK, 0},
		{EVERY, 200, "SD", "", RESULT_NETWORK, 0},
		{EVERY, 200, "sD", "", RESULT_NETWORK, 0},
		{EVERY, 200, "PD", "", RESULT_NETWORK, 0},
		{EVERY, 304, "SD", "", RESULT_NETWORK, 0},
	};

	(void)state;
	check_rows(rows, COUNT(rows));
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct result r =
			classify("codex", rows[i].status, rows[i].termination, rows[i].limits);
		assert_int_equal(r.connect, rows[i].termination[1] == 'C');
	}
	assert_false(classify("codex", 503, "--", "").connect);
	assert_false(classify("codex", 503, "CC", "").connect);
}

static void what_haproxy_does_by_itself_is_neutral(void **state)
{
	static const struct row rows[] = {
		{EVERY, 403, "LR", "", RESULT_PAYLOAD, 0},
		{EVERY, 429, "LR", "ra=5;", RESULT_PAYLOAD, 0},
		{EVERY, 503, "LH", "", RESULT_PAYLOAD, 0},
		{EVERY, 403, "PR", "", RESULT_PAYLOAD, 0},
		{EVERY, 500, "PT", "", RESULT_PAYLOAD, 0},
		{EVERY, 503, "PC", "", RESULT_PAYLOAD, 0},
		{EVERY, 500, "RC", "", RESULT_PAYLOAD, 0},
		{EVERY, 500, "IR", "", RESULT_PAYLOAD, 0},
		{EVERY, 200, "KD", "", RESULT_PAYLOAD, 0},
		{EVERY, 200, "DD", "", RESULT_PAYLOAD, 0},
		{EVERY, 200, "UD", "", RESULT_PAYLOAD, 0},
		{EVERY, 503, "sQ", "", RESULT_PAYLOAD, 0},
	};

	(void)state;
	check_rows(rows, COUNT(rows));
}

static void an_answer_that_haproxy_replaced_counts_by_the_upstreams_status(void **state)
{
	static const struct row rows[] = {
		{EVERY, 503, "LH", "st=401;", RESULT_AUTH, 0},
		{EVERY, 503, "LH", "st=403;ra=5;", RESULT_DENIED, 0},
		{EVERY, 503, "LH", "ra=5;st=429;", RESULT_BURST, NOW + 5 * SECOND},
		{EVERY, 503, "LH", "st=529;", RESULT_OVERLOAD, 0},
		{"codex", 503, "LH", "st=429;bt=usage_limit_reached;bs=60;", RESULT_WINDOW,
			NOW + 60 * SECOND},
		{EVERY, 503, "LH", "st=;", RESULT_PAYLOAD, 0},
		{EVERY, 503, "LH", "st=1000;", RESULT_PAYLOAD, 0},
		{EVERY, 503, "LH", "st=-401;", RESULT_PAYLOAD, 0},
		/* only there */
		{EVERY, 200, "--", "st=401;", RESULT_SUCCESS, 0},
		{EVERY, 503, "SC", "st=401;", RESULT_NETWORK, 0},
	};

	(void)state;
	check_rows(rows, COUNT(rows));
}

static void a_told_reset_closes_a_window_until_then(void **state)
{
	static const struct row rows[] = {
		{"codex", 429, "--", "bt=usage_limit_reached;br=1767330000;", RESULT_WINDOW,
			INT64_C(1767330000000)},
		{"codex", 429, "--", "bt=usage_limit_reached;bs=3600;", RESULT_WINDOW, NOW + HOUR},
		{"codex", 429, "--", "bt=usage_limit_reached;br=1767330000;bs=5;c1u=100;c1s=9;",
			RESULT_WINDOW, INT64_C(1767330000000)},
		{"codex", 429, "--", "bt=usage_limit_reached;br=1;bs=0;c1u=100;c1s=9;",
			RESULT_WINDOW, NOW + 1 * SECOND},
		{"generic", 429, "--", "bt=usage_limit_reached;bs=3600;", RESULT_WINDOW,
			NOW + HOUR},
		{"openai", 429, "--", "bt=usage_limit_reached;bs=3600;", RESULT_WINDOW, NOW + HOUR},
		{"codex", 429, "--", "c1u=100;c1a=1767330000;c2u=40;c2s=500000;", RESULT_WINDOW,
			INT64_C(1767330000000)},
		{"codex", 429, "--", "ra=3;c1u=40.5;c1s=60;c2u=100.0;c2s=7200;", RESULT_WINDOW,
			NOW + 2 * HOUR},
		/* both are exhausted: the later end counts */
		{"codex", 429, "--", "c1u=100;c1s=60;c2u=101;c2s=7200;", RESULT_WINDOW,
			NOW + 2 * HOUR},
		{"codex", 429, "--", "c1u=100;c1a=junk;c1s=60;", RESULT_WINDOW, NOW + 60 * SECOND},
		{"anthropic", 429, "--", "aus=rejected;aur=1767330000;ra=4;", RESULT_WINDOW,
			INT64_C(1767330000000)},
		{"anthropic", 429, "--", "aus=rejected;aur=2026-01-02T05:04:05Z;", RESULT_WINDOW,
			NOW + 2 * HOUR},
		{"codex", 429, "--", "bt=usage_limit_reached;bs=9999999;", RESULT_WINDOW,
			NOW + 32 * DAY},
		/* a limit is exhausted, whatever the provider */
		{"openai", 429, "--", "ra=1;xrl=10;xrr=0;xrt=6m0s;", RESULT_WINDOW,
			NOW + 360 * SECOND},
		{"generic", 429, "--", "xtl=10;xtr=0;xtt=90;", RESULT_WINDOW, NOW + 90 * SECOND},
		{"generic", 429, "--", "xl=10;xr=0;xt=1767330000000;", RESULT_WINDOW,
			INT64_C(1767330000000)},
		{"generic", 429, "--", "rl=10;rr=0;rt=7;", RESULT_WINDOW, NOW + 7 * SECOND},
		{"anthropic", 429, "--", "aus=allowed;arl=50;arr=0;art=2026-01-02T03:05:05Z;",
			RESULT_WINDOW, NOW + 60 * SECOND},
		{"anthropic", 429, "--", "a5u=1.0;a5r=1767330000;", RESULT_WINDOW,
			INT64_C(1767330000000)},
		{"anthropic", 429, "--", "aus=rejected;aur=4200000000;", RESULT_WINDOW,
			NOW + 32 * DAY},
	};

	(void)state;
	check_rows(rows, COUNT(rows));
}

static const struct {
	const char *text;
	int64_t until_ms; /* 0 = it is none: a quota without a told end */
} spellings[] = {
	{"3600", NOW + HOUR},
	{"3600.5", NOW + HOUR + 500},
	{"  90 ", NOW + 90 * SECOND},
	{"1767330000", INT64_C(1767330000000)},
	{"1767330000.25", INT64_C(1767330000250)},
	{"1767330000123", INT64_C(1767330000123)},
	{"1m30s", NOW + 90 * SECOND},
	{"6m0s", NOW + 360 * SECOND},
	{"1h2m3.5s", NOW + 3723500},
	{"120ms", NOW + 120},
	{"2026-01-02T04:04:05Z", NOW + HOUR},
	{"2026-01-02T04:04:05.250Z", NOW + HOUR + 250},
	{"2026-01-02T05:04:05+01:00", NOW + HOUR},
	{"2026-01-02t04:04:05z", NOW + HOUR},
	{"Fri, 02 Jan 2026 04:04:05 GMT", NOW + HOUR},
	{"Friday, 02-Jan-26 04:04:05 GMT", NOW + HOUR},
	{"Fri Jan  2 04:04:05 2026", NOW + HOUR},
	/* never further ahead than the bound */
	{"4294967295", NOW + 32 * DAY},
	{"4294967295000", NOW + 32 * DAY},
	{"99999999", NOW + 32 * DAY},
	{"9999-12-31T23:59:59Z", NOW + 32 * DAY},
	/* past, or nothing */
	{"0", 0},
	{"1000000000", 0},
	{"1000000000000", 0},
	{"2026-01-02T03:04:05Z", 0},
	{"Fri, 02 Jan 1970 03:04:05 GMT", 0},
	/* neither seconds nor milliseconds */
	{"4294967296", 0},
	{"999999999999", 0},
	{"4294967295001", 0},
	{"18446744073709551616", 0},
	{"-3600", 0},
	{"+3600", 0},
	{"1e9", 0},
	{"0x10", 0},
	{"NaN", 0},
	{"99999999h", 0},
	{"1m30", 0},
	{"tomorrow", 0},
	{"2026-01-02", 0},
	{"2026-13-02T04:04:05Z", 0},
	{"3600=", 0},
	{"=3600", 0},
	{"3600\xff", 0},
};

static void an_end_is_read_in_every_spelling(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(spellings); i++) {
		char text[128];
		snprintf(text, sizeof(text), "bt=usage_limit_reached;br=%s;", spellings[i].text);
		struct result r = classify("codex", 429, "--", text);
		int64_t wanted = spellings[i].until_ms ? spellings[i].until_ms : NOW + HOUR;
		if (r.class != RESULT_WINDOW || r.until_ms != wanted)
			fail_msg("%s: %s, until now %+lld ms", text, result_class_name(r.class),
				(long long)(r.until_ms - NOW));
	}
}

static void an_empty_value_is_as_none(void **state)
{
	static const struct row rows[] = {
		{EVERY, 429, "--", "ra=;ra=5;", RESULT_BURST, NOW + 5 * SECOND},
		{EVERY, 429, "--", "st=429;ra= ;ram=;ra=5;", RESULT_BURST, NOW + 5 * SECOND},
		{"codex", 429, "--", "st=429;bt=;bt=usage_limit_reached;br=;br=1h;bs=9;",
			RESULT_WINDOW, NOW + HOUR},
		{EVERY, 503, "LH", "st=;st=401;", RESULT_AUTH, 0},
	};

	(void)state;
	check_rows(rows, COUNT(rows));
}

static void an_overloaded_upstream_tells_when_to_retry(void **state)
{
	static const struct row rows[] = {
		{EVERY, 503, "--", "ra=30;", RESULT_OVERLOAD, NOW + 30 * SECOND},
		{EVERY, 529, "--", "ra=1m30s;", RESULT_OVERLOAD, NOW + 90 * SECOND},
		{EVERY, 529, "--", "ra=Fri, 02 Jan 2026 03:14:05 GMT;", RESULT_OVERLOAD,
			NOW + 600 * SECOND},
		{EVERY, 503, "--", "ra=junk;ram=1500;", RESULT_OVERLOAD, NOW + 1500},
		{EVERY, 503, "LH", "st=529;ra=7;", RESULT_OVERLOAD, NOW + 7 * SECOND},
		{EVERY, 503, "--", "ra=9999999;", RESULT_OVERLOAD, NOW + DAY},
		{EVERY, 503, "--", "ra=0;", RESULT_OVERLOAD, 0},
		/* only these */
		{EVERY, 500, "--", "ra=30;", RESULT_SERVER, 0},
		{EVERY, 403, "--", "ra=30;", RESULT_DENIED, 0},
	};

	(void)state;
	check_rows(rows, COUNT(rows));
}

static void a_stream_that_begins_with_an_error_counts_as_that(void **state)
{
	static const struct row rows[] = {
		{"anthropic", 200, "--", "st=200;ev=.overloaded_error.;", RESULT_OVERLOAD, 0},
		{"anthropic", 200, "--", "st=200;ev=.rate_limit_error...;", RESULT_BURST, 0},
		{"anthropic", 200, "CD", "st=200;ev=.overloaded_error.;", RESULT_OVERLOAD, 0},
		{"anthropic", 200, "SD", "st=200;ev=.api_error.;", RESULT_SERVER, 0},
		{"codex", 200, "--", "st=200;ev=....server_is_overloaded.;", RESULT_OVERLOAD, 0},
		{"openai", 200, "--", "st=200;ev=.server_error.server_is_overloaded.;",
			RESULT_OVERLOAD, 0},
		{"openai", 200, "--", "st=200;ev=.tokens.rate_limit_exceeded...;ra=3;",
			RESULT_BURST, NOW + 3 * SECOND},
		{"generic", 200, "--", "st=200;ev=.overloaded_error.;", RESULT_OVERLOAD, 0},
		{"gemini", 200, "--", "st=200;ev=.RESOURCE_EXHAUSTED.;", RESULT_BURST, 0},
		/* HAProxy answered 503 in its place */
		{"codex", 503, "LH", "st=200;ev=.slow_down.;", RESULT_OVERLOAD, 0},
		/* an error response counts by its status */
		{"codex", 401, "--", "st=401;ev=.slow_down.;", RESULT_AUTH, 0},
		{"codex", 200, "--", "st=200;ev=;", RESULT_SUCCESS, 0},
	};
	struct result r = classify("openai", 200, "--", "st=200;ev=.invalid_request_error.;");

	(void)state;
	check_rows(rows, COUNT(rows));
	assert_int_equal(r.class, RESULT_PAYLOAD);
	assert_false(r.known);
	r = classify("openai", 200, "--", "st=200;ev=.xoverloaded_error.;");
	assert_int_equal(r.class, RESULT_PAYLOAD);
}

static void a_quota_without_a_told_end_is_a_window_of_an_hour(void **state)
{
	static const struct row rows[] = {
		{"openai", 429, "--", "bt=insufficient_quota;", RESULT_WINDOW, NOW + HOUR},
		{"openai", 429, "--", "ra=5;bt=insufficient_quota;", RESULT_WINDOW, NOW + HOUR},
		{"generic", 429, "--", "bt=insufficient_quota;", RESULT_WINDOW, NOW + HOUR},
		{"codex", 429, "--", "bt=usage_limit_reached;", RESULT_WINDOW, NOW + HOUR},
		{"codex", 429, "--", "bt=usage_limit_reached;br=1767320000;", RESULT_WINDOW,
			NOW + HOUR},
		{"codex", 429, "--", "bt=usage_not_included;", RESULT_WINDOW, NOW + HOUR},
	};

	(void)state;
	check_rows(rows, COUNT(rows));
}

static void a_429_without_a_window_is_a_burst(void **state)
{
	static const struct row rows[] = {
		{EVERY, 429, "--", "", RESULT_BURST, 0},
		{EVERY, 429, "--", "bt=rate_limit_exceeded;", RESULT_BURST, 0},
		{EVERY, 429, "--", "bt=usage_limit_reached_not;bs=60;", RESULT_BURST, 0},
		{EVERY, 429, "--", "br=1767330000;bs=60;", RESULT_BURST, 0},
		{"anthropic", 429, "--", "aur=1767330000;ra=9;", RESULT_BURST, NOW + 9 * SECOND},
		{"anthropic", 429, "--", "aus=allowed_warning;aur=1767330000;", RESULT_BURST, 0},
		{"anthropic", 429, "--", "aus=rejected;", RESULT_BURST, 0},
		{"anthropic", 429, "--", "aus=rejected;aur=1767320000;", RESULT_BURST, 0},
		{"anthropic", 429, "--", "bt=insufficient_quota;", RESULT_BURST, 0},
		{"anthropic", 429, "--", "c1u=100;c1s=60;", RESULT_BURST, 0},
		{"openai", 429, "--", "c1u=100;c1s=60;", RESULT_BURST, 0},
		{"openai", 429, "--", "aus=rejected;aur=1767330000;", RESULT_BURST, 0},
		{"codex", 429, "--", "c1u=99.9;c1s=60;", RESULT_BURST, 0},
		{"codex", 429, "--", "c1u=99.9;c1s=60;c2u=100;", RESULT_BURST, 0},
		{"codex", 429, "--", "c1u=100;c1a=1767320000;", RESULT_BURST, 0},
		{"openai", 429, "--", "xrl=10;xrr=1;xrt=6m0s;", RESULT_BURST, 0},
		{"openai", 429, "--", "xrl=10;xrr=0;", RESULT_BURST, 0},
		{"openai", 429, "--", "xrl=10;xrr=0;xrt=0s;", RESULT_BURST, 0},
	};

	(void)state;
	check_rows(rows, COUNT(rows));
}

static void a_burst_ends_when_the_upstream_says(void **state)
{
	static const struct row rows[] = {
		{EVERY, 429, "--", "ra=1;", RESULT_BURST, NOW + SECOND},
		{EVERY, 429, "--", "ra=1.5;", RESULT_BURST, NOW + 1500},
		{EVERY, 429, "--", "ra= 20 ;", RESULT_BURST, NOW + 20 * SECOND},
		{EVERY, 429, "--", "ram=250;", RESULT_BURST, NOW + 250},
		{EVERY, 429, "--", "ra=1;ram=250;", RESULT_BURST, NOW + 250},
		{EVERY, 429, "--", "ra=3;ram=junk;", RESULT_BURST, NOW + 3 * SECOND},
		{EVERY, 429, "--", "ra=Fri, 02 Jan 2026 03:14:05 GMT;", RESULT_BURST,
			NOW + 600 * SECOND},
		{EVERY, 429, "--", "ra=3;ra=99;", RESULT_BURST, NOW + 3 * SECOND},
		{EVERY, 429, "--", "ra=7200;", RESULT_BURST, NOW + 2 * HOUR},
		{EVERY, 429, "--", "ra=86401;", RESULT_BURST, NOW + DAY},
		{EVERY, 429, "--", "ram=4294967295;", RESULT_BURST, NOW + DAY},
		{EVERY, 429, "--", "ra=Fri, 02 Jan 2099 03:04:05 GMT;", RESULT_BURST, NOW + DAY},
		/* no reset time */
		{EVERY, 429, "--", "ra=0;", RESULT_BURST, 0},
		{EVERY, 429, "--", "ra=Fri, 02 Jan 2026 03:04:05 GMT;", RESULT_BURST, 0},
		{EVERY, 429, "--", "ra=;", RESULT_BURST, 0},
		{EVERY, 429, "--", "ra", RESULT_BURST, 0},
		{EVERY, 429, "--", "ra=-5;", RESULT_BURST, 0},
		{EVERY, 429, "--", "ra=inf;", RESULT_BURST, 0},
		{EVERY, 429, "--", "ra=99999999999999999999999;", RESULT_BURST, 0},
		{EVERY, 429, "--", "xra=5;", RESULT_BURST, 0},
		{EVERY, 429, "--", ";;;=;ra==;ra=5;", RESULT_BURST, 0},
	};

	(void)state;
	check_rows(rows, COUNT(rows));
}

struct use {
	const char *provider;
	const char *limits;
	unsigned percent_used; /* of LIMITTEXT_FULL, rounded; 1000 = none reported */
	int64_t until_ms;
};

#define NONE 1000

static void check_uses(const struct use *uses, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct use *u = &uses[i];
		struct result r = classify(u->provider, 200, "--", u->limits);
		unsigned percent =
			r.has_used ? (r.used * 100u + LIMITTEXT_FULL / 2) / LIMITTEXT_FULL : NONE;
		if (percent != u->percent_used || r.used_until_ms != u->until_ms)
			fail_msg("%s %s: %u %%, until now %+lld ms", u->provider, u->limits,
				percent, (long long)(r.used_until_ms - NOW));
	}
}

static void the_fullest_limit_is_told(void **state)
{
	static const struct use uses[] = {
		{"codex", "c1u=12.5;c1a=1767330000;c2u=40;c2s=7200;", 40, NOW + 2 * HOUR},
		{"codex", "c1u=75;c1a=1767330000;c2u=40;c2s=7200;", 75, INT64_C(1767330000000)},
		{"codex", "c1u=75;", 75, 0},
		{"codex", "c1u=0;c1s=10;", 0, NOW + 10 * SECOND},
		{"codex", "c1u=130;c1s=10;", 100, NOW + 10 * SECOND},
		{"codex", "c1u=100;c1s=10;c2u=100;c2s=20;", 100, NOW + 20 * SECOND},
		{"anthropic", "a5u=0.30;a5r=1767330000;a7u=0.82;a7r=1767500000;", 82,
			INT64_C(1767500000000)},
		{"anthropic", "a5u=1.02;a5r=1767330000;", 100, INT64_C(1767330000000)},
		{"anthropic", "a5u=0.123456789012;", 12, 0},
		{"anthropic", "arl=50;arr=10;art=2026-01-02T03:05:05Z;atl=1000;atr=900;", 80,
			NOW + 60 * SECOND},
		{"anthropic", "atl=1000;atr=0;att=2026-01-02T04:04:05+01:00;", NONE, 0},
		{"anthropic", "atl=1000;atr=0;att=2026-01-02T04:04:06+01:00;", 100, NOW + SECOND},
		{"openai", "xrl=100;xrr=75;xrt=1s;xtl=1000;xtr=500;xtt=6m0s;", 50,
			NOW + 360 * SECOND},
		{"openai", "xrl=100;xrr=25;xrt=120ms;xtl=1000;xtr=500;xtt=6m0s;", 75, NOW + 120},
		{"generic", "xrl=100;xrr=25;xrt=60;", 75, NOW + 60 * SECOND},
		{"openai", "xrl=100;xrr=200;", 0, 0},
		{"openai", "xrl=140737488355328;xrr=0;", 100, 0},
		/* another family's */
		{"openai", "c1u=75;a5u=0.5;arl=10;arr=1;", NONE, 0},
		{"codex", "xrl=10;xrr=1;a5u=0.5;", NONE, 0},
		{"anthropic", "xrl=10;xrr=1;c1u=75;", NONE, 0},
	};

	(void)state;
	check_uses(uses, COUNT(uses));
}

static void a_limit_that_was_reset_since_does_not_count(void **state)
{
	static const struct use uses[] = {
		{"codex", "c1u=90;c1a=1767323045;c2u=10;c2s=60;", 10, NOW + 60 * SECOND},
		{"codex", "c1u=90;c1a=1767323044;", NONE, 0},
		{"codex", "c1u=90;c1s=0;", NONE, 0},
		{"openai", "xrl=10;xrr=1;xrt=0s;", NONE, 0},
		{"anthropic", "arl=10;arr=1;art=2025-12-31T00:00:00Z;", NONE, 0},
	};

	(void)state;
	check_uses(uses, COUNT(uses));
}

static void hostile_limits_are_not_told(void **state)
{
	static const struct use uses[] = {
		{"codex", "c1u=NaN;c1s=60;", NONE, 0},
		{"codex", "c1u=-1;c1s=60;", NONE, 0},
		{"codex", "c1u=inf;c1s=60;", NONE, 0},
		{"codex", "c1u=1e2;c1s=60;", NONE, 0},
		{"codex", "c1u=99999999;c1s=60;", NONE, 0},
		{"codex", "c1u=;c1s=60;", NONE, 0},
		{"codex", "c1u=50;c1a=99999999999999999999;", 50, 0},
		{"codex", "c1u=50;c1s=-60;", 50, 0},
		{"codex", "c1u=50;c1s=NaN;", 50, 0},
		{"codex", "c1u=50;c1s=99999999;", 50, NOW + 32 * DAY},
		{"anthropic", "a5u=47;", NONE, 0},
		{"anthropic", "a5u=0.5;a5r=9999-12-31T23:59:59Z;", 50, NOW + 32 * DAY},
		{"openai", "xrl=0;xrr=0;", NONE, 0},
		{"openai", "xrl=10;", NONE, 0},
		{"openai", "xrr=10;", NONE, 0},
		{"openai", "xrl=10;xrr=-1;", NONE, 0},
		{"openai", "xrl=18446744073709551615;xrr=0;", NONE, 0},
		{"openai", "xrl=10;xrr=1;xrt=99999999h;", 90, 0},
		{"openai", "xrl=10;xrr=1;xrt=1x;", 90, 0},
		{"openai", "", NONE, 0},
	};

	(void)state;
	check_uses(uses, COUNT(uses));
}

static void use_is_told_with_every_class(void **state)
{
	static const struct {
		unsigned status;
		const char *termination;
	} ends[] = {{200, "CD"}, {429, "--"}, {500, "--"}, {200, "SD"}, {503, "LH"}};

	(void)state;
	for (size_t i = 0; i < COUNT(ends); i++) {
		struct result r =
			classify("codex", ends[i].status, ends[i].termination, "c1u=50;c1s=60;");
		assert_true(r.has_used);
		assert_int_equal(r.used, LIMITTEXT_FULL / 2);
		assert_int_equal(r.used_until_ms, NOW + 60 * SECOND);
	}
}

static void every_class_has_its_own_name(void **state)
{
	(void)state;
	for (int c = 0; c < RESULT_CLASS_COUNT; c++) {
		const char *name = result_class_name((enum result_class)c);
		assert_non_null(name);
		for (int other = 0; other < c; other++)
			assert_string_not_equal(name, result_class_name((enum result_class)other));
	}
	assert_string_equal(result_class_name(RESULT_WINDOW), "window");
}

static void gemini_reports_a_bad_key_and_the_quota_in_the_body(void **state)
{
	static const struct row rows[] = {
		{"gemini", 400, "--", "gr=API_KEY_INVALID;", RESULT_AUTH, 0},
		{"gemini", 400, "--", "gr=API_KEY_INVALID_NOT;", RESULT_PAYLOAD, 0},
		{"gemini", 400, "LR", "gr=API_KEY_INVALID;", RESULT_PAYLOAD, 0},
		{"gemini", 403, "--", "gr=API_KEY_INVALID;", RESULT_DENIED, 0},
		{"openai", 400, "--", "gr=API_KEY_INVALID;", RESULT_PAYLOAD, 0},
		{"gemini", 429, "--",
			"gq=GenerateRequestsPerDayPerProjectPerModelFreeTier;gd=34.07s;",
			RESULT_WINDOW, NOW + HOUR},
		{"gemini", 429, "--",
			"gq=GenerateRequestsPerMinutePerProjectPerModel;gd=34.074824224s;",
			RESULT_BURST, NOW + 34074},
		{"gemini", 429, "--", "gd=2s;", RESULT_BURST, NOW + 2 * SECOND},
		{"gemini", 429, "--", "ra=7;gd=2s;", RESULT_BURST, NOW + 7 * SECOND},
		{"gemini", 429, "--", "gd=9h;gd=2s;", RESULT_BURST, NOW + 9 * HOUR},
		{"gemini", 429, "--", "gd=90h;", RESULT_BURST, NOW + DAY},
		{"gemini", 429, "--", "gd=junk;", RESULT_BURST, 0},
		{"gemini", 429, "--", "gd=0s;", RESULT_BURST, 0},
		{"gemini", 429, "--", "gq=;", RESULT_BURST, 0},
		{"gemini", 503, "LH", "st=429;gq=XPerDayY;", RESULT_WINDOW, NOW + HOUR},
		{"openai", 429, "--", "gq=XPerDayY;gd=2s;", RESULT_BURST, 0},
	};

	(void)state;
	check_rows(rows, COUNT(rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_without_an_error_are_successes),
		cmocka_unit_test(errors_count_by_their_status),
		cmocka_unit_test(unknown_answers_hurt_as_little_as_their_status_allows),
		cmocka_unit_test(the_side_that_left_decides_without_an_error_response),
		cmocka_unit_test(no_valid_answer_is_the_networks_fault),
		cmocka_unit_test(what_haproxy_does_by_itself_is_neutral),
		cmocka_unit_test(an_answer_that_haproxy_replaced_counts_by_the_upstreams_status),
		cmocka_unit_test(a_told_reset_closes_a_window_until_then),
		cmocka_unit_test(an_end_is_read_in_every_spelling),
		cmocka_unit_test(an_empty_value_is_as_none),
		cmocka_unit_test(an_overloaded_upstream_tells_when_to_retry),
		cmocka_unit_test(a_stream_that_begins_with_an_error_counts_as_that),
		cmocka_unit_test(a_quota_without_a_told_end_is_a_window_of_an_hour),
		cmocka_unit_test(a_429_without_a_window_is_a_burst),
		cmocka_unit_test(a_burst_ends_when_the_upstream_says),
		cmocka_unit_test(the_fullest_limit_is_told),
		cmocka_unit_test(a_limit_that_was_reset_since_does_not_count),
		cmocka_unit_test(hostile_limits_are_not_told),
		cmocka_unit_test(use_is_told_with_every_class),
		cmocka_unit_test(every_class_has_its_own_name),
		cmocka_unit_test(gemini_reports_a_bad_key_and_the_quota_in_the_body),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
