#include "agent/keeper/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OUT_OF_THE_WAY (INHERITED_FIRST_FD + INHERITED_MAX)
#define NAMES_MAX ((size_t)INHERITED_MAX * INHERITED_NAME_MAX)

void handover_add(struct handover *h, int *fd, const char *name)
{
	if (*fd < 0 || h->count == INHERITED_MAX)
		return;
	h->rows[h->count].fd = fd;
	snprintf(h->rows[h->count].name, sizeof(h->rows[0].name), "%s", name);
	h->count++;
}

void handover_keep(struct handover *h, int *fd)
{
	if (*fd >= 0 && h->other_count < HANDOVER_OTHERS_MAX)
		h->others[h->other_count++] = fd;
}

void handover_fini(struct handover *h)
{
	if (h->restarts_fd >= 0)
		close(h->restarts_fd);
	h->restarts_fd = -1;
}

/* Above all numbers that the next program takes. One that has been closed since is in nobody's way. */
static int move_away(int *fd)
{
	if (*fd < 0)
		return 0;
	int moved = fcntl(*fd, F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);

	if (moved < 0)
		return -errno;
	close(*fd);
	*fd = moved;
	return 0;
}

static int place(struct handover *h, uint32_t n)
{
	int placed = dup2(*h->rows[n].fd, INHERITED_FIRST_FD + (int)n);

	if (placed < 0)
		return -errno;
	close(*h->rows[n].fd);
	*h->rows[n].fd = placed;
	return 0;
}

static int arrange(struct handover *h)
{
	int error = 0;

	for (uint32_t n = 0; n < h->other_count && !error; n++)
		error = move_away(h->others[n]);
	for (uint32_t n = 0; n < h->count && !error; n++)
		error = move_away(h->rows[n].fd);
	for (uint32_t n = 0; n < h->count && !error; n++)
		error = place(h, n);
	return error;
}

static int tell(const struct handover *h)
{
	char names[NAMES_MAX] = "";
	char number[16];
	size_t at = 0;

	for (uint32_t n = 0; n < h->count; n++)
		at += (size_t)snprintf(
			names + at, sizeof(names) - at, "%s%s", n ? ":" : "", h->rows[n].name);
	snprintf(number, sizeof(number), "%u", h->count);
	int error = setenv("LISTEN_FDS", number, 1);
	if (!error)
		error = setenv("LISTEN_FDNAMES", names, 1);
	snprintf(number, sizeof(number), "%d", (int)getpid());
	if (!error)
		error = setenv("LISTEN_PID", number, 1);
	if (!error)
		error = setenv(HANDOVER_PROGRAM, h->program, 1);
	return error ? -ENOMEM : 0;
}

static void take_back(struct handover *h)
{
	for (uint32_t n = 0; n < h->count; n++)
		fcntl(*h->rows[n].fd, F_SETFD, FD_CLOEXEC);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

int handover_exec(struct handover *h, const char *option)
{
	char *const words[] = {(char *)(uintptr_t)h->program, (char *)(uintptr_t) "--config",
		(char *)(uintptr_t)h->config_path, (char *)(uintptr_t)option, NULL};
	int error = arrange(h);

	if (!error)
		error = tell(h);
	if (!error) {
		execv(h->program, words);
		error = -errno;
	}
	take_back(h);
	return error;
}
