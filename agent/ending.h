/*
 * The effect of an end record (docs/PROTOCOL.md, "End records"). The record of the client's stream
 * ends the lease and goes into the history. The record of the stream that a server answered judges
 * the account. Without a further attempt both are the same stream.
 */
#ifndef RELAY_AGENT_ENDING_H
#define RELAY_AGENT_ENDING_H

#include "agent/agent.h"
#include "common/record.h"

void ending_take(struct agent *a, const struct record *r);
/* Of RECORD_EARLY: only counts what HAProxy answered. */
void ending_count_early(struct agent *a, const struct record *r);
/*
 * A record whose sender is gone before anybody saw it: it ends the request in progress that it names, whose
 * id nobody can guess, and is believed nothing else. False: there is no such request.
 */
bool ending_take_unproven(struct agent *a, const struct record *r);

#endif
