#include "agent/lost.h"

#include "agent/finished.h"

#include <string.h>

/* A lease that ended before is missing in the first readings; the healer needs two. */
#define FIRST_READINGS 3

bool lost_was_away(const struct agent *a, const struct statefile_lease *lease)
{
	return lease->decided_ms < a->started_ms && a->readings <= FIRST_READINGS;
}

void lost_put(struct agent *a, const struct statefile_lease *lease)
{
	const char *ended = lost_was_away(a, lease) ? BOARD_ENDED_AWAY : BOARD_ENDED_LOST;
	struct board_request row = {0};

	finished_describe(a, lease, &row);
	memcpy(row.termination, ended, sizeof(BOARD_ENDED_AWAY));
	board_put_request(a->board, &row);
}
