/* When to restart a child that ended. Pure: time is an argument. */
#ifndef RELAY_AGENT_KEEPER_SUPERVISE_H
#define RELAY_AGENT_KEEPER_SUPERVISE_H

#include <stdbool.h>
#include <stdint.h>

#define SUPERVISE_BURST 40	   /* restarts at once before restarts are delayed */
#define SUPERVISE_REFILL_MS 1000   /* one more restart at once after this long */
#define SUPERVISE_DELAY_MIN_MS 100 /* after a start that never reported ready */
#define SUPERVISE_DELAY_MAX_MS 10000

struct supervise {
	uint32_t tokens;
	int64_t refilled_ms;
	uint32_t failed_starts; /* in a row, without ever serving */
};

void supervise_init(struct supervise *s, int64_t now_ms);
/*
 * The child has ended. `served` = it had reported that it is ready. Returns the delay before the
 * next start: 0 unless the child restarts in a loop, because a crash must not cost a request.
 */
int64_t supervise_delay_ms(struct supervise *s, bool served, int64_t now_ms);

#endif
