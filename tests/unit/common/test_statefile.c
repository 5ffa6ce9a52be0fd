#include "common/statefile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/relay-state-XXXXXX";
static char path[64];

static int set_up(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/relay-state-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/state", directory);
	return 0;
}

static int tear_down(void **state)
{
	char pattern[64];
	glob_t found;

	(void)state;
	snprintf(pattern, sizeof(pattern), "%s/*", directory);
	if (glob(pattern, 0, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++)
			remove(found.gl_pathv[i]);
		globfree(&found);
	}
	return rmdir(directory);
}

static int open_file(int *set_aside)
{
	struct errtext e = {""};

	return statefile_open(path, (unsigned)-1, 0, set_aside, &e);
}

static void what_is_written_is_there_again(void **state)
{
	struct statefile f;
	struct errtext e;
	uint32_t rows;
	int set_aside;

	(void)state;
	for (uint32_t round = 0; round < 3; round++) {
		int fd = open_file(&set_aside);
		assert_true(fd >= 0);
		assert_int_equal(set_aside, 0);
		assert_int_equal(statefile_map(fd, &f, &e), 0);
		struct statefile_lease *leases = statefile_table(&f, STATEFILE_LEASE, &rows);
		assert_int_equal(rows, STATEFILE_LEASES);
		assert_int_equal(leases[rows - 1].account, round);
		leases[rows - 1].account = round + 1;
		statefile_unmap(&f);
		close(fd);
	}
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_second_instance_is_kept_out(void **state)
{
	int set_aside;
	int fd = open_file(&set_aside);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(open_file(&set_aside), -EADDRINUSE);
	assert_int_equal(set_aside, 0);
	close(fd);
	fd = open_file(&set_aside);
	assert_true(fd >= 0);
	close(fd);
}

static void damage(off_t at, const char *bytes, off_t cut)
{
	int fd = open(path, O_RDWR);

	assert_true(fd >= 0);
	if (bytes)
		assert_int_equal(pwrite(fd, bytes, strlen(bytes), at), strlen(bytes));
	if (cut)
		assert_int_equal(ftruncate(fd, cut), 0);
	close(fd);
}

static void what_is_not_ours_is_set_aside(void **state)
{
	static const struct {
		off_t at;
		const char *bytes;
		off_t cut;
	} damages[] = {{0, "FOREIGN!", 0}, {8, "\x7f", 0}, {40, "\x01\x02", 0}, {0, NULL, 100},
		{0, NULL, 8192}, {0, NULL, 1}};
	int set_aside;

	(void)state;
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		close(open_file(&set_aside));
		damage(damages[i].at, damages[i].bytes, damages[i].cut);
		int fd = open_file(&set_aside);
		assert_true(fd >= 0);
		assert_int_equal(set_aside, 1);
		close(fd);
		close(open_file(&set_aside));
		assert_int_equal(set_aside, 0);
	}
}

static void a_link_is_not_followed(void **state)
{
	char target[64];
	int set_aside;

	(void)state;
	snprintf(target, sizeof(target), "%s/target", directory);
	assert_int_equal(symlink(target, path), 0);
	assert_true(open_file(&set_aside) < 0);
	assert_int_not_equal(access(target, F_OK), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_written_is_there_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_second_instance_is_kept_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_not_ours_is_set_aside, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_link_is_not_followed, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
