/*
 * The agent's time: Unix time, and what happens when the wall clock is set. Every stored end moves with
 * the clock (common/step.h), so that nothing is out for longer or shorter than before. Limit windows
 * stay those of the calendar.
 */
#ifndef RELAY_AGENT_TIMEKEEPER_H
#define RELAY_AGENT_TIMEKEEPER_H

#include "agent/agent.h"

/* After the tables were opened: what happened to the clock since the last agent. */
void timekeeper_start(struct agent *a);
/* Unix time in milliseconds, after all tables have followed a step of the clock. */
int64_t timekeeper_now(struct agent *a);
/* Once a second. */
void timekeeper_tick(struct agent *a);

/* A time that HAProxy keeps meanwhile: in boot time, so that steps do not change it. */
static inline int64_t timekeeper_to_boot(const struct agent *a, int64_t unix_ms)
{
	return unix_ms - a->steps.offset_ms;
}

static inline int64_t timekeeper_from_boot(const struct agent *a, int64_t boot_ms)
{
	return boot_ms + a->steps.offset_ms;
}

#endif
