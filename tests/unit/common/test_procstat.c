#include "common/procstat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void reads_what_the_kernel_says(void **state)
{
	static const char line[] =
		"4711 (a) R (b) T 1 4711 4711 0 -1 4194560 1 2 3 4 250 150 9 9 20 0 1 0 5 6 7\n";
	struct procstat p;

	(void)state;
	procstat_parse(line, 100, &p);
	assert_int_equal(p.state, 'T');
	assert_int_equal(p.cpu_ms, 4000);
	procstat_read(getpid(), &p);
	assert_int_equal(p.state, 'R');
	procstat_read(-1, &p);
	assert_int_equal(p.state, '?');
}

static void a_line_that_is_cut_says_nothing(void **state)
{
	static const char line[] = "4711 (agent) S 1 4711 4711 0 -1 4194560 1 2 3 4 250 150";
	char text[sizeof(line)];
	struct procstat p;

	(void)state;
	for (size_t n = 0; n < sizeof(line) - 4; n++) {
		memcpy(text, line, n);
		text[n] = '\0';
		procstat_parse(text, 100, &p);
		assert_int_equal(p.state, '?');
		assert_int_equal(p.cpu_ms, 0);
	}
	procstat_parse(line, 100, &p);
	assert_int_equal(p.state, 'S');
	procstat_parse(line, 0, &p);
	assert_int_equal(p.state, '?');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_the_kernel_says),
		cmocka_unit_test(a_line_that_is_cut_says_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
