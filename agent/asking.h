/* The messages of HAProxy: which ones the agent knows, how they are read, and who answers them. */
#ifndef RELAY_AGENT_ASKING_H
#define RELAY_AGENT_ASKING_H

#include "agent/agent.h"
#include "agent/question.h"
#include "spoe/ack.h"

bool asking_is_known(struct slice name);
/* Reads the arguments of a message; `frame_max` is the peer's largest frame. */
void asking_read(const struct agent *a, struct slice name, struct spoe_notify_walk *walk,
	size_t frame_max, struct question *ret);
/* False: the request waits, and `seat` is where its answer goes later. */
bool asking_answer(struct agent *a, struct slice name, const struct question *q,
	const struct room_seat *seat, struct spoe_ack *ack);

#endif
