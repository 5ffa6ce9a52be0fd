/*
 * Healing: every second, control reads HAProxy's gauge of requests in progress and sends it to the
 * agent. The agent gives back the slots of requests that HAProxy no longer has (agent/healer.h).
 * Without HAProxy's sockets, or while they do not answer, healing pauses.
 */
#ifndef RELAY_ADMIN_UPKEEP_HEALING_H
#define RELAY_ADMIN_UPKEEP_HEALING_H

#include "admin/publish/offload.h"
#include "common/buffer.h"
#include "common/config.h"
#include "common/errtext.h"

#include <ev.h>
#include <stdint.h>

struct control;

/* All zero: not started. Its job may outlive a reading, but not the control's `asker`. */
struct healing {
	struct offload_job job;
	struct config config; /* the job's copy */
	struct buffer gauge;  /* its result */
	struct errtext why;
	int error;
	struct control *control;
	ev_timer timer;
	double pause_s;	   /* until the next reading; longer after failures */
	uint32_t failures; /* in a row */
	uint32_t hurries;  /* readings that must not wait, until one succeeds; 0 = they may */
	uint32_t tries;	   /* `hurries`, when the reading under way began */
};

/* Reads soon: the agent does not know a process that asks. */
void healing_hurry(struct healing *h);
void healing_start(struct healing *h, struct control *c);

#endif
