/* Limits log lines that a peer can cause: at most one of a kind per interval, with a count. */
#ifndef RELAY_COMMON_QUIET_H
#define RELAY_COMMON_QUIET_H

#include <stdbool.h>
#include <stdint.h>

#define QUIET_INTERVAL_MS 10000

struct quiet {
	int64_t next_ms;
	uint64_t suppressed; /* since the last line */
};

/* True when a line may be written now; the caller logs `suppressed` and sets it to 0. */
static inline bool quiet_may_speak(struct quiet *q, int64_t now_ms)
{
	if (now_ms < q->next_ms) {
		q->suppressed++;
		return false;
	}
	q->next_ms = now_ms + QUIET_INTERVAL_MS;
	return true;
}

#endif
