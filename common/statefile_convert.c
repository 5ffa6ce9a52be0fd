#include "common/statefile_convert.h"

#include "common/statefile_layout.h"
#include "common/staterow.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A whole file in memory, its parts in the order of the file. */
struct image {
	struct statefile_head head;
	uint32_t parts; /* of usage */
	size_t size;
	char *block;
};

/* NULL with errno. */
static char *map_image(int fd, const struct image *m, int flags)
{
	void *block = mmap(NULL, m->size, PROT_READ | PROT_WRITE, flags, fd, 0);

	return block == MAP_FAILED ? NULL : block;
}

static void *row_at(const struct image *m, enum statefile_table t, uint32_t row)
{
	return m->block + layout_offset(&m->head, t, row);
}

/* From format 4 on a row ends with its check. */
static bool has_checks(const struct image *m)
{
	return m->head.format > 3;
}

static size_t fields_size(const struct image *m, enum statefile_table t)
{
	return m->head.tables[t].row_size - (has_checks(m) ? sizeof(uint32_t) : 0);
}

static bool is_free(const struct image *m, const void *row, enum statefile_table t)
{
	return !staterow_state(row) &&
		(!has_checks(m) || !staterow_check(row, m->head.tables[t].row_size));
}

/*
 * Copies the fields that both formats have. A damaged row gets a check that is wrong, so that an agent
 * deals with it as with any other.
 */
static void copy_row(const struct image *from, const void *row, const struct image *to, void *ret,
	enum statefile_table t)
{
	const size_t theirs = fields_size(from, t);
	const size_t ours = fields_size(to, t);
	const size_t size = to->head.tables[t].row_size;

	memset(ret, 0, size);
	if (is_free(from, row, t))
		return;
	memcpy(ret, row, theirs < ours ? theirs : ours);
	if (!has_checks(from) || staterow_is_sound(row, from->head.tables[t].row_size))
		staterow_seal(ret, size);
	else
		staterow_put_check(ret, size, ~staterow_sum(ret, size));
}

static void copy_table(const struct image *from, const struct image *to, enum statefile_table t)
{
	const uint32_t rows = layout_rows(&from->head, t, from->parts);

	for (uint32_t i = 0; i < rows; i++) {
		const void *row = row_at(from, t, i);
		if (!is_free(from, row, t))
			copy_row(from, row, to, row_at(to, t, i), t);
	}
}

/* Offset of the saved lease in a row of undo; the saved rows of usage are before it. */
static size_t lease_before(const struct image *m)
{
	return offsetof(struct statefile_undo, before) +
		STATEFILE_UNDO_USAGES * (size_t)m->head.tables[STATEFILE_USAGE].row_size;
}

static bool is_in_change(const struct image *m, const struct statefile_undo *u)
{
	if (has_checks(m))
		return u->check && u->check == undo_sum(u);
	return u->state == 1;
}

/* The last agent was killed in a change: it is undone here, so the new file has none in progress. */
static void undo(const struct image *from, const struct image *to)
{
	struct statefile_undo u;
	const char *row = row_at(from, STATEFILE_UNDO, 0);
	const char *before = row + offsetof(struct statefile_undo, before);
	const uint32_t rows = layout_rows(&from->head, STATEFILE_USAGE, from->parts);

	memcpy(&u, row, offsetof(struct statefile_undo, before));
	if (!is_in_change(from, &u))
		return;
	for (uint32_t i = 0; i < u.usages && i < STATEFILE_UNDO_USAGES; i++) {
		if (u.rows[i] < rows)
			copy_row(from,
				before + i * (size_t)from->head.tables[STATEFILE_USAGE].row_size,
				to, row_at(to, STATEFILE_USAGE, u.rows[i]), STATEFILE_USAGE);
	}
	if (u.lease && u.lease <= STATEFILE_LEASES)
		copy_row(from, row + lease_before(from), to,
			row_at(to, STATEFILE_LEASE, u.lease - 1), STATEFILE_LEASE);
}

static int write_image(int fd, const struct image *from, struct image *to)
{
	int error = posix_fallocate(fd, 0, (off_t)to->size);

	if (error)
		return -error;
	to->block = map_image(fd, to, MAP_SHARED);
	if (!to->block)
		return -errno;
	memcpy(to->block, &to->head, sizeof(to->head));
	memcpy(to->block + STATEFILE_CLOCK_AT, from->block + STATEFILE_CLOCK_AT,
		sizeof(struct statefile_clock));
	memcpy(to->block + STATEFILE_WORKERS_AT, from->block + STATEFILE_WORKERS_AT,
		sizeof(struct statefile_workers));
	memcpy(to->block + STATEFILE_RUN_AT, from->block + STATEFILE_RUN_AT,
		sizeof(struct statefile_run));
	for (size_t t = 0; t < STATEFILE_UNDO; t++)
		copy_table(from, to, (enum statefile_table)t);
	undo(from, to);
	munmap(to->block, to->size);
	return fsync(fd) < 0 ? -errno : 0;
}

int convert_rows(int from_fd, const struct statefile_head *h, int to_fd)
{
	struct stat st;
	struct image from = {.head = *h};
	struct image to = {.head = layout_head()};

	if (fstat(from_fd, &st) < 0)
		return -errno;
	from.parts = to.parts = layout_parts(h, st.st_size);
	if (from.parts == 0)
		return -EBADMSG;
	from.size = (size_t)layout_size(h, from.parts);
	to.size = (size_t)layout_size(&to.head, to.parts);
	from.block = map_image(from_fd, &from, MAP_PRIVATE);
	if (!from.block)
		return -errno;
	int error = write_image(to_fd, &from, &to);
	munmap(from.block, from.size);
	return error;
}
