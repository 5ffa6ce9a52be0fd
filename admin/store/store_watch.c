/* Whether the store takes changes: store.h. */
#include "admin/store/notices_kept.h"
#include "admin/store/statement.h"
#include "admin/store/store.h"
#include "common/slice.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define PLENTY ((uint64_t)16 << 20) /* with so much room on the disk, none is tried out */
#define ROOM ((off_t)64 << 10)	    /* that a change may need */

bool store_is_up(const struct store *s)
{
	return s->trouble == STORE_FINE;
}

const char *store_fault(const struct store *s)
{
	return s->trouble == STORE_FINE ? "" : s->fault.text;
}

/* The open descriptors work on with a file that has no name any more. */
static bool is_gone(struct store *s)
{
	struct stat st;

	if (stat(s->path, &st) == 0)
		return st.st_dev != s->device || st.st_ino != s->inode;
	return errno == ENOENT || errno == ENOTDIR;
}

static void set_gone(struct store *s)
{
	s->trouble = STORE_GONE;
	errtext_set(&s->fault, 0,
		"store %s: the file was removed or replaced while the relay runs: put it back, or save "
		"what the relay still has with relayadm backup, and restart with that file in its place",
		s->path);
}

static void set_failed(struct store *s, int error)
{
	s->trouble = STORE_FAILED;
	errtext_set(&s->fault, 0, "store %s: nothing can be saved: %s", s->path, strerror(error));
}

static int reserve(const char *directory)
{
	int fd = open(directory, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

	/* not every file system has files without a name: then the next change shows it */
	if (fd < 0)
		return errno == ENOSPC || errno == EDQUOT || errno == EROFS ? errno : 0;
	int error = posix_fallocate(fd, 0, ROOM);
	close(fd);
	return error == ENOSPC || error == EDQUOT ? error : 0;
}

/* 0, or why there is no room for a change. A write-ahead log with room in it would not tell. */
static int find_room(const struct store *s)
{
	char copy[PATH_MAX];
	struct statvfs disk;

	if ((size_t)snprintf(copy, sizeof(copy), "%s", s->path) >= sizeof(copy))
		return 0;
	const char *directory = dirname(copy);
	if (statvfs(directory, &disk) == 0 && (uint64_t)disk.f_bavail * disk.f_frsize >= PLENTY &&
		!(disk.f_flag & ST_RDONLY))
		return 0;
	return reserve(directory);
}

/* A failure leaves the trouble as it is. */
static void try_change(struct store *s)
{
	enum store_trouble before = s->trouble;

	s->trouble = STORE_FINE;
	if (store_set_setting(s, "store_tried", "1", NULL) < 0 && s->trouble == STORE_FINE)
		s->trouble = before;
	if (s->trouble == STORE_FINE)
		notices_kept_store(s);
}

void store_watch(struct store *s)
{
	if (s->trouble == STORE_DAMAGED)
		return;
	if (is_gone(s)) {
		set_gone(s);
		return;
	}
	int error = find_room(s);
	if (error)
		set_failed(s, error);
	else if (s->trouble != STORE_FINE)
		try_change(s);
}
