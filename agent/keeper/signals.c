#include "agent/keeper/signals.h"

#include <errno.h>
#include <stddef.h>
#include <sys/signalfd.h>

static const int caught[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGUSR2};

#define CAUGHT_COUNT (sizeof(caught) / sizeof(caught[0]))

int signals_catch(sigset_t *ret_mask)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < CAUGHT_COUNT; i++)
		sigaddset(&set, caught[i]);
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, ret_mask) < 0)
		return -errno;
	/* the program that this one replaces has blocked them already */
	for (size_t i = 0; i < CAUGHT_COUNT; i++)
		sigdelset(ret_mask, caught[i]);
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

void signals_of_child(const sigset_t *mask)
{
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigprocmask(SIG_SETMASK, mask, NULL);
}
