#include "common/statefile.h"
#include "common/staterow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

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

static int open_told(int *ret_set_aside, struct errtext *e)
{
	enum statefile_event event = STATEFILE_OPENED;
	int fd = statefile_open(path, (unsigned)-1, 0, &event, e);

	*ret_set_aside = event == STATEFILE_SET_ASIDE;
	return fd;
}

static int open_file(int *ret_set_aside)
{
	struct errtext e = {""};

	return open_told(ret_set_aside, &e);
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
	} damages[] = {{0, "FOREIGN!", 0}, {8, "\x7f\x7f", 0}, {40, "\x71\x72", 0}, {0, NULL, 100},
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

static void a_directory_in_its_place_is_left_alone(void **state)
{
	struct errtext e = {""};
	int set_aside;
	struct stat st;

	(void)state;
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(open_told(&set_aside, &e), -EISDIR);
	assert_int_equal(set_aside, 0);
	assert_non_null(strstr(e.text, path));
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISDIR(st.st_mode));
}

static void no_directory_is_an_error_and_nothing_is_made(void **state)
{
	char below[80];
	struct errtext e = {""};
	enum statefile_event event;

	(void)state;
	snprintf(below, sizeof(below), "%s/none/state", directory);
	assert_int_equal(statefile_open(below, (unsigned)-1, 0, &event, &e), -ENOENT);
	assert_non_null(strstr(e.text, below));
}

static void a_file_that_is_set_aside_keeps_its_bytes(void **state)
{
	char pattern[80];
	char text[32] = "";
	struct errtext e = {""};
	glob_t found;
	int set_aside;
	FILE *f = fopen(path, "w");

	(void)state;
	assert_non_null(f);
	fputs("somebody's own notes", f);
	fclose(f);
	int fd = open_told(&set_aside, &e);
	assert_true(fd >= 0);
	assert_int_equal(set_aside, 1);
	assert_non_null(strstr(e.text, "is not a state file"));
	snprintf(pattern, sizeof(pattern), "%s/state.bad-*", directory);
	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	assert_int_equal(found.gl_pathc, 1);
	assert_non_null(strstr(e.text, found.gl_pathv[0]));
	f = fopen(found.gl_pathv[0], "r");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	assert_string_equal(text, "somebody's own notes");
	fclose(f);
	globfree(&found);
	close(fd);
}

static void every_changed_byte_of_the_head_is_seen(void **state)
{
	int set_aside;
	int fd = open_file(&set_aside);
	struct statefile f;
	struct errtext e;

	(void)state;
	assert_true(fd >= 0);
	for (size_t i = 0; i < offsetof(struct statefile_head, pad); i++) {
		char was;
		assert_int_equal(pread(fd, &was, 1, (off_t)i), 1);
		char changed = (char)(was ^ 1);
		assert_int_equal(pwrite(fd, &changed, 1, (off_t)i), 1);
		assert_int_equal(statefile_map(fd, &f, &e), -EBADMSG);
		assert_int_equal(pwrite(fd, &was, 1, (off_t)i), 1);
	}
	assert_int_equal(statefile_map(fd, &f, &e), 0);
	statefile_unmap(&f);
	statefile_unmap(&f);
	close(fd);
}

static const size_t row_sizes[STATEFILE_TABLE_COUNT] = {
	[STATEFILE_USAGE] = sizeof(struct statefile_usage),
	[STATEFILE_LEASE] = sizeof(struct statefile_lease),
	[STATEFILE_STICKY] = sizeof(struct statefile_binding),
	[STATEFILE_UNDO] = sizeof(struct statefile_undo),
};

/* The keeper has opened it: what cuts it later is told with its cure. */
static void a_file_that_was_cut_meanwhile_is_named(void **state)
{
	int set_aside;
	int fd = open_file(&set_aside);
	struct statefile f;
	struct errtext e;

	(void)state;
	assert_int_equal(ftruncate(fd, 8192), 0);
	assert_int_equal(statefile_map(fd, &f, &e), -EBADMSG);
	assert_non_null(
		strstr(e.text, "restart the relay to begin with a new one: has another size"));
	close(fd);
}

