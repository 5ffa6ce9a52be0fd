/* Usage pages: what they say, and that rubbish says nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "admin/upkeep/usage_page.h"
#include "common/limittext.h"
#include "common/provider.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW_S ((int64_t)1800000000)
#define NOW (NOW_S * 1000)
#define HOUR ((int64_t)3600)

static const struct provider_page *codex(void)
{
	return &provider_find(SLICE_LITERAL("codex"))->page;
}

/* The page of Codex: what it says of requests, and its windows as JSON. */
static const char *page_of(const char *allowed, const char *reached, const char *first,
	const char *second, char out[1024])
{
	snprintf(out, 1024,
		"{\"plan_type\":\"pro\",\"rate_limit\":{\"allowed\":%s,\"limit_reached\":%s,"
		"\"primary_window\":%s,\"secondary_window\":%s},\"credits\":null}",
		allowed, reached, first, second);
	return out;
}

/* A window that ends `after_s` from now. */
static const char *window(double used, int64_t after_s, char out[256])
{
	snprintf(out, 256,
		"{\"used_percent\":%g,\"limit_window_seconds\":18000,"
		"\"reset_after_seconds\":%lld,\"reset_at\":%lld}",
		used, (long long)after_s, (long long)(NOW_S + after_s));
	return out;
}

static struct usage_page read_text(const char *text)
{
	struct usage_page page;

	assert_int_equal(usage_page_read(codex(), slice_from_str(text), NOW, &page), 0);
	return page;
}

static void refuses(const char *text)
{
	struct usage_page page = {.used = 4711};

	if (usage_page_read(codex(), slice_from_str(text), NOW, &page) != -EBADMSG)
		fail_msg("taken for a page: %s", text);
	assert_int_equal(page.used, 4711);
}

static void room_is_left(void **state)
{
	char text[1024], first[256], second[256];
	struct usage_page page = read_text(page_of(
		"true", "false", window(1, 2 * HOUR, first), window(50, 100 * HOUR, second), text));

	(void)state;
	assert_int_equal(page.verdict, USAGE_PAGE_FREE);
	assert_int_equal(page.until_ms, 0);
	assert_int_equal(page.used, UINT16_MAX / 2);
	assert_int_equal(page.used_until_ms, NOW + 100 * HOUR * 1000);
}

static void a_full_window_ends_when_it_says(void **state)
{
	char text[1024], first[256], second[256];
	struct usage_page page = read_text(page_of("false", "true", window(100, 2 * HOUR, first),
		window(30, 100 * HOUR, second), text));

	(void)state;
	assert_int_equal(page.verdict, USAGE_PAGE_FULL);
	assert_int_equal(page.until_ms, NOW + 2 * HOUR * 1000);
	assert_int_equal(page.used, LIMITTEXT_FULL);
	page = read_text(page_of("false", "true", window(100, 2 * HOUR, first),
		window(104, 100 * HOUR, second), text));
	assert_int_equal(page.until_ms, NOW + 100 * HOUR * 1000);
}

static void without_its_word_the_windows_decide(void **state)
{
	char text[1024], first[256];
	struct usage_page page =
		read_text(page_of("null", "null", window(99, HOUR, first), "null", text));

	(void)state;
	assert_int_equal(page.verdict, USAGE_PAGE_FREE);
	page = read_text(page_of("null", "null", window(100, HOUR, first), "null", text));
	assert_int_equal(page.verdict, USAGE_PAGE_FULL);
	page = read_text("{\"rate_limit\":{\"secondary_window\":{\"used_percent\":3}}}");
	assert_int_equal(page.verdict, USAGE_PAGE_FREE);
	assert_int_equal(page.used_until_ms, 0);
}

/* A plan with credits is allowed beyond 100 %; a refusal without a full window has another cause. */
static void contradictions_say_nothing(void **state)
{
	static const struct {
		const char *allowed, *reached;
		double used;
		int64_t after_s;
	} cases[] = {
		{"true", "false", 100, HOUR},
		{"false", "false", 20, HOUR},
		{"true", "true", 20, HOUR},
		{"false", "true", 20, HOUR},
		{"false", "true", 100, -HOUR}, /* its end is past */
		{"false", "true", 100, 0},
	};
	char text[1024], first[256];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct usage_page page = read_text(page_of(cases[i].allowed, cases[i].reached,
			window(cases[i].used, cases[i].after_s, first), "null", text));
		assert_int_equal(page.verdict, USAGE_PAGE_UNCLEAR);
		assert_int_equal(page.until_ms, 0);
	}
}

