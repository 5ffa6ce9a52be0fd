/* Responses of echo endpoints, and request paths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "admin/upkeep/echo.h"
#include "common/errtext.h"
#include "common/url.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void says(const char *body, const char *address)
{
	struct ip ip;
	struct errtext e = {""};
	char text[IP_TEXT_SIZE];

	if (echo_parse(slice_from_str(body), &ip, &e))
		fail_msg("%s: %s", body, e.text);
	assert_string_equal(ip_format(&ip, text), address);
}

static void says_nothing(const char *body)
{
	struct ip ip;
	struct errtext e = {""};

	assert_int_equal(echo_parse(slice_from_str(body), &ip, &e), -EINVAL);
	assert_true(e.text[0] != '\0');
}

static void takes_a_bare_address(void **state)
{
	(void)state;
	says("203.0.113.7", "203.0.113.7");
	says(" 203.0.113.7\r\n", "203.0.113.7");
	says("2001:DB8:0::1\n", "2001:db8::1");
	says("::ffff:192.0.2.1", "192.0.2.1");
}

static void takes_an_object_with_one_of_three_names(void **state)
{
	(void)state;
	says("{\"ip\":\"203.0.113.7\"}", "203.0.113.7");
	says("{\"origin\": \"203.0.113.8\", \"country\": \"XX\"}", "203.0.113.8");
	says("\n{\"address\":\" 2001:db8::2 \"}", "2001:db8::2");
	says("{\"ip\":7,\"origin\":\"203.0.113.9\"}", "203.0.113.9");
}

static void rejects_other_texts(void **state)
{
	static const char *const bodies[] = {"", "   ", "<html>", "203.0.113.7, 10.0.0.1",
		"203.0.113.7:443", "203.0.113", "{", "{}", "{\"ip\":\"\"}", "{\"ip\":null}",
		"{\"ip\":[\"203.0.113.7\"]}", "{\"ip\":\"203.0.113.7, 10.0.0.1\"}",
		"[\"203.0.113.7\"]",
		"{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}}}}}"};

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		says_nothing(bodies[i]);
}

static void rejects_a_long_response(void **state)
{
	char *body = malloc(ECHO_BODY_MAX + 1);
	struct ip ip;
	struct errtext e;

	(void)state;
	assert_non_null(body);
	memset(body, ' ', ECHO_BODY_MAX + 1);
	memcpy(body, "203.0.113.7", 11);
	assert_int_equal(echo_parse((struct slice){body, ECHO_BODY_MAX + 1}, &ip, &e), -EINVAL);
	assert_int_equal(echo_parse((struct slice){body, ECHO_BODY_MAX}, &ip, &e), 0);
	free(body);
}

static void requests_the_path_of_the_url(void **state)
{
	static const char *const rows[][2] = {
		{"https://echo.example", "/"},
		{"https://echo.example/", "/"},
		{"http://127.0.0.1:8080/ip", "/ip"},
		{"HTTPS://echo.example/json?x=1#top", "/json?x=1"},
		{"https://echo.example#top", "/"},
	};
	struct slice target;
	struct errtext e;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(echo_target(rows[i][0], &target, &e), 0);
		assert_true(slice_eq_str(target, rows[i][1]));
	}
	assert_int_equal(echo_target("ftp://echo.example/", &target, &e), -EINVAL);
	assert_int_equal(echo_target("echo.example/ip", &target, &e), -EINVAL);
	assert_int_equal(echo_target("https://echo.example?x=1", &target, &e), -EINVAL);
	assert_int_equal(echo_target("https://echo example/ip", &target, &e), -EINVAL);
	assert_true(slice_eq_str(
		url_without_query("https://e.example/ip?x=1#y"), "https://e.example/ip"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_a_bare_address),
		cmocka_unit_test(takes_an_object_with_one_of_three_names),
		cmocka_unit_test(rejects_other_texts),
		cmocka_unit_test(rejects_a_long_response),
		cmocka_unit_test(requests_the_path_of_the_url),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
