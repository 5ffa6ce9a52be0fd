/*
 * What an end record does (SEAM.md "End records"). The client's own stream closes the lease and stands in
 * the history; the stream that a server answered judges the account. Both are the same stream unless a
 * request was tried again.
 */
#ifndef RELAY_AGENT_ENDING_H
#define RELAY_AGENT_ENDING_H

#include "agent/agent.h"
#include "common/record.h"

void ending_take(struct agent *a, const struct record *r);

#endif