static void the_tables_lie_apart(void **state)
{
	int set_aside;
	int fd = open_file(&set_aside);
	struct statefile f;
	struct errtext e;
	struct stat st;
	char *tables[STATEFILE_TABLE_COUNT];
	uint32_t rows;

	(void)state;
	assert_int_equal(statefile_map(fd, &f, &e), 0);
	/* each table has its own bytes, from the first to the last */
	for (int t = 0; t < STATEFILE_TABLE_COUNT; t++) {
		tables[t] = statefile_table(&f, (enum statefile_table)t, &rows);
		assert_int_equal((uintptr_t)tables[t] % 64, 0);
		memset(tables[t], t + 1, rows * row_sizes[t]);
	}
	for (int t = 0; t < STATEFILE_TABLE_COUNT; t++) {
		statefile_table(&f, (enum statefile_table)t, &rows);
		for (size_t i = 0; i < rows * row_sizes[t]; i += 64)
			assert_int_equal(tables[t][i], t + 1);
	}
	/* reserved on the disk, not a hole */
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(st.st_blocks * 512 >= st.st_size);
	statefile_unmap(&f);
	close(fd);
}

static struct statefile_usage *usage_rows(const struct statefile *f, uint32_t *ret_rows)
{
	return statefile_table(f, STATEFILE_USAGE, ret_rows);
}

static void grows_with_its_rows_where_they_were(void **state)
{
	int set_aside;
	int fd = open_file(&set_aside);
	struct statefile f;
	struct errtext e;
	struct stat st;
	uint32_t rows;

	(void)state;
	assert_int_equal(statefile_map(fd, &f, &e), 0);
	struct statefile_usage *usages = usage_rows(&f, &rows);
	assert_int_equal(rows, STATEFILE_USAGES);
	usages[rows - 1] = (struct statefile_usage){.state = USAGE_KEY, .id = 1};
	for (uint32_t parts = 2; parts <= STATEFILE_USAGES_MAX / STATEFILE_USAGES; parts++) {
		assert_int_equal(statefile_grow(fd), 0);
		assert_ptr_equal(usage_rows(&f, &rows), usages);
		assert_int_equal(rows, (parts - 1) * STATEFILE_USAGES);
		assert_int_equal(statefile_follow(&f, fd), 0);
		assert_ptr_equal(usage_rows(&f, &rows), usages);
		assert_int_equal(rows, parts * STATEFILE_USAGES);
		assert_int_equal(usages[rows - STATEFILE_USAGES].state, USAGE_FREE);
		usages[rows - 1] = (struct statefile_usage){.state = USAGE_KEY, .id = parts};
	}
	assert_int_equal(statefile_grow(fd), -EFBIG);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(st.st_blocks * 512 >= st.st_size);
	statefile_unmap(&f);
	close(fd);
	fd = open_file(&set_aside);
	assert_int_equal(set_aside, 0);
	assert_int_equal(statefile_map(fd, &f, &e), 0);
	usages = usage_rows(&f, &rows);
	assert_int_equal(rows, STATEFILE_USAGES_MAX);
	for (uint32_t id = 1; id <= STATEFILE_USAGES_MAX / STATEFILE_USAGES; id++)
		assert_int_equal(usages[id * STATEFILE_USAGES - 1].id, id);
	struct statefile_damage damage = {{0}, {0}};
	for (uint32_t id = 1; id <= STATEFILE_USAGES_MAX / STATEFILE_USAGES; id++)
		staterow_seal(STATEROW(&usages[id * STATEFILE_USAGES - 1]));
	usages[rows - 1].id += 3;
	statefile_check_rows(&f, &damage);
	/* rows at the end are checked too */
	assert_int_equal(damage.dropped[STATEFILE_USAGE] + damage.mended[STATEFILE_USAGE], 1);
	statefile_unmap(&f);
	close(fd);
}

/* The process that grew the file was killed. */
static void a_part_that_is_not_complete_is_no_part(void **state)
{
	int set_aside;
	int fd = open_file(&set_aside);
	struct statefile f;
	struct errtext e;
	struct stat st;
	uint32_t rows;

	(void)state;
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(ftruncate(fd, st.st_size + 4096), 0);
	close(fd);
	fd = open_file(&set_aside);
	assert_int_equal(set_aside, 0);
	assert_int_equal(statefile_map(fd, &f, &e), 0);
	usage_rows(&f, &rows);
	assert_int_equal(rows, STATEFILE_USAGES);
	assert_int_equal(statefile_grow(fd), 0);
	assert_int_equal(statefile_follow(&f, fd), 0);
	usage_rows(&f, &rows);
	assert_int_equal(rows, 2 * STATEFILE_USAGES);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(st.st_blocks * 512 >= st.st_size);
	statefile_unmap(&f);
	close(fd);
}

static void a_loose_mode_is_tightened(void **state)
{
	int set_aside;
	struct stat st;

	(void)state;
	close(open_file(&set_aside));
	assert_int_equal(chmod(path, 0666), 0);
	int fd = open_file(&set_aside);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	close(fd);
}

