#include "common/statefile_layout.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define MAGIC "RLYSTATE"
#define ROW_SIZE_MAX 4096
#define HEAD_FLIPS 4 /* flipped bits of a head that are mended */

static_assert(sizeof(struct statefile_usage) == 128, "usage is two cache lines");
static_assert(sizeof(struct statefile_lease) == 192, "a lease is three cache lines");
static_assert(sizeof(struct statefile_binding) == 32, "two bindings are a cache line");
static_assert(sizeof(struct statefile_health) == 192, "health is three cache lines");
static_assert(sizeof(struct statefile_head) <= STATEFILE_CLOCK_AT, "the head is before the clock");
static_assert(STATEFILE_CLOCK_AT + sizeof(struct statefile_clock) <= STATEFILE_WORKERS_AT,
	"the clock is before the workers");
static_assert(STATEFILE_WORKERS_AT + sizeof(struct statefile_workers) <= LAYOUT_PAGE,
	"head, clock and workers fit in one page");
static_assert(STATEFILE_USAGES * sizeof(struct statefile_usage) % LAYOUT_PAGE == 0,
	"the parts of usage are adjacent in memory");
static_assert(STATEFILE_USAGE == 0, "the first part of usage follows the head");

struct table_shape {
	uint32_t row_size;
	uint32_t rows;
};

static const struct table_shape shapes[STATEFILE_TABLE_COUNT] = {
	[STATEFILE_USAGE] = {sizeof(struct statefile_usage), STATEFILE_USAGES},
	[STATEFILE_LEASE] = {sizeof(struct statefile_lease), STATEFILE_LEASES},
	[STATEFILE_STICKY] = {sizeof(struct statefile_binding), STATEFILE_BINDINGS},
	[STATEFILE_HEALTH] = {sizeof(struct statefile_health), STATEFILE_HEALTHS},
	[STATEFILE_UNDO] = {sizeof(struct statefile_undo), 1},
};

static uint32_t head_crc(const struct statefile_head *h)
{
	return (uint32_t)crc32(0, (const Bytef *)h, offsetof(struct statefile_head, crc));
}

/* Each table begins on a page. */
static void place_tables(struct statefile_head *h)
{
	uint64_t offset = LAYOUT_PAGE;

	for (size_t i = 0; i < STATEFILE_TABLE_COUNT; i++) {
		uint64_t size = (uint64_t)h->tables[i].row_size * h->tables[i].rows;
		h->tables[i].offset = offset;
		offset += (size + LAYOUT_PAGE - 1) / LAYOUT_PAGE * LAYOUT_PAGE;
	}
	h->size = offset;
	h->crc = head_crc(h);
}

struct statefile_head layout_head(void)
{
	struct statefile_head h = {.format = STATEFILE_FORMAT, .head_size = sizeof(h)};

	memcpy(h.magic, MAGIC, sizeof(h.magic));
	for (size_t i = 0; i < STATEFILE_TABLE_COUNT; i++) {
		h.tables[i].row_size = shapes[i].row_size;
		h.tables[i].rows = shapes[i].rows;
	}
	place_tables(&h);
	return h;
}

/* The row of undo has room for the rows that it saves. */
static bool has_undo(const struct statefile_head *h)
{
	return h->tables[STATEFILE_UNDO].row_size >= offsetof(struct statefile_undo, before) +
		STATEFILE_UNDO_USAGES * h->tables[STATEFILE_USAGE].row_size +
		h->tables[STATEFILE_LEASE].row_size;
}

/* Whether its rows can become ours: as many of them, and placed as this format would place them. */
static bool is_convertible(const struct statefile_head *h)
{
	struct statefile_head placed = *h;

	if (h->format < STATEFILE_OLDEST || h->head_size != sizeof(*h))
		return false;
	for (size_t i = 0; i < STATEFILE_TABLE_COUNT; i++) {
		if (h->tables[i].rows != shapes[i].rows || h->tables[i].row_size % 8 ||
			h->tables[i].row_size < 16 || h->tables[i].row_size > ROW_SIZE_MAX)
			return false;
	}
	place_tables(&placed);
	return memcmp(&placed, h, sizeof(placed)) == 0 && has_undo(h) &&
		layout_usage_part(h) % LAYOUT_PAGE == 0;
}

