/*
 * How long control's loop works before it waits again. Meanwhile nothing else is served, so a long time is a
 * fault: what may block belongs on a thread (offload.h).
 */
#ifndef RELAY_ADMIN_UPKEEP_LOOPTIME_H
#define RELAY_ADMIN_UPKEEP_LOOPTIME_H

#include "common/board.h"

#include <ev.h>
#include <stdint.h>

#define LOOPTIME_BUCKETS 11

/* Upper bounds in seconds, but of the last one, which has none. */
double looptime_bound(size_t bucket);

struct looptime {
	struct ev_loop *loop;
	ev_check woken;
	ev_prepare waits;
	int64_t begun_ns; /* monotonic; 0 = it waits */
	int64_t begun_cpu_ns;
	struct board_histogram histogram;
};

void looptime_start(struct looptime *t, struct ev_loop *loop);
void looptime_stop(struct looptime *t);

#endif
