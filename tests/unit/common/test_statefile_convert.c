#include "common/statefile.h"
#include "common/staterow.h"
#include "common/window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

/*
 * format-3.gz: the state file of a killed relay of format 3, after requests, failures and conversations
 * on HAProxy 3.2, with three streams in progress.
 */
#define FIXTURE STATES_DIR "/format-3.gz"
#define FIXTURE_SIZE 23076864
#define WHEN_MS 1795850670000 /* its last second */

struct table {
	size_t offset, row_size;
	uint32_t rows, used;
};

static const struct table old_tables[STATEFILE_TABLE_COUNT] = {
	[STATEFILE_USAGE] = {4096, 64, STATEFILE_USAGES, 11},
	[STATEFILE_LEASE] = {8392704, 128, STATEFILE_LEASES, 3},
	[STATEFILE_STICKY] = {16781312, 24, STATEFILE_BINDINGS, 12},
	[STATEFILE_HEALTH] = {19927040, 192, STATEFILE_HEALTHS, 8},
	[STATEFILE_UNDO] = {23072768, 416, 1, 0},
};

static const size_t row_sizes[STATEFILE_TABLE_COUNT] = {
	[STATEFILE_USAGE] = sizeof(struct statefile_usage),
	[STATEFILE_LEASE] = sizeof(struct statefile_lease),
	[STATEFILE_STICKY] = sizeof(struct statefile_binding),
	[STATEFILE_HEALTH] = sizeof(struct statefile_health),
};

struct scene {
	char directory[32];
	char path[64];
	char *old; /* the fixture */
};

static char *read_fixture(void)
{
	char *block = malloc(FIXTURE_SIZE);
	gzFile file = gzopen(FIXTURE, "rb");

	assert_non_null(block);
	assert_non_null(file);
	assert_int_equal(gzread(file, block, FIXTURE_SIZE), FIXTURE_SIZE);
	gzclose(file);
	return block;
}

static void write_old(const struct scene *s, size_t size)
{
	int fd = open(s->path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, s->old, FIXTURE_SIZE), FIXTURE_SIZE);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	close(fd);
}

static int set_up(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));

	strcpy(s->directory, "/tmp/relay-convert-XXXXXX");
	if (!mkdtemp(s->directory))
		return -1;
	snprintf(s->path, sizeof(s->path), "%s/state", s->directory);
	s->old = read_fixture();
	*state = s;
	return 0;
}

static int count_files(const struct scene *s, bool remove_them)
{
	char pattern[64];
	glob_t found;
	int count = 0;

	snprintf(pattern, sizeof(pattern), "%s/*", s->directory);
	if (glob(pattern, 0, NULL, &found) == 0) {
		count = (int)found.gl_pathc;
		for (size_t i = 0; remove_them && i < found.gl_pathc; i++)
			remove(found.gl_pathv[i]);
		globfree(&found);
	}
	return count;
}

static int tear_down(void **state)
{
	struct scene *s = *state;
	int error;

	count_files(s, true);
	error = rmdir(s->directory);
	free(s->old);
	free(s);
	return error;
}

static int open_state(const struct scene *s, enum statefile_event expected, struct statefile *ret)
{
	struct errtext e = {""};
	enum statefile_event event;
	int fd = statefile_open(s->path, (unsigned)-1, 0, &event, &e);

	assert_true(fd >= 0);
	assert_int_equal(event, expected);
	if (expected == STATEFILE_CONVERTED)
		assert_non_null(strstr(e.text, "was converted from format 3 to 4"));
	assert_int_equal(statefile_map(fd, ret, &e), 0);
	return fd;
}

static void close_state(struct statefile *f, int fd)
{
	statefile_unmap(f);
	close(fd);
}

static uint32_t state_of(const char *row)
{
	uint32_t state;

	memcpy(&state, row, sizeof(state));
	return state;
}

