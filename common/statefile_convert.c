#include "common/statefile_convert.h"

#include "common/statefile_layout.h"

#include <errno.h>
#include <fcntl.h>
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

static int map_image(int fd, int protection, int flags, struct image *m)
{
	void *block = mmap(NULL, m->size, protection, flags, fd, 0);

	if (block == MAP_FAILED)
		return -errno;
	m->block = block;
	return 0;
}

static void *row_at(const struct image *m, enum statefile_table t, uint32_t row)
{
	return m->block + layout_offset(&m->head, t, row);
}

static uint32_t state_of(const void *row)
{
	uint32_t state;

	memcpy(&state, row, sizeof(state));
	return state;
}

/* A row ends with its check, from format 4 on. */
static size_t fields_size(const struct image *m, enum statefile_table t)
{
	return m->head.tables[t].row_size - (m->head.format > 3 ? sizeof(uint32_t) : 0);
}

/* Bytes of a row that both formats have. */
static size_t common_size(const struct image *a, const struct image *b, enum statefile_table t)
{
	size_t one = fields_size(a, t);
	size_t other = fields_size(b, t);

	return one < other ? one : other;
}

static void copy_table(const struct image *from, const struct image *to, enum statefile_table t)
{
	const size_t size = common_size(from, to, t);
	const uint32_t rows = layout_rows(&from->head, t, from->parts);

	for (uint32_t i = 0; i < rows; i++) {
		const void *row = row_at(from, t, i);
		if (state_of(row))
			memcpy(row_at(to, t, i), row, size);
	}
}

/* Offset of the saved lease in a row of undo; the saved rows of usage are before it. */
static size_t lease_before(const struct image *m)
{
	return offsetof(struct statefile_undo, before) +
		STATEFILE_UNDO_USAGES * (size_t)m->head.tables[STATEFILE_USAGE].row_size;
}

/* The last agent was killed in a change: it is undone here, so the new file has none in progress. */
static void undo(const struct image *from, const struct image *to)
{
	struct statefile_undo u;
	const char *row = row_at(from, STATEFILE_UNDO, 0);
	const char *before = row + offsetof(struct statefile_undo, before);
	const uint32_t rows = layout_rows(&from->head, STATEFILE_USAGE, from->parts);

	memcpy(&u, row, offsetof(struct statefile_undo, before));
	if (u.state != 1)
		return;
	for (uint32_t i = 0; i < u.usages && i < STATEFILE_UNDO_USAGES; i++) {
		if (u.rows[i] < rows)
			memcpy(row_at(to, STATEFILE_USAGE, u.rows[i]),
				before + i * (size_t)from->head.tables[STATEFILE_USAGE].row_size,
				common_size(from, to, STATEFILE_USAGE));
	}
	if (u.lease && u.lease <= STATEFILE_LEASES)
		memcpy(row_at(to, STATEFILE_LEASE, u.lease - 1), row + lease_before(from),
			common_size(from, to, STATEFILE_LEASE));
}

static int write_image(int fd, const struct image *from, struct image *to)
{
	int error = posix_fallocate(fd, 0, (off_t)to->size);

	if (error)
		return -error;
	error = map_image(fd, PROT_READ | PROT_WRITE, MAP_SHARED, to);
	if (error)
		return error;
	memcpy(to->block, &to->head, sizeof(to->head));
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
	int error = map_image(from_fd, PROT_READ, MAP_SHARED, &from);
	if (error)
		return error;
	error = write_image(to_fd, &from, &to);
	munmap(from.block, from.size);
	return error;
}
