/* Which texts are origins as browsers send them. */
#include "common/weborigin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static void takes_what_browsers_send(void **state)
{
	static const char *const good[] = {"https://app.example.com", "http://localhost:3000",
		"http://127.0.0.1:8080", "https://[::1]:8443", "https://[2001:db8::1]",
		"https://xn--bcher-kva.example", "https://a_b.example", "https://example.com:80",
		"http://example.com:443", "tauri://localhost", "chrome-extension://abcdefghij",
		"capacitor://localhost", "https://a:65535"};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(weborigin_is_valid(slice_from_str(good[i])));
}

static void refuses_everything_else(void **state)
{
	static const char *const bad[] = {"", "null", "*", "https", "https:", "https:/", "https://",
		"https:///", "//example.com", "example.com", "https://example.com/",
		"https://example.com/path", "https://Example.com", "HTTPS://example.com",
		"https://example.com:443", "http://example.com:80",
		"https://example.com:", "https://example.com:0", "https://example.com:08",
		"https://example.com:65536", "https://example.com:99999999999999999999",
		"https://user@example.com", "https://*.example.com", "https://example.com:80:80",
		"https://[::1", "https://::1", "https://[]", "https://exa mple.com",
		"https://example.com }", "https://e'x", "https://e\"x", "https://e\\x",
		"https://e\nx", "https://e\tx", "https://e%x", "https://e$x", "https://e#x",
		"1https://e", "-h://e", "https://-e", "https://.e", "https://\xc3\xa9.example"};
	char longest[WEBORIGIN_MAX + 2];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(weborigin_is_valid(slice_from_str(bad[i])));
	assert_false(weborigin_is_valid((struct slice){"https://e\0x", 11}));
	memset(longest, 'a', sizeof(longest));
	memcpy(longest, "https://", 8);
	assert_false(weborigin_is_valid((struct slice){longest, sizeof(longest) - 1}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_what_browsers_send),
		cmocka_unit_test(refuses_everything_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