/* Each row has the fields of the old one, and nothing in those that the old format did not have. */
static void assert_rows(const struct scene *s, const struct statefile *f, enum statefile_table t)
{
	static const char zeros[128];
	const struct table *old = &old_tables[t];
	const size_t check = row_sizes[t] - sizeof(uint32_t);
	const size_t kept = old->row_size < check ? old->row_size : check;
	uint32_t rows;
	uint32_t used = 0;
	const char *table = statefile_table(f, t, &rows);

	assert_true(rows >= old->rows);
	for (uint32_t i = 0; i < old->rows; i++) {
		const char *was = s->old + old->offset + i * old->row_size;
		const char *is = table + i * row_sizes[t];
		assert_int_equal(state_of(is), state_of(was));
		used += state_of(was) != 0;
		if (state_of(was))
			assert_memory_equal(is, was, kept);
		assert_memory_equal(is + kept, zeros, check - kept);
	}
	assert_int_equal(used, old->used);
}

static const struct statefile_usage *find_usage(
	const struct statefile *f, enum usage_kind kind, uint32_t id)
{
	uint32_t rows;
	const struct statefile_usage *table = statefile_table(f, STATEFILE_USAGE, &rows);

	for (uint32_t i = 0; i < rows; i++) {
		if (table[i].state == kind && table[i].id == id)
			return &table[i];
	}
	return NULL;
}

static void assert_counts(const struct statefile *f)
{
	/* what relayadm showed before the relay was killed */
	static const struct {
		enum usage_kind kind;
		uint32_t id, requests;
	} counts[] = {{USAGE_TENANT, 4, 24}, {USAGE_KEY, 4, 24}, {USAGE_TENANT, 5, 3},
		{USAGE_ACCOUNT, 1, 3}, {USAGE_ACCOUNT, 3, 4}, {USAGE_ACCOUNT, 4, 9},
		{USAGE_ACCOUNT, 5, 13}};

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		const struct statefile_usage *row = find_usage(f, counts[i].kind, counts[i].id);
		assert_non_null(row);
		assert_int_equal(window_count(row, USAGE_DAY, WHEN_MS), counts[i].requests);
		assert_int_equal(window_count(row, USAGE_MONTH, WHEN_MS), counts[i].requests);
	}
}

static void assert_no_damage(const struct statefile *f)
{
	struct statefile_damage damage = {{0}, {0}};

	statefile_check_rows(f, &damage);
	for (int t = 0; t < STATEFILE_TABLE_COUNT; t++)
		assert_int_equal(damage.mended[t] + damage.dropped[t], 0);
}

static void a_file_of_format_3_keeps_every_row(void **state)
{
	const struct scene *s = *state;
	struct statefile f;
	struct stat st;

	for (enum statefile_event event = STATEFILE_CONVERTED;; event = STATEFILE_OPENED) {
		if (event == STATEFILE_CONVERTED)
			write_old(s, FIXTURE_SIZE);
		int fd = open_state(s, event, &f);
		for (int t = 0; t < STATEFILE_UNDO; t++)
			assert_rows(s, &f, (enum statefile_table)t);
		assert_counts(&f);
		assert_no_damage(&f);
		/* reserved on the disk, and no other file is left */
		assert_int_equal(stat(s->path, &st), 0);
		assert_true(st.st_blocks * 512 >= st.st_size);
		assert_int_equal(st.st_mode & 0777, 0600);
		assert_int_equal(count_files(s, false), 1);
		close_state(&f, fd);
		if (event == STATEFILE_OPENED)
			break;
	}
}

/* A table of usage that has grown: the second part is at the end of the old file. */
static void a_file_that_has_grown_keeps_the_rows_at_its_end(void **state)
{
	const struct scene *s = *state;
	const struct table *old = &old_tables[STATEFILE_USAGE];
	const struct statefile_usage last = {
		.state = USAGE_KEY, .id = 77, .windows = {[USAGE_DAY] = {20785, 5}}};
	struct statefile f;
	uint32_t rows;

	write_old(s, FIXTURE_SIZE + old->rows * old->row_size);
	int fd = open(s->path, O_RDWR);
	assert_int_equal(pwrite(fd, &last, old->row_size,
				 (off_t)(FIXTURE_SIZE + (old->rows - 1) * old->row_size)),
		old->row_size);
	close(fd);
	fd = open_state(s, STATEFILE_CONVERTED, &f);
	statefile_table(&f, STATEFILE_USAGE, &rows);
	assert_int_equal(rows, 2 * STATEFILE_USAGES);
	assert_counts(&f);
	const struct statefile_usage *row = find_usage(&f, USAGE_KEY, 77);
	assert_non_null(row);
	assert_int_equal(window_count(row, USAGE_DAY, WHEN_MS), 5);
	close_state(&f, fd);
}

