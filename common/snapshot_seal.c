#include "common/snapshot_layout.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static int write_all(int fd, struct slice s)
{
	while (s.n) {
		ssize_t n = write(fd, s.p, s.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		s = slice_skip(s, (size_t)n);
	}
	return 0;
}

int snapshot_seal_memory(int fd)
{
	return fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL) < 0 ? -errno : 0;
}

int snapshot_seal(const char *name, struct slice block)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	int error = write_all(fd, block);
	if (!error)
		error = snapshot_seal_memory(fd);
	if (error) {
		close(fd);
		return error;
	}
	return fd;
}

int snapshot_map_open(int fd, bool whole, struct snapshot_map *ret, struct errtext *e)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || (seals & SEALS) != SEALS)
		return errtext_set(e, -EBADMSG, "snapshot: the memory is not sealed");
	if (fstat(fd, &st) < 0)
		return errtext_set(e, -errno, "snapshot: %s", strerror(errno));
	if (st.st_size <= 0 || (uint64_t)st.st_size > SNAPSHOT_SIZE_MAX)
		return errtext_set(
			e, -EBADMSG, "snapshot: a size of %lld bytes", (long long)st.st_size);
	void *block = mmap(NULL, (size_t)st.st_size, PROT_READ,
		MAP_SHARED | (whole ? MAP_POPULATE : 0), fd, 0);
	if (block == MAP_FAILED)
		return errtext_set(e, -errno, "snapshot: cannot be mapped: %s", strerror(errno));
	*ret = (struct snapshot_map){block, (size_t)st.st_size, st.st_dev, st.st_ino};
	return 0;
}

bool snapshot_map_is_of(const struct snapshot_map *m, int fd)
{
	struct stat st;

	return m->block && fstat(fd, &st) == 0 && st.st_dev == m->device && st.st_ino == m->inode;
}

void snapshot_map_close(struct snapshot_map *m)
{
	if (m->block)
		munmap((void *)(uintptr_t)m->block, m->size);
	*m = (struct snapshot_map){0};
}
