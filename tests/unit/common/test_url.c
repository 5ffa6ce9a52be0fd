#include "common/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

static void parses_valid_upstream_urls(void **state)
{
	static const struct {
		const char *text, *host, *header, *prefix;
		uint16_t port;
		bool tls;
	} rows[] = {
		{"https://api.openai.com", "api.openai.com", "api.openai.com", "", 443, true},
		{"HTTPS://Api.Example/v1/", "api.example", "api.example", "/v1", 443, true},
		{"http://127.0.0.1:9000/a/b", "127.0.0.1", "127.0.0.1:9000", "/a/b", 9000, false},
		{"http://[::1]:80/", "::1", "[::1]", "", 80, false},
		{"https://[2001:db8::1]:8443", "2001:db8::1", "[2001:db8::1]:8443", "", 8443, true},
	};
	struct url u;
	struct errtext e;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(url_parse(slice_from_str(rows[i].text), &u, &e), 0);
		assert_string_equal(u.host, rows[i].host);
		assert_string_equal(u.host_header, rows[i].header);
		assert_string_equal(u.prefix, rows[i].prefix);
		assert_int_equal(u.port, rows[i].port);
		assert_int_equal(u.tls, rows[i].tls);
	}
}

static void refuses_other_urls(void **state)
{
	static const char *const rows[] = {"", "api.openai.com", "ftp://h", "https://",
		"https:///x", "https://user:pw@h", "https://h:0", "https://h:65536",
		"https://h:", "https://h:8x", "https://h/?q=1", "https://h#f", "https://h/a b",
		"https://h/\"", "https://h/../x", "https://h//x", "https://h//", "https://-h",
		"https://h_x", "https://[::1", "https://[127.0.0.1]", "https://[]", "https://h\n",
		"https://\xc3\xa4.example"};
	struct url u;
	struct errtext e;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (url_parse(slice_from_str(rows[i]), &u, &e) != -EINVAL)
			fail_msg("accepted: %s", rows[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses_valid_upstream_urls),
		cmocka_unit_test(refuses_other_urls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
