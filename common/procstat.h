/* What /proc says about a process. */
#ifndef RELAY_COMMON_PROCSTAT_H
#define RELAY_COMMON_PROCSTAT_H

#include <stdint.h>
#include <sys/types.h>

struct procstat {
	char state;	/* proc(5): R runnable, S or D asleep, T or t stopped, ...; '?' = unknown */
	int64_t cpu_ms; /* used by all its threads; the kernel counts in steps of 10 ms */
};

/* Unknown (/proc is not mounted, or hides the process): state '?', cpu_ms 0. */
void procstat_read(pid_t pid, struct procstat *ret);
/* The content of /proc/PID/stat; NUL-terminated. `ticks` is the number of clock ticks per second. */
void procstat_parse(const char *text, int64_t ticks, struct procstat *ret);

#endif
