/*
 * HAProxy's end records. They end leases and feed the board and its ring of requests. A record may
 * come twice, late, or not at all.
 */
#ifndef RELAY_AGENT_EVENTS_H
#define RELAY_AGENT_EVENTS_H

#include "agent/agent.h"

#define EVENTS_BATCH 32
#define EVENTS_RECEIVE_BUFFER (16 << 20) /* bytes asked of the kernel */

struct events *events_new(struct agent *a);
void events_free(struct events *e);
/* Takes every record that has arrived. False: there was none. */
bool events_drain(struct events *e);

#endif
