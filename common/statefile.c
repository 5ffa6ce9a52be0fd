#include "common/statefile.h"

#include "common/clock.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define MAGIC "RLYSTATE"
#define PAGE 4096

static_assert(sizeof(struct statefile_usage) == 64, "usage is one cache line");
static_assert(sizeof(struct statefile_lease) == 128, "a lease is two cache lines");
static_assert(sizeof(struct statefile_health) == 192, "health is three cache lines");
static_assert(sizeof(struct statefile_head) <= PAGE, "the head fits in one page");

/* Of one part of the table of usage: the first is in its place in the file, the others are at the end. */
#define USAGE_PART ((size_t)STATEFILE_USAGES * sizeof(struct statefile_usage))
#define FIRST_PART (PAGE + USAGE_PART) /* with the head before it */
#define USAGE_PARTS_MAX (STATEFILE_USAGES_MAX / STATEFILE_USAGES)

static_assert(USAGE_PART % PAGE == 0, "the parts of usage are adjacent in memory");
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

static struct statefile_head make_head(void)
{
	struct statefile_head h = {.format = STATEFILE_FORMAT, .head_size = sizeof(h)};
	uint64_t offset = PAGE;

	memcpy(h.magic, MAGIC, sizeof(h.magic));
	for (size_t i = 0; i < STATEFILE_TABLE_COUNT; i++) {
		uint64_t size = (uint64_t)shapes[i].row_size * shapes[i].rows;
		h.tables[i].offset = offset;
		h.tables[i].row_size = shapes[i].row_size;
		h.tables[i].rows = shapes[i].rows;
		offset += (size + PAGE - 1) / PAGE * PAGE;
	}
	h.size = offset;
	h.crc = head_crc(&h);
	return h;
}

/* Parts of usage in a file of this size; 0 = not a size that a state file has. */
static uint32_t count_parts(off_t size)
{
	uint64_t least = make_head().size;

	if (size < 0 || (uint64_t)size < least)
		return 0;
	uint64_t parts = 1 + ((uint64_t)size - least) / USAGE_PART;
	return parts > USAGE_PARTS_MAX ? 0 : (uint32_t)parts;
}

static int check_head(int fd, struct errtext *e)
{
	struct statefile_head expected = make_head();
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
	if (h.format != expected.format)
		return errtext_set(e, -EBADMSG, "is of format %u, this program writes %u", h.format,
			expected.format);
	if (memcmp(&h, &expected, sizeof(h)) != 0 || count_parts(st.st_size) == 0)
		return errtext_set(e, -EBADMSG, "has another size than its head says");
	return 0;
}

static size_t reserved(void)
{
	return PAGE + USAGE_PARTS_MAX * USAGE_PART;
}

