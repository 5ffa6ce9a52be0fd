#include "common/statefile.h"

#include "common/clock.h"
#include "common/statefile_convert.h"
#include "common/statefile_layout.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* The head and the first part of usage. */
static size_t first_part(void)
{
	const struct statefile_head h = layout_head();

	return LAYOUT_PAGE + (size_t)layout_usage_part(&h);
}

static size_t reserved(void)
{
	const struct statefile_head h = layout_head();

	return LAYOUT_PAGE + LAYOUT_USAGE_PARTS_MAX * (size_t)layout_usage_part(&h);
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
	const size_t size = (size_t)layout_head().size;
	const size_t first = first_part();

	if (map_part(fd, f->block, 0, first, flags) == MAP_FAILED)
		return -errno;
	f->usage_parts = 1;
	void *rest = map_part(fd, NULL, first, size - first, flags);
	if (rest == MAP_FAILED)
		return -errno;
	f->rest = rest;
	return statefile_follow(f, fd);
}

int statefile_follow(struct statefile *f, int fd)
{
	const struct statefile_head h = layout_head();
	const size_t part = (size_t)layout_usage_part(&h);
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	for (; f->usage_parts < layout_parts(&h, st.st_size); f->usage_parts++) {
		const size_t before = f->usage_parts * part;
		if (map_part(fd, (char *)f->block + LAYOUT_PAGE + before,
			    layout_size(&h, f->usage_parts), part, 0) == MAP_FAILED)
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

/* Reserve the blocks now, so that a full disk cannot cause a SIGBUS in the agent later. */
static int make(int fd)
{
	struct statefile_head h = layout_head();
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
	const struct statefile_head h = layout_head();
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	uint32_t parts = layout_parts(&h, st.st_size);
	if (parts == 0 || parts == LAYOUT_USAGE_PARTS_MAX)
		return -EFBIG;
	return -posix_fallocate(fd, (off_t)layout_size(&h, parts), (off_t)layout_usage_part(&h));
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

/* --- another format --- */

static int sync_directory(const char *path)
{
	char name[PATH_MAX];
	const char *slash = strrchr(path, '/');

	snprintf(name, sizeof(name), "%.*s", slash ? (int)(slash - path + 1) : 1,
		slash ? path : ".");
	int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int error = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return error;
}

/* The new file is complete and locked before it takes the name. Returns its descriptor. */
static int replace(int old, const struct statefile_head *h, const char *path, const char *name)
{
	int fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -errno;
	int error = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
	if (!error)
		error = convert_rows(old, h, fd);
	if (!error && rename(name, path) < 0)
		error = -errno;
	if (!error)
		error = sync_directory(path);
	if (error) {
		unlink(name);
		close(fd);
		return error;
	}
	return fd;
}

/* The lock of the old file keeps other instances out, and the new one has its own. */
static int convert(int old, const struct statefile_head *h, const char *path, struct errtext *e)
{
	char name[PATH_MAX];

	if ((size_t)snprintf(name, sizeof(name), "%s.new", path) >= sizeof(name))
		return errtext_set(e, -ENAMETOOLONG, "%s: the name is too long", path);
	/* one that was not completed */
	unlink(name);
	int fd = replace(old, h, path, name);
	if (fd < 0)
		return errtext_set(e, fd,
			"%s: cannot be converted from format %u to %u: %s; it is unchanged", path,
			h->format, STATEFILE_FORMAT, strerror(-fd));
	errtext_set(
		e, 0, "%s was converted from format %u to %u", path, h->format, STATEFILE_FORMAT);
	return fd;
}

static int check_room(const struct statefile_head *old, int fd, const char *path, struct errtext *e)
{
	const struct statefile_head h = layout_head();
	struct statvfs disk;
	struct stat st;

	if (fstat(fd, &st) < 0 || fstatvfs(fd, &disk) < 0)
		return errtext_set(e, -errno, "%s: %s", path, strerror(errno));
	uint64_t needed = layout_size(&h, layout_parts(old, st.st_size));
	if ((uint64_t)disk.f_bavail * disk.f_frsize >= needed)
		return 0;
	return errtext_set(e, -ENOSPC,
		"%s: its disk has no room for its conversion from format %u to %u: %llu bytes are"
		" needed",
		path, old->format, h.format, (unsigned long long)needed);
}

int statefile_try(const char *path, struct errtext *e)
{
	struct statefile_head h;
	struct errtext other;
	int error = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return 0;
	if (layout_read(fd, &h, &other) == -EPROTO)
		error = check_room(&h, fd, path, e);
	close(fd);
	return error;
}

/* --- opening --- */

/* keep the old file locked until the new one exists, or two instances could swap files */
static int replace_bad(const char *path, struct errtext *e)
{
	int error = set_aside(path, e);

	return error ? error : create(path, e);
}

/* A copy of a file may have holes: a full disk would then cause a SIGBUS in the agent (make()). */
static int fill_holes(int fd, struct errtext *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return errtext_set(e, -errno, "the state file: %s", strerror(errno));
	int error = st.st_blocks * 512 < st.st_size ? posix_fallocate(fd, 0, st.st_size) : 0;
	return error ? errtext_set(e, -error, "the state file: its blocks cannot be reserved: %s",
			       strerror(error))
		     : 0;
}

static int open_or_create(const char *path, enum statefile_event *ret_event, struct errtext *e)
{
	struct statefile_head h;
	struct stat st;

	*ret_event = STATEFILE_MADE;
	if (lstat(path, &st) < 0 && errno == ENOENT)
		return create(path, e);
	*ret_event = STATEFILE_OPENED;
	int fd = open_locked(path, 0, e);
	if (fd < 0)
		return fd;
	int error = layout_read(fd, &h, e);
	if (error == -EBADMSG && layout_mend(fd))
		error = layout_read(fd, &h, e);
	if (!error)
		return fd;
	*ret_event = error == -EPROTO ? STATEFILE_CONVERTED : STATEFILE_SET_ASIDE;
	int made = error == -EPROTO ? convert(fd, &h, path, e) : replace_bad(path, e);
	close(fd);
	return made;
}

/* A keeper that took over from another one may no longer change files of other users. */
static int set_access(int fd, unsigned uid, unsigned gid)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	bool is_owned = uid == (unsigned)-1 || (st.st_uid == uid && st.st_gid == gid);
	if ((st.st_mode & 07777) != 0600 && fchmod(fd, 0600) < 0)
		return -errno;
	return is_owned || fchown(fd, uid, gid) == 0 ? 0 : -errno;
}

int statefile_open(const char *path, unsigned uid, unsigned gid, enum statefile_event *ret_event,
	struct errtext *e)
{
	int fd = open_or_create(path, ret_event, e);

	if (fd < 0)
		return fd;
	int holes = fill_holes(fd, e);
	if (holes) {
		close(fd);
		return holes;
	}
	int error = set_access(fd, uid, gid);
	if (error) {
		close(fd);
		return errtext_set(e, error, "%s: %s", path, strerror(-error));
	}
	return fd;
}

int statefile_map(int fd, struct statefile *ret, struct errtext *e)
{
	struct statefile_head h;
	int error = layout_read(fd, &h, e);

	if (!error)
		error = map_whole(fd, MAP_POPULATE, ret, e);
	/* the keeper has found it good when it opened it */
	if (error == -EBADMSG)
		return errtext_prefix(e, error,
			"the state file was damaged while the relay ran, restart the relay to begin with a "
			"new one");
	return error ? errtext_prefix(e, error, "the state file") : 0;
}

void statefile_unmap(struct statefile *f)
{
	if (f->block)
		munmap(f->block, reserved());
	if (f->rest)
		munmap(f->rest, (size_t)layout_head().size - first_part());
	*f = (struct statefile){0};
}

static int read_run(int fd, struct statefile_run *ret)
{
	return pread(fd, ret, sizeof(*ret), STATEFILE_RUN_AT) == (ssize_t)sizeof(*ret) ? 0 : -EIO;
}

static int write_run(int fd, const struct statefile_run *run)
{
	return pwrite(fd, run, sizeof(*run), STATEFILE_RUN_AT) == (ssize_t)sizeof(*run) ? 0 : -EIO;
}

/* The agent writes the time often. */
static int64_t last_alive_ms(int fd)
{
	struct statefile_clock clock;

	if (pread(fd, &clock, sizeof(clock), STATEFILE_CLOCK_AT) != (ssize_t)sizeof(clock) ||
		clock.past.wall_ms <= 0)
		return clock_wall_ms();
	return clock.past.wall_ms;
}

int statefile_begin(int fd)
{
	struct statefile_run run;
	int error = read_run(fd, &run);

	if (error)
		return error;
	if (run.state == STATEFILE_RUN_ON && run.gap_ms == 0)
		run.gap_ms = last_alive_ms(fd);
	run.state = STATEFILE_RUN_ON;
	return write_run(fd, &run);
}

int statefile_end(int fd)
{
	struct statefile_run run;
	int error = read_run(fd, &run);

	if (error)
		return error;
	run.state = STATEFILE_RUN_STOPPED;
	error = write_run(fd, &run);
	return error || fdatasync(fd) == 0 ? error : -errno;
}

struct statefile_run *statefile_run(const struct statefile *f)
{
	return (struct statefile_run *)(void *)((char *)f->block + STATEFILE_RUN_AT);
}

struct statefile_clock *statefile_clock(const struct statefile *f)
{
	return (struct statefile_clock *)(void *)((char *)f->block + STATEFILE_CLOCK_AT);
}

struct statefile_workers *statefile_workers(const struct statefile *f)
{
	return (struct statefile_workers *)(void *)((char *)f->block + STATEFILE_WORKERS_AT);
}

void *statefile_table(const struct statefile *f, enum statefile_table t, uint32_t *ret_rows)
{
	const struct statefile_head *h = f->block;

	if (t == STATEFILE_USAGE) {
		*ret_rows = f->usage_parts * STATEFILE_USAGES;
		return (char *)f->block + LAYOUT_PAGE;
	}
	*ret_rows = h->tables[t].rows;
	return f->rest + h->tables[t].offset - first_part();
}
