#include "common/kinds.h"

#include "common/head.h"
#include "common/seam.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COMMON "host: relay\r\nuser-agent: curl\r\naccept: any\r\nx-api-key: rk_a\r\n"

static bool find(const char *text, char out[SEAM_KINDS_SIZE])
{
	char hops[HEAD_HOPS_MAX];
	size_t n;
	struct slice head = slice_from_str(text);

	assert_true(head_hops(head, hops, &n));
	assert_true(n > 0);
	return kinds_find(head, (struct slice){hops, n}, out, SEAM_KINDS_SIZE);
}

static void finds(const char *head, const char *expected)
{
	char out[SEAM_KINDS_SIZE];

	assert_true(find(head, out));
	assert_string_equal(out, expected);
}

static void refuses(const char *head)
{
	char out[SEAM_KINDS_SIZE];

	if (find(head, out))
		fail_msg("%s: %s", head, out);
}

static void finds_a_kind_that_no_other_header_has(void **state)
{
	(void)state;
	finds(COMMON "connection: x-hop, close\r\nx-hop: 1\r\nx-end: 1\r\n\r\n", ";p0;");
	finds(COMMON "connection: X-Hop\r\nx-hop: 1\r\nx-stop: 1\r\n\r\n", ";h2;");
	finds(COMMON "connection: a-b\r\nconnection: c9\r\na-b: 1\r\nc9: 2\r\nc9: 3\r\n\r\n",
		";b0;90;");
}

static void needs_no_protection_for_what_is_named_too(void **state)
{
	(void)state;
	finds("connection: a-x,b-x\r\na-x: 1\r\nb-x: 2\r\n\r\n", ";x0;x0;");
}

static void refuses_what_it_cannot_tell_apart(void **state)
{
	(void)state;
	refuses("connection: x\r\nx: 1\r\nend-x: 2\r\n\r\n");
	refuses("connection: x-hop.!\r\nx-hop.!: 1\r\nx-hop-a: 1\r\n\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_a_kind_that_no_other_header_has),
		cmocka_unit_test(needs_no_protection_for_what_is_named_too),
		cmocka_unit_test(refuses_what_it_cannot_tell_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