/* Address space for all rows of usage that a file can have. */
static int reserve(struct statefile *f)
{
	void *block = mmap(
		NULL, reserved(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (block == MAP_FAILED)
		return -errno;
	f->block = block;
	return 0;
}

/* At `at` (NULL = anywhere). */
static void *map_part(int fd, void *at, uint64_t offset, size_t size, int flags)
{
	return mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | flags | (at ? MAP_FIXED : 0), fd,
		(off_t)offset);
}

static int map_tables(int fd, int flags, struct statefile *f)
{
	const size_t size = (size_t)make_head().size;

	if (map_part(fd, f->block, 0, FIRST_PART, flags) == MAP_FAILED)
		return -errno;
	f->usage_parts = 1;
	void *rest = map_part(fd, NULL, FIRST_PART, size - FIRST_PART, flags);
	if (rest == MAP_FAILED)
		return -errno;
	f->rest = rest;
	return statefile_follow(f, fd);
}

int statefile_follow(struct statefile *f, int fd)
{
	const uint64_t size = make_head().size;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	for (; f->usage_parts < count_parts(st.st_size); f->usage_parts++) {
		const size_t before = f->usage_parts * USAGE_PART;
		if (map_part(fd, (char *)f->block + PAGE + before, size + before - USAGE_PART,
			    USAGE_PART, 0) == MAP_FAILED)
			return -errno;
	}
	return 0;
}

static int map_whole(int fd, int flags, struct statefile *ret, struct errtext *e)
{
	struct statefile f = {0};
	int error = reserve(&f);

	if (!error)
		error = map_tables(fd, flags, &f);
	if (error) {
		statefile_unmap(&f);
		return errtext_set(e, error, "cannot be mapped: %s", strerror(-error));
	}
	*ret = f;
	return 0;
}

static int check(int fd, struct errtext *e)
{
	struct statefile f = {0};
	int error = check_head(fd, e);

	if (!error)
		error = map_whole(fd, 0, &f, e);
	if (error)
		return error;
	error = statefile_check_rows(&f, e);
	statefile_unmap(&f);
	return error;
}

/* Reserve the blocks now, so that a full disk cannot cause a SIGBUS in the agent later. */
static int make(int fd)
{
	struct statefile_head h = make_head();
	int error = posix_fallocate(fd, 0, (off_t)h.size);

	if (error)
		return -error;
	if (pwrite(fd, &h, sizeof(h), 0) != (ssize_t)sizeof(h))
		return -EIO;
	return fsync(fd) < 0 ? -errno : 0;
}

/* As make(): the blocks are reserved. A part that is not complete is no part. */
int statefile_grow(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	uint32_t parts = count_parts(st.st_size);
	if (parts == 0 || parts == USAGE_PARTS_MAX)
		return -EFBIG;
	off_t whole = (off_t)(make_head().size + (parts - 1) * USAGE_PART);
	return -posix_fallocate(fd, whole, (off_t)USAGE_PART);
}

/* Between our open and our lock another instance may have renamed the file and made a new one. */
static bool is_at_path(int fd, const char *path)
{
	struct stat ours;
	struct stat there;

	return fstat(fd, &ours) == 0 && lstat(path, &there) == 0 && ours.st_dev == there.st_dev &&
		ours.st_ino == there.st_ino;
}

static int open_locked(const char *path, int flags, struct errtext *e)
{
	int fd = open(path, flags | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return errtext_set(e, -errno, "%s: %s", path, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 || !is_at_path(fd, path)) {
		close(fd);
		return errtext_set(
			e, -EADDRINUSE, "%s: another spoa-relay runs with this state_dir", path);
	}
	return fd;
}

static int set_aside(const char *path, struct errtext *e)
{
	char name[PATH_MAX];

	if ((size_t)snprintf(name, sizeof(name), "%s.bad-%lld", path, (long long)clock_wall_ms()) >=
		sizeof(name))
		return errtext_set(e, -ENAMETOOLONG, "%s: the name is too long", path);
	if (rename(path, name) < 0)
		return errtext_set(e, -errno, "%s: cannot be set aside: %s", path, strerror(errno));
	return errtext_prefix(e, 0, "%s was set aside as %s", path, name);
}

static int create(const char *path, struct errtext *e)
{
	int fd = open_locked(path, O_CREAT | O_EXCL, e);

	if (fd < 0)
		return fd;
	int error = make(fd);
	if (error) {
		unlink(path);
		close(fd);
		return errtext_set(e, error, "%s: cannot be written: %s", path, strerror(-error));
	}
	return fd;
}

static int open_or_create(const char *path, int *ret_set_aside, struct errtext *e)
{
	struct stat st;

	if (lstat(path, &st) < 0 && errno == ENOENT)
		return create(path, e);
	int fd = open_locked(path, 0, e);
	if (fd < 0)
		return fd;
	if (check(fd, e) == 0)
		return fd;
	/* keep the old file locked until the new one exists, or two instances could swap files */
	int made = set_aside(path, e);
	if (!made) {
		*ret_set_aside = 1;
		made = create(path, e);
	}
	close(fd);
	return made;
}

int statefile_open(
	const char *path, unsigned uid, unsigned gid, int *ret_set_aside, struct errtext *e)
{
	*ret_set_aside = 0;
	int fd = open_or_create(path, ret_set_aside, e);
	if (fd < 0)
		return fd;
	if (fchmod(fd, 0600) < 0 || (uid != (unsigned)-1 && fchown(fd, uid, gid) < 0)) {
		int error = -errno;
		close(fd);
		return errtext_set(e, error, "%s: %s", path, strerror(-error));
	}
	return fd;
}

int statefile_map(int fd, struct statefile *ret, struct errtext *e)
{
	int error = check_head(fd, e);

	if (!error)
		error = map_whole(fd, MAP_POPULATE, ret, e);
	return error ? errtext_prefix(e, error, "the state file") : 0;
}

void statefile_unmap(struct statefile *f)
{
	if (f->block)
		munmap(f->block, reserved());
	if (f->rest)
		munmap(f->rest, (size_t)make_head().size - FIRST_PART);
	*f = (struct statefile){0};
}

void *statefile_table(const struct statefile *f, enum statefile_table t, uint32_t *ret_rows)
{
	const struct statefile_head *h = f->block;

	if (t == STATEFILE_USAGE) {
		*ret_rows = f->usage_parts * STATEFILE_USAGES;
		return (char *)f->block + PAGE;
	}
	*ret_rows = h->tables[t].rows;
	return f->rest + h->tables[t].offset - FIRST_PART;
}
