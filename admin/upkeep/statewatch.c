#include "admin/upkeep/statewatch.h"

#include "admin/control.h"
#include "admin/store/notices.h"
#include "common/board.h"
#include "common/config.h"
#include "common/log.h"
#include "common/statefile.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

static uint64_t sum_of(const struct board *b, enum board_counter_id first)
{
	uint64_t sum = 0;

	for (unsigned t = 0; t < STATEFILE_TABLE_COUNT; t++)
		sum += board_get(&b->counters[first + t]);
	return sum;
}

void statewatch_lost(const struct control *c)
{
	const char *message =
		"the state file was missing or could not be used at the start: limits, quotas, slots and "
		"conversations begin anew. Check state_dir and the disk; then acknowledge this notice";

	log_write(LOG_LEVEL_ERROR, "the state file is lost: all counts begin anew", NULL);
	notices_raise(c->store, NOTICE_STATE_LOST, "state", message, NULL);
}

static bool is_removed(const struct control *c)
{
	char path[PATH_MAX];
	struct stat ours, there;

	if (c->start->statefile_fd < 0 || fstat(c->start->statefile_fd, &ours) < 0 ||
		config_state_path(c->start->config, "state", path, sizeof(path)))
		return false;
	if (stat(path, &there) < 0)
		return errno == ENOENT || errno == ENOTDIR;
	return ours.st_dev != there.st_dev || ours.st_ino != there.st_ino;
}

static void look_at_name(struct statewatch *w, struct control *c)
{
	bool removed = is_removed(c);

	if (removed && !c->state_removed) {
		log_write(LOG_LEVEL_ERROR, "the state file was removed or replaced", NULL);
		notices_raise(c->store, NOTICE_STATE_REMOVED, "state", STATEWATCH_REMOVED, NULL);
	}
	if (!removed && (c->state_removed || !w->looked))
		notices_resolve(c->store, NOTICE_STATE_REMOVED, "state", NULL);
	c->state_removed = removed;
	w->looked = true;
}

void statewatch_poll(struct statewatch *w, struct control *c)
{
	look_at_name(w, c);
	const struct statewatch now = {.dropped = sum_of(c->board, BOARD_STATE_DROPPED_USAGE),
		.mended = sum_of(c->board, BOARD_STATE_MENDED_USAGE),
		.looked = w->looked};
	char message[NOTICES_MESSAGE_MAX];
	struct errtext e;

	if (now.dropped == w->dropped && now.mended == w->mended)
		return;
	snprintf(message, sizeof(message),
		"the state file was damaged: %llu rows were dropped and begin again, %llu were"
		" mended; the log of the agent names the tables. Check the disk and the memory",
		(unsigned long long)now.dropped, (unsigned long long)now.mended);
	/* without the store: again in a second */
	if (notices_raise(c->store, NOTICE_STATE_DAMAGED, "state", message, &e) == 0)
		*w = now;
}
