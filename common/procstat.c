#include "common/procstat.h"

#include "common/num.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Fields of proc(5), counted from the state, which follows the name. */
#define FIELD_STATE 0
#define FIELD_UTIME 11
#define FIELD_STIME 12

static int64_t ticks_of(struct slice text)
{
	uint64_t value;

	return num_parse_u64(text, INT64_MAX / 4000, &value) == 0 ? (int64_t)value : 0;
}

void procstat_parse(const char *text, int64_t ticks, struct procstat *ret)
{
	/* the name is in brackets, and may contain brackets and spaces */
	const char *end = strrchr(text, ')');
	struct procstat p = {.state = '?'};
	struct slice field;

	*ret = p;
	if (!end || end[1] != ' ' || ticks <= 0)
		return;
	struct slice rest = slice_from_str(end + 2);
	int64_t used = 0;
	for (int i = FIELD_STATE; i <= FIELD_STIME; i++) {
		if (!slice_next(&rest, ' ', &field) || field.n == 0)
			return;
		if (i == FIELD_STATE)
			p.state = field.p[0];
		if (i == FIELD_UTIME || i == FIELD_STIME)
			used += ticks_of(field);
	}
	p.cpu_ms = used * 1000 / ticks;
	*ret = p;
}

void procstat_read(pid_t pid, struct procstat *ret)
{
	char path[32];
	char text[1024];

	*ret = (struct procstat){.state = '?'};
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return;
	text[n] = '\0';
	procstat_parse(text, sysconf(_SC_CLK_TCK), ret);
}
