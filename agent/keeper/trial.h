/* What a program checks before it takes over from a running keeper (successor.h). */
#ifndef RELAY_AGENT_KEEPER_TRIAL_H
#define RELAY_AGENT_KEEPER_TRIAL_H

#include "common/config.h"

/*
 * Exit code of a trial whose program takes the board and a snapshot over. One that succeeds without is of another
 * format, or knows no handovers.
 */
#define TRIAL_TAKES_ALL 10

/*
 * Takes what a keeper has passed, opens what that did not have, and closes all again. The exit code, with the reason
 * on stderr if it is 1. 0 if no keeper asks.
 */
int trial_run(const struct config *c);

#endif
