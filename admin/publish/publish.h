/*
 * Publishing: the store's state is built as a snapshot in sealed memory and sent to the agent, which
 * acknowledges it. Keys are sent as a large base, which is made seldom, and a log of the keys that changed
 * since (keybase.h). change.h decides when.
 */
#ifndef RELAY_ADMIN_PUBLISH_PUBLISH_H
#define RELAY_ADMIN_PUBLISH_PUBLISH_H

#include "common/channel.h"
#include "common/errtext.h"

#include <stdbool.h>
#include <stdint.h>

#define PUBLISH_LATE_MS 2000 /* an agent takes a snapshot within milliseconds */

struct control;
struct publish;

struct publish *publish_new(struct control *c);
void publish_free(struct publish *p);

/* Builds the snapshot of the store's present state; publish_send() sends it. */
int publish_build(struct publish *p, struct errtext *e);
/* Sends the built snapshot unless this agent got it already. Call it again for a new peer. */
void publish_send(struct publish *p);
/* The other end is a new agent, on this channel (owned by publish from now on). */
void publish_set_peer(struct publish *p, int fd);
/*
 * This version has crashed the agent, which has returned to the one before. No agent gets it again, and a
 * notice tells the operator; the next version that an agent accepts ends both.
 */
void publish_give_up(struct publish *p, uint64_t version);
/* Reads the agent's answers. True: it wants a reading of HAProxy's gauge. */
bool publish_receive(struct publish *p);

/* Whether publish_merge() has work: the log of keys is long. */
bool publish_wants_merge(const struct publish *p);
/* A short step towards a new base of keys; to be called while nothing else is to be done. */
void publish_merge(struct publish *p);

int publish_fd(const struct publish *p); /* -1 = no agent */
/* Changes with each new channel, even if the descriptor's number stays. */
uint32_t publish_peer_number(const struct publish *p);
uint64_t publish_version(const struct publish *p);	/* built last; 0 = none */
uint64_t publish_acknowledged(const struct publish *p); /* 0 = none */
/* The agent lacks the version built last: it did not take it, or has not answered for PUBLISH_LATE_MS. */
bool publish_is_late(const struct publish *p);
/* The agent's reason to refuse this version; NULL = it has not refused it. */
const char *publish_refusal(const struct publish *p, uint64_t version);

#endif