/* The old relay was killed in a change: rows 3 and 5, and lease 1. */
static void a_change_that_was_not_finished_is_undone(void **state)
{
	const struct scene *s = *state;
	char *undo = s->old + old_tables[STATEFILE_UNDO].offset;
	char *usage = s->old + old_tables[STATEFILE_USAGE].offset;
	char *lease = s->old + old_tables[STATEFILE_LEASE].offset;
	const uint32_t head[8] = {1, 2, 2, 3, 5};
	struct statefile f;
	uint32_t rows;

	memcpy(undo, head, sizeof(head));
	memcpy(undo + 32, usage + 3 * 64, 64);
	memcpy(undo + 32 + 64, usage + 5 * 64, 64);
	memcpy(undo + 32 + 4 * 64, lease + 128, 128);
	usage[3 * 64 + 8 + 3 * 8 + 4] ^= 0x55;
	usage[5 * 64 + 8 + 3 * 8 + 4] ^= 0x55;
	memset(lease + 128 + 24, 0, 16);
	write_old(s, FIXTURE_SIZE);
	int fd = open_state(s, STATEFILE_CONVERTED, &f);
	assert_counts(&f);
	const struct statefile_lease *leases = statefile_table(&f, STATEFILE_LEASE, &rows);
	assert_memory_equal(&leases[1], undo + 32 + 4 * 64, 128);
	const struct statefile_undo *row = statefile_table(&f, STATEFILE_UNDO, &rows);
	assert_int_equal(row->state, 0);
	close_state(&f, fd);
}

/* --- a newer format --- */

#define NEWER_BY 32 /* bytes that each of its rows is longer */

/*
 * A file as a later program may write it: the rows of this format with more fields before their checks.
 * `damaged`: number of the row of usage whose check is wrong.
 */
