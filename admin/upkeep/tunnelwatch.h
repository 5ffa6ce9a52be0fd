/*
 * WebSockets in progress. A request is checked once, and a WebSocket may live for hours: so control looks every
 * second whose they are, and ends those that the relay would refuse now. It also ends those of which one side has
 * closed (haproxy/tunnels.h). Without a WebSocket and without an upstream that takes one it asks HAProxy nothing.
 */
#ifndef RELAY_ADMIN_UPKEEP_TUNNELWATCH_H
#define RELAY_ADMIN_UPKEEP_TUNNELWATCH_H

#include "admin/publish/offload.h"
#include "common/buffer.h"
#include "common/config.h"

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

struct control;

/* Why the relay has ended one. */
enum tunnelwatch_reason {
	TUNNELWATCH_KEY,    /* revoked, expired or deleted */
	TUNNELWATCH_TENANT, /* disabled or deleted */
	TUNNELWATCH_BAN,
	TUNNELWATCH_HALF_CLOSED,
	TUNNELWATCH_REASON_COUNT,
};

struct tunnelwatch {
	struct offload_job job; /* first: a reading or an ending in progress, which has copies */
	struct config config;
	struct buffer tunnels; /* what the reading found */
	struct buffer half;
	bool looks; /* for half-closed ones */
	int error;
	struct buffer ends; /* struct tunnel_stream: to be ended */
	struct control *control;
	ev_timer timer;
	bool was_read;	       /* once */
	int64_t looked_ms;     /* monotonic */
	struct buffer before;  /* the half-closed ones of the last look */
	uint32_t after_key;    /* the next reading goes on behind this key; 0 = from the first */
	struct buffer bans;    /* struct snapshot_ban, in order, ... */
	uint64_t bans_version; /* ... of this version of the store, ... */
	bool has_bans;	       /* ... if they were read */
	uint32_t open;
	uint64_t counts[TUNNELWATCH_REASON_COUNT];
};

void tunnelwatch_start(struct tunnelwatch *w, struct control *c);
/* After the offload has ended. */
void tunnelwatch_stop(struct tunnelwatch *w);

/* From `tunnels` and `half` to `ends`; also for tests. */
void tunnelwatch_judge(struct tunnelwatch *w);

/* As of the last reading; `w` may be NULL (tests): 0. */
uint32_t tunnelwatch_open(const struct tunnelwatch *w);
uint64_t tunnelwatch_ended(const struct tunnelwatch *w, enum tunnelwatch_reason reason);
const char *tunnelwatch_reason_name(enum tunnelwatch_reason reason);

#endif