/* Two instances start with the same bad file: exactly one gets it, in any order. */
static void of_instances_that_start_at_once_one_runs(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++) {
		int results[2];
		int winners = 0;
		FILE *f = fopen(path, "w");
		fputs("bad", f);
		fclose(f);
		assert_int_equal(pipe(results), 0);
		int hold[2];
		assert_int_equal(pipe(hold), 0);
		for (int i = 0; i < 4; i++) {
			pid_t pid = fork();
			assert_true(pid >= 0);
			if (pid == 0) {
				int set_aside;
				char c;
				int fd = open_file(&set_aside);
				char won = fd >= 0;
				close(hold[1]);
				if (write(results[1], &won, 1) != 1 || read(hold[0], &c, 1) != 0)
					_exit(1);
				_exit(0);
			}
		}
		for (int i = 0; i < 4; i++) {
			char won;
			assert_int_equal(read(results[0], &won, 1), 1);
			winners += won;
		}
		close(hold[0]);
		close(hold[1]);
		for (int i = 0; i < 4; i++) {
			int status;
			assert_true(wait(&status) > 0);
			assert_int_equal(status, 0);
		}
		close(results[0]);
		close(results[1]);
		assert_true(winners <= 1);
		close(open_file(&winners));
	}
}

/* --- the head --- */

static void a_few_flipped_bits_of_the_head_are_flipped_back(void **state)
{
	struct statefile_head h;
	struct statefile_head was;
	int set_aside;

	(void)state;
	for (unsigned flips = 1; flips <= 5; flips++) {
		int fd = open_file(&set_aside);
		assert_int_equal(pread(fd, &was, sizeof(was), 0), sizeof(was));
		h = was;
		for (unsigned i = 0; i < flips; i++)
			((char *)&h)[i * 23] ^= (char)(1 << i);
		assert_int_equal(pwrite(fd, &h, sizeof(h), 0), sizeof(h));
		close(fd);
		fd = open_file(&set_aside);
		assert_true(fd >= 0);
		assert_int_equal(set_aside, flips > 4);
		assert_int_equal(pread(fd, &h, sizeof(h), 0), sizeof(h));
		assert_memory_equal(&h, &was, sizeof(h));
		close(fd);
	}
}

/* A complete head of another program version, with a valid checksum. */
static void another_format_is_set_aside(void **state)
{
	struct statefile_head h;
	struct errtext e = {""};
	int set_aside;
	int fd = open_file(&set_aside);

	(void)state;
	assert_int_equal(pread(fd, &h, sizeof(h), 0), sizeof(h));
	h.format = 2;
	h.crc = (uint32_t)crc32(0, (const Bytef *)&h, offsetof(struct statefile_head, crc));
	assert_int_equal(pwrite(fd, &h, sizeof(h), 0), sizeof(h));
	close(fd);
	fd = open_told(&set_aside, &e);
	assert_true(fd >= 0);
	assert_int_equal(set_aside, 1);
	assert_non_null(strstr(e.text, "is of format 2, which this program cannot read"));
	close(fd);
}

static void an_end_without_a_stop_is_a_gap(void **state)
{
	int set_aside;
	int fd = open_file(&set_aside);
	struct statefile f;
	struct errtext e;

	(void)state;
	assert_int_equal(statefile_map(fd, &f, &e), 0);
	const struct statefile_run *run = statefile_run(&f);
	assert_int_equal(statefile_begin(fd), 0);
	assert_int_equal(run->gap_ms, 0);
	assert_int_equal(statefile_end(fd), 0);
	assert_int_equal(statefile_begin(fd), 0);
	assert_int_equal(run->gap_ms, 0);
	statefile_clock(&f)->past.wall_ms = 77;
	assert_int_equal(statefile_begin(fd), 0);
	assert_int_equal(run->gap_ms, 77);
	/* the first one stays until control has taken it */
	statefile_clock(&f)->past.wall_ms = 78;
	assert_int_equal(statefile_begin(fd), 0);
	assert_int_equal(run->gap_ms, 77);
	statefile_unmap(&f);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_written_is_there_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_second_instance_is_kept_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_not_ours_is_set_aside, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_link_is_not_followed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_directory_in_its_place_is_left_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			no_directory_is_an_error_and_nothing_is_made, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_file_that_is_set_aside_keeps_its_bytes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			every_changed_byte_of_the_head_is_seen, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_end_without_a_stop_is_a_gap, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_tables_lie_apart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_file_that_was_cut_meanwhile_is_named, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			grows_with_its_rows_where_they_were, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_part_that_is_not_complete_is_no_part, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_loose_mode_is_tightened, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			of_instances_that_start_at_once_one_runs, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_few_flipped_bits_of_the_head_are_flipped_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(another_format_is_set_aside, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
