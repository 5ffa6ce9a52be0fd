#include "common/forwarded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

typedef void take_fn(struct forwarded *f, struct slice value);

static struct cidr trusted[2];

static int set_up(void **state)
{
	(void)state;
	return cidr_parse(SLICE_LITERAL("10.0.0.0/8"), &trusted[0]) ||
		cidr_parse(SLICE_LITERAL("2001:db8:f::/48"), &trusted[1]);
}

/* `lines` are separated by "|". The client, "?" for a hidden one, "" for none. */
static void assert_client(take_fn *take, const char *lines, const char *expected)
{
	struct forwarded f = {.trusted = trusted, .trusted_count = 2};
	struct slice rest = slice_from_str(lines);
	char text[IP_TEXT_SIZE] = "";
	struct slice line;

	while (slice_next(&rest, '|', &line))
		take(&f, line);
	if (f.is_present && !f.is_known)
		strcpy(text, "?");
	else if (f.is_present)
		ip_format(&f.client, text);
	if (strcmp(text, expected) != 0)
		fail_msg("%s: \"%s\" is not \"%s\"", lines, text, expected);
}

static void addresses_are_read_from_the_end(void **state)
{
	static const char *const rows[][2] = {
		{"192.0.2.1", "192.0.2.1"},
		{"6.6.6.6, 192.0.2.1", "192.0.2.1"},
		{"192.0.2.1, 10.1.1.1", "192.0.2.1"},
		{"6.6.6.6,192.0.2.1,10.1.1.1 ,\t2001:db8:f::1", "192.0.2.1"},
		{"6.6.6.6, 192.0.2.1|10.1.1.1", "192.0.2.1"},
		{"192.0.2.1|6.6.6.6", "6.6.6.6"},
		{"10.1.1.1, 10.2.2.2", "10.1.1.1"},
		{"10.1.1.1", "10.1.1.1"},
		{"", ""},
		{" , ,", ""},
		{"192.0.2.1, ,", "192.0.2.1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_client(forwarded_take_addresses, rows[i][0], rows[i][1]);
}

static void addresses_may_have_brackets_and_ports(void **state)
{
	static const char *const rows[][2] = {
		{"192.0.2.1:443", "192.0.2.1"},
		{"2001:db8::5", "2001:db8::5"},
		{"[2001:db8::5]", "2001:db8::5"},
		{"[2001:db8::5]:443", "2001:db8::5"},
		{"192.0.2.1:1, [2001:db8:f::1]:2", "192.0.2.1"},
		{"::ffff:192.0.2.1", "192.0.2.1"},
		{"::ffff:10.0.0.1, 192.0.2.1, ::ffff:10.0.0.1", "192.0.2.1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_client(forwarded_take_addresses, rows[i][0], rows[i][1]);
}

static void a_text_that_is_no_address_hides_the_client(void **state)
{
	static const char *const bad[] = {"unknown", "_hidden", "192.0.2",
		"192.0.2.1:", "192.0.2.1:x", "192.0.2.1:65536", "[192.0.2.1]", "[2001:db8::5",
		"2001:db8::5]", "[2001:db8::5]x", "[]", "[", "fe80::1%eth0", "192.0.2.1 6.6.6.6",
		"\"192.0.2.1\"", "a.example", ":80"};
	char text[100];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_client(forwarded_take_addresses, bad[i], "?");
		snprintf(text, sizeof(text), "6.6.6.6, %s, 10.1.1.1", bad[i]);
		assert_client(forwarded_take_addresses, text, "?");
		snprintf(text, sizeof(text), "%s, 192.0.2.1, 10.1.1.1", bad[i]);
		assert_client(forwarded_take_addresses, text, "192.0.2.1");
	}
}

static void elements_are_read_as_rfc_7239_says(void **state)
{
	static const char *const rows[][2] = {
		{"for=192.0.2.43", "192.0.2.43"},
		{"For=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"},
		{"for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"},
		{"by=203.0.113.43; FOR=192.0.2.60", "192.0.2.60"},
		{"for=192.0.2.43, for=198.51.100.17", "198.51.100.17"},
		{"for=198.51.100.17, for=10.0.0.1;proto=https", "198.51.100.17"},
		{"for=198.51.100.17|for=10.0.0.1", "198.51.100.17"},
		{"for=\"198.51.100.17:8080\"", "198.51.100.17"},
		{"host=\"a,for=6.6.6.6;\";for=192.0.2.1", "192.0.2.1"},
		{"host=\"a\\\",for=6.6.6.6\";for=192.0.2.1", "192.0.2.1"},
		{"for=unknown", "?"},
		{"for=_hidden", "?"},
		{"for=6.6.6.6, proto=https", "?"},
		{"for=6.6.6.6;for=192.0.2.1", "?"},
		{"for=", "?"},
		{"for=\"192.0.2.1", "?"},
		{"xfor=192.0.2.1", "?"},
		{"", ""},
		{" , ;, ", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_client(forwarded_take_elements, rows[i][0], rows[i][1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_read_from_the_end),
		cmocka_unit_test(addresses_may_have_brackets_and_ports),
		cmocka_unit_test(a_text_that_is_no_address_hides_the_client),
		cmocka_unit_test(elements_are_read_as_rfc_7239_says),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
