/*
 * The clock of this machine, as control sees it. After a step the bans of the store move with it
 * (common/step.h), and a notice tells of it. What was known of the time is in the settings, so that the
 * next control process sees a step that happened meanwhile. One step may count in the agent and here.
 */
#ifndef RELAY_ADMIN_UPKEEP_CLOCKWATCH_H
#define RELAY_ADMIN_UPKEEP_CLOCKWATCH_H

#include <stdint.h>

struct control;

/* After the store was opened. Errors are logged. */
void clockwatch_start(struct control *c);
/* Once a second. Errors are logged. */
void clockwatch_poll(struct control *c);

/* Steps that the agent or control has seen; the greater number, since both see the same ones. */
uint64_t clockwatch_steps(const struct control *c);
/* The last one: its size in milliseconds, and the Unix time after it; 0 = none. */
int64_t clockwatch_last(const struct control *c, int64_t *ret_at_ms);

#endif
