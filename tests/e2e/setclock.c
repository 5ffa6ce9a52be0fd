/*
 * For LD_PRELOAD: the wall clock of a program under test, wrong by the milliseconds in a mapped file. As
 * libfaketime, which opens its file at each change: a process that may open no file never sees it.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *wrong_ms;

__attribute__((constructor)) static void map_file(void)
{
	const char *path = getenv("SETCLOCK_FILE");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *block = fd < 0 ? MAP_FAILED : mmap(NULL, 8, PROT_READ, MAP_SHARED, fd, 0);

	if (block != MAP_FAILED)
		wrong_ms = block;
	if (fd >= 0)
		close(fd);
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t id, struct timespec *ts)
{
	long failed = syscall(SYS_clock_gettime, id, ts);

	if (failed || !wrong_ms || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE))
		return (int)failed;
	int64_t ns = ts->tv_nsec + *wrong_ms % 1000 * 1000000 + 1000000000;
	ts->tv_sec += *wrong_ms / 1000 + ns / 1000000000 - 1;
	ts->tv_nsec = ns % 1000000000;
	return 0;
}

__attribute__((visibility("default"))) time_t time(time_t *ret)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (ret)
		*ret = ts.tv_sec;
	return ts.tv_sec;
}

__attribute__((visibility("default"))) int gettimeofday(struct timeval *tv, void *zone)
{
	struct timespec ts;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &ts);
	*tv = (struct timeval){ts.tv_sec, ts.tv_nsec / 1000};
	return 0;
}