static void ends_have_several_spellings(void **state)
{
	static const char *const ends[] = {
		"\"reset_at\":1800003600",
		"\"reset_at\":1800003600.0",
		"\"reset_at\":\"2027-01-15T09:00:00Z\"",
		"\"reset_at\":\"2027-01-15T09:00:00.000000+00:00\"",
		"\"reset_after_seconds\":3600",
		"\"reset_at\":null,\"reset_after_seconds\":3600",
	};
	char text[1024], first[256];

	(void)state;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		snprintf(first, sizeof(first), "{\"used_percent\":100,%s}", ends[i]);
		struct usage_page page = read_text(page_of("false", "true", first, "null", text));
		assert_int_equal(page.verdict, USAGE_PAGE_FULL);
		assert_int_equal(page.until_ms, NOW + HOUR * 1000);
	}
	snprintf(first, sizeof(first), "{\"used_percent\":100,\"reset_at\":99999999999}");
	assert_int_equal(read_text(page_of("false", "true", first, "null", text)).until_ms,
		NOW + LIMITTEXT_AHEAD_MAX_MS);
}

static void rubbish_is_refused(void **state)
{
	static const char *const texts[] = {"", "x", "{", "[]", "{}", "null", "7", "\"a\"",
		"<html>login</html>", "{\"rate_limit\":null}", "{\"rate_limit\":7}",
		"{\"rate_limit\":{\"allowed\":true,\"limit_reached\":false}}",
		"{\"rate_limit\":[{\"primary_window\":{\"used_percent\":1}}]}",
		"{\"error\":{\"message\":\"no\"}}"};
	static const char *const windows[] = {"7", "[]", "\"1\"", "{}", "{\"used_percent\":null}",
		"{\"used_percent\":\"1\"}", "{\"used_percent\":-1}", "{\"used_percent\":201}",
		"{\"used_percent\":NaN}", "{\"used_percent\":Infinity}", "{\"used_percent\":1e400}",
		"{\"used_percent\":true}", "{\"used_percent\":[1]}",
		"{\"used_percent\":1,\"reset_at\":\"soon\"}",
		"{\"used_percent\":1,\"reset_at\":-1}", "{\"used_percent\":1,\"reset_at\":1e300}",
		"{\"used_percent\":1,\"reset_after_seconds\":\"1\"}",
		"{\"used_percent\":1,\"reset_after_seconds\":-5}"};
	static const char *const flags[] = {"1", "\"true\"", "[]", "{}"};
	char text[1024], first[256];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		refuses(texts[i]);
	for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
		refuses(page_of("true", "false", windows[i], "null", text));
		refuses(page_of("true", "false", window(1, HOUR, first), windows[i], text));
	}
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		refuses(page_of(flags[i], "false", window(1, HOUR, first), "null", text));
		refuses(page_of("true", flags[i], window(1, HOUR, first), "null", text));
	}
}

static void a_deep_page_is_refused(void **state)
{
	char text[256] = "";

	(void)state;
	for (int i = 0; i < 100; i++)
		strcat(text, "[");
	refuses(text);
}

static void a_provider_without_a_page_has_none(void **state)
{
	struct usage_page page;

	(void)state;
	for (size_t i = 0; i < provider_count(); i++) {
		const struct provider_page *p = &provider_at(i)->page;
		if (!p->places)
			assert_int_equal(usage_page_read(p, SLICE_LITERAL("{\"a\":1}"), NOW, &page),
				-EBADMSG);
	}
}

/* Any change of one byte gives a page or none, never a crash; every prefix is refused. */
static void mutations_are_harmless(void **state)
{
	char text[1024], first[256], second[256], copy[1024];
	struct usage_page page;
	size_t n = strlen(page_of(
		"false", "true", window(100, HOUR, first), window(30, 100 * HOUR, second), text));

	(void)state;
	for (size_t cut = 0; cut < n; cut++)
		assert_int_equal(
			usage_page_read(codex(), (struct slice){text, cut}, NOW, &page), -EBADMSG);
	for (size_t at = 0; at < n; at++) {
		for (int byte = 0; byte < 256; byte++) {
			memcpy(copy, text, n);
			copy[at] = (char)byte;
			if (usage_page_read(codex(), (struct slice){copy, n}, NOW, &page))
				continue;
			assert_true(page.until_ms <= NOW + LIMITTEXT_AHEAD_MAX_MS);
			assert_int_equal(page.until_ms != 0, page.verdict == USAGE_PAGE_FULL);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(room_is_left),
		cmocka_unit_test(a_full_window_ends_when_it_says),
		cmocka_unit_test(without_its_word_the_windows_decide),
		cmocka_unit_test(contradictions_say_nothing),
		cmocka_unit_test(ends_have_several_spellings),
		cmocka_unit_test(rubbish_is_refused),
		cmocka_unit_test(a_deep_page_is_refused),
		cmocka_unit_test(a_provider_without_a_page_has_none),
		cmocka_unit_test(mutations_are_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