static int check_head(const struct statefile_head *h, off_t size, struct errtext *e)
{
	const struct statefile_head ours = layout_head();
	bool is_ours = memcmp(h, &ours, sizeof(ours)) == 0;

	if (!is_ours && h->format == ours.format)
		return errtext_set(e, -EBADMSG, "has another layout than its format says");
	if (!is_ours && !is_convertible(h))
		return errtext_set(
			e, -EBADMSG, "is of format %u, which this program cannot read", h->format);
	if (layout_parts(h, size) == 0)
		return errtext_set(e, -EBADMSG, "has another size than its head says");
	return is_ours ? 0
		       : errtext_set(e, -EPROTO, "is of format %u, this program writes %u",
				 h->format, ours.format);
}

int layout_read(int fd, struct statefile_head *ret, struct errtext *e)
{
	struct statefile_head h;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return errtext_set(e, -errno, "cannot be examined: %s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return errtext_set(e, -EBADMSG, "is not a regular file");
	if (pread(fd, &h, sizeof(h), 0) != (ssize_t)sizeof(h) || memcmp(h.magic, MAGIC, 8) != 0)
		return errtext_set(e, -EBADMSG, "is not a state file of spoa-relay");
	if (h.crc != head_crc(&h))
		return errtext_set(e, -EBADMSG, "has a damaged head");
	int error = check_head(&h, st.st_size, e);
	if (!error || error == -EPROTO)
		*ret = h;
	return error;
}

/* The head of a format is the same in each file. */
bool layout_mend(int fd)
{
	const struct statefile_head ours = layout_head();
	struct statefile_head h;
	struct stat st;
	int flips = 0;

	if (fstat(fd, &st) < 0 || layout_parts(&ours, st.st_size) == 0 ||
		pread(fd, &h, sizeof(h), 0) != (ssize_t)sizeof(h))
		return false;
	for (size_t i = 0; i < sizeof(h); i++)
		flips += __builtin_popcount(
			(unsigned)((const uint8_t *)&h)[i] ^ ((const uint8_t *)&ours)[i]);
	return flips <= HEAD_FLIPS && pwrite(fd, &ours, sizeof(ours), 0) == (ssize_t)sizeof(ours);
}

/* --- places --- */

uint64_t layout_usage_part(const struct statefile_head *h)
{
	return (uint64_t)h->tables[STATEFILE_USAGE].rows * h->tables[STATEFILE_USAGE].row_size;
}

uint32_t layout_parts(const struct statefile_head *h, off_t size)
{
	if (size < 0 || (uint64_t)size < h->size)
		return 0;
	uint64_t parts = 1 + ((uint64_t)size - h->size) / layout_usage_part(h);
	return parts > LAYOUT_USAGE_PARTS_MAX ? 0 : (uint32_t)parts;
}

uint64_t layout_size(const struct statefile_head *h, uint32_t parts)
{
	return h->size + (parts - 1) * layout_usage_part(h);
}

uint32_t layout_rows(const struct statefile_head *h, enum statefile_table t, uint32_t parts)
{
	return h->tables[t].rows * (t == STATEFILE_USAGE ? parts : 1);
}

uint64_t layout_offset(const struct statefile_head *h, enum statefile_table t, uint32_t row)
{
	uint32_t part = row / h->tables[t].rows;
	uint64_t in_part = (uint64_t)(row % h->tables[t].rows) * h->tables[t].row_size;

	if (part == 0)
		return h->tables[t].offset + in_part;
	return layout_size(h, part) + in_part;
}
