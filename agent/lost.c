#include "agent/lost.h"

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
	struct board_request row = {
		.started_ms = lease->decided_ms,
		.tenant = lease->tenant,
		.key = lease->key,
		.account = lease->account,
		.egress = lease->egress,
		.upstream = lease->upstream,
		.ttfb_ms = -1,
		.duration_ms = -1,
		.retries = (uint16_t)(lease->attempt > 1 ? lease->attempt - 1 : 0),
	};

	memcpy(row.id, lease->id, sizeof(row.id));
	memcpy(row.termination, ended, sizeof(BOARD_ENDED_AWAY));
	board_put_request(a->board, &row);
}
