#include "common/target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define KEY "rk_dGlMoiyrlfxX1rTnyFf3vA7NUtFOY61fTudw"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static void a_segment_of_two_dots_is_found_in_every_spelling(void **state)
{
	static const char *const bad[] = {
		"/..",
		"/../admin",
		"/v1/../admin",
		"/v1/x/..",
		"..",
		"/v1/..;/admin",
		"/v1/..;a=b/admin",
		"/v1\\..\\admin",
		"/v1/..\\admin",
		"/v1/%2e%2e/admin",
		"/v1/%2E./admin",
		"/v1/.%2e/admin",
		"/v1%2f..%2fadmin",
		"/v1%5c..%5Cadmin",
		"/v1/..%2Fadmin",
		"/v1/..%3b/admin",
		"/v1/..%00/admin",
		"/v1/%252e%252e/admin",
		"/v1/..%252fadmin",
		"/v1/%25252e%25252e%25252fadmin",
		"/v1/.%25%32%65/admin",
		"/v1/%2%65%2%65/admin",
		"/v1/%252e./admin",
		"/v1/..%255c",
		"/v1/..%253b",
		"/v1/%c0%ae%c0%ae/admin",
		"/v1/..%c0%afadmin",
		"/v1/..%c1%9cadmin",
		"/v1/%e0%80%ae./admin",
		"/v1/..%25c0%25afadmin",
		"//..//",
		"/./../x",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		if (!target_has_parent(slice_from_str(bad[i])))
			fail_msg("%s passes", bad[i]);
	}
	assert_true(target_has_parent((struct slice){"/..\0/", 5}));
}

static void dots_inside_a_segment_pass(void **state)
{
	static const char *const good[] = {
		"/",
		"",
		"/v1/responses",
		"/v1/...",
		"/v1/.../x",
		"/v1/a..b",
		"/v1/..b",
		"/v1/a..",
		"/v1/./x",
		"/v1/.",
		"/v1/.hidden/x",
		"/v1/x;..b",
		"/v1/x;../b",
		"/v1/files/a%2Fb",
		"/v1/files/a%2F.b",
		"/v1/files/a%252Fb..c",
		"/v1/models/gpt-4.1..mini",
		"/v1/%2e/x",
		"/v1/%2e%2e%2e/x",
		"/v1/..%20x",
		"/v1/100%",
		"/v1/..%2",
		"/v1/..%zz",
		"/v1/caf%c3%a9",
		"/v1beta/models/demo:generateContent",
		"/v1/%25252525",
		"/v1/%2525252e./",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		if (target_has_parent(slice_from_str(good[i])))
			fail_msg("%s is refused", good[i]);
	}
}

static void a_text_beyond_the_bound_is_refused(void **state)
{
	static char text[TARGET_MAX + 1];

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_true(target_has_parent((struct slice){text, TARGET_MAX + 1}));
	assert_false(target_has_parent((struct slice){text, TARGET_MAX}));
	assert_true(target_has_key((struct slice){text, TARGET_MAX + 1}));
	assert_false(target_has_key((struct slice){text, TARGET_MAX}));
}

static void a_key_is_found_anywhere(void **state)
{
	static const char *const bad[] = {
		KEY,
		"key=" KEY,
		"a=b&key=" KEY "&c=d",
		"/v1/" KEY "/x",
		"x" KEY "x",
		"rk_" KEY,
		"key=rk%5fdGlMoiyrlfxX1rTnyFf3vA7NUtFOY61fTudw",
		"key=%72k_dGlMoiyrlfxX1rTnyFf3vA7NUtFOY61fTudw",
		"key=rk%255fdGlMoiyrlfxX1rTnyFf3vA7NUtFOY61fTudw",
		"key=rk_%64GlMoiyrlfxX1rTnyFf3vA7NUtFOY61fTudw",
	};
	static const char *const good[] = {
		"",
		"rk_",
		"_",
		"k_",
		"key=rk_dGlMoiyrlfxX1rTnyFf3vA7NUtFOY61fTud",
		"key=rk_dGlMoiyrlfxX1rTnyFf3vA7NUtFOY61fTudx",
		"key=RK_dGlMoiyrlfxX1rTnyFf3vA7NUtFOY61fTudw",
		"rk_rk_rk_rk_rk_rk_rk_rk_rk_rk_rk_rk_rk_rk_rk_",
		"sk_dGlMoiyrlfxX1rTnyFf3vA7NUtFOY61fTudw",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		if (!target_has_key(slice_from_str(bad[i])))
			fail_msg("%s passes", bad[i]);
	}
	for (size_t i = 0; i < COUNT(good); i++) {
		if (target_has_key(slice_from_str(good[i])))
			fail_msg("%s is refused", good[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_segment_of_two_dots_is_found_in_every_spelling),
		cmocka_unit_test(dots_inside_a_segment_pass),
		cmocka_unit_test(a_text_beyond_the_bound_is_refused),
		cmocka_unit_test(a_key_is_found_anywhere),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
