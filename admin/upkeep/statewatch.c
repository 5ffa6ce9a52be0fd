#include "admin/upkeep/statewatch.h"

#include "admin/control.h"
#include "admin/store/notices.h"
#include "common/board.h"
#include "common/statefile.h"

#include <stdio.h>

static uint64_t sum_of(const struct board *b, enum board_counter_id first)
{
	uint64_t sum = 0;

	for (unsigned t = 0; t < STATEFILE_TABLE_COUNT; t++)
		sum += board_get(&b->counters[first + t]);
	return sum;
}

void statewatch_poll(struct statewatch *w, struct control *c)
{
	const struct statewatch now = {sum_of(c->board, BOARD_STATE_DROPPED_USAGE),
		sum_of(c->board, BOARD_STATE_MENDED_USAGE)};
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