static void write_newer(const struct scene *s, const struct statefile *f, uint32_t damaged)
{
	struct statefile_head h = *(const struct statefile_head *)f->block;
	uint64_t offset = 4096;
	assert_int_equal(unlink(s->path), 0); /* `f` maps it */
	int fd = open(s->path, O_RDWR | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	h.format = 5;
	for (int t = 0; t < STATEFILE_TABLE_COUNT; t++) {
		uint32_t more = t == STATEFILE_UNDO ? 5 * NEWER_BY : NEWER_BY;
		const uint32_t size = h.tables[t].row_size;
		uint32_t rows;
		const char *table = statefile_table(f, (enum statefile_table)t, &rows);
		h.tables[t].row_size += more;
		h.tables[t].offset = offset;
		offset += ((uint64_t)h.tables[t].row_size * h.tables[t].rows + 4095) / 4096 * 4096;
		for (uint32_t i = 0; i < rows; i++) {
			char row[1024] = "";
			if (!staterow_state(table + (size_t)i * size))
				continue;
			memcpy(row, table + (size_t)i * size, size - sizeof(uint32_t));
			memset(row + size - sizeof(uint32_t), 0x77, more);
			staterow_seal(row, h.tables[t].row_size);
			row[9] ^= t == STATEFILE_USAGE && i == damaged ? 0x33 : 0;
			assert_int_equal(pwrite(fd, row, h.tables[t].row_size,
						 (off_t)(h.tables[t].offset +
							 (uint64_t)i * h.tables[t].row_size)),
				h.tables[t].row_size);
		}
	}
	h.size = offset;
	h.crc = (uint32_t)crc32(0, (const Bytef *)&h, offsetof(struct statefile_head, crc));
	assert_int_equal(pwrite(fd, &h, sizeof(h), 0), sizeof(h));
	assert_int_equal(pwrite(fd, statefile_workers(f), sizeof(struct statefile_workers),
				 STATEFILE_WORKERS_AT),
		sizeof(struct statefile_workers));
	assert_int_equal(ftruncate(fd, (off_t)offset), 0);
	close(fd);
}

/* The way back to this program. */
static void a_file_of_a_newer_format_keeps_the_fields_of_this_one(void **state)
{
	const struct scene *s = *state;
	const uint32_t damaged = 0; /* a pool's */
	struct statefile_damage damage = {{0}, {0}};
	struct errtext e = {""};
	enum statefile_event event;
	struct statefile f, again;

	write_old(s, FIXTURE_SIZE);
	int fd = open_state(s, STATEFILE_CONVERTED, &f);
	*statefile_workers(&f) = (struct statefile_workers){.source = 1, .next = 2, .ids = {3, 4}};
	write_newer(s, &f, damaged);
	int fd2 = statefile_open(s->path, (unsigned)-1, 0, &event, &e);
	assert_true(fd2 >= 0);
	assert_int_equal(event, STATEFILE_CONVERTED);
	assert_non_null(strstr(e.text, "was converted from format 5 to 4"));
	assert_int_equal(statefile_map(fd2, &again, &e), 0);
	for (int t = 0; t < STATEFILE_UNDO; t++) {
		uint32_t rows;
		const char *was = statefile_table(&f, (enum statefile_table)t, &rows);
		const char *is = statefile_table(&again, (enum statefile_table)t, &rows);
		for (uint32_t i = 0; i < rows; i++) {
			if (t != STATEFILE_USAGE || i != damaged)
				assert_memory_equal(is + i * row_sizes[t], was + i * row_sizes[t],
					row_sizes[t]);
		}
	}
	assert_memory_equal(
		statefile_workers(&again), statefile_workers(&f), sizeof(struct statefile_workers));
	assert_counts(&again);
	statefile_check_rows(&again, &damage);
	for (int t = 0; t < STATEFILE_UNDO; t++) {
		assert_int_equal(damage.dropped[t], t == STATEFILE_USAGE);
		assert_int_equal(damage.mended[t], 0);
	}
	close_state(&again, fd2);
	close_state(&f, fd);
}

static void assert_unchanged(const struct scene *s)
{
	char *block = malloc(FIXTURE_SIZE);
	int fd = open(s->path, O_RDONLY);

	assert_non_null(block);
	assert_int_equal(read(fd, block, FIXTURE_SIZE), FIXTURE_SIZE);
	assert_memory_equal(block, s->old, FIXTURE_SIZE);
	assert_int_equal(count_files(s, false), 1);
	close(fd);
	free(block);
}

static void without_room_the_old_file_stays_as_it_was(void **state)
{
	const struct scene *s = *state;
	struct rlimit was;
	struct errtext e = {""};
	enum statefile_event event;
	struct statefile f;

	write_old(s, FIXTURE_SIZE);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	const struct rlimit small = {FIXTURE_SIZE, was.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(statefile_open(s->path, (unsigned)-1, 0, &event, &e), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_non_null(strstr(e.text, "cannot be converted from format 3 to 4: File too large"));
	assert_non_null(strstr(e.text, "it is unchanged"));
	assert_unchanged(s);
	int fd = open_state(s, STATEFILE_CONVERTED, &f);
	close_state(&f, fd);
}

/* A conversion was killed; its file is in the way of the next. */
static void a_conversion_that_was_cut_off_is_begun_again(void **state)
{
	const struct scene *s = *state;
	char name[80];
	struct statefile f;

	write_old(s, FIXTURE_SIZE);
	snprintf(name, sizeof(name), "%s.new", s->path);
	int part = open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
	assert_int_equal(ftruncate(part, 4096), 0);
	close(part);
	int fd = open_state(s, STATEFILE_CONVERTED, &f);
	assert_counts(&f);
	assert_int_equal(count_files(s, false), 1);
	close_state(&f, fd);
}

static void an_instance_that_runs_keeps_its_old_file(void **state)
{
	const struct scene *s = *state;
	struct errtext e = {""};
	enum statefile_event event;

	write_old(s, FIXTURE_SIZE);
	int fd = open(s->path, O_RDWR);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(statefile_open(s->path, (unsigned)-1, 0, &event, &e), -EADDRINUSE);
	assert_unchanged(s);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_file_of_format_3_keeps_every_row, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_file_that_has_grown_keeps_the_rows_at_its_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_change_that_was_not_finished_is_undone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_file_of_a_newer_format_keeps_the_fields_of_this_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			without_room_the_old_file_stays_as_it_was, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_conversion_that_was_cut_off_is_begun_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			an_instance_that_runs_keeps_its_old_file, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
