/*
 * Publishing: the store's state as a snapshot in sealed memory, sent to the agent, acknowledged. Keys
 * go as a large base, rebuilt seldom, and a log of those changed since.
 */
#ifndef RELAY_ADMIN_PUBLISH_PUBLISH_H
#define RELAY_ADMIN_PUBLISH_PUBLISH_H

#include "common/channel.h"
#include "common/errtext.h"

#include <stdbool.h>
#include <stdint.h>

#define PUBLISH_LOG_MAX 4096 /* keys in the log before the base is built anew */
#define PUBLISH_ACK_MS 2000

struct control;
struct publish;

struct publish *publish_new(struct control *c);
void publish_free(struct publish *p);

/* Builds the snapshot of the store's present state and keeps it as the one to be sent. */
int publish_build(struct publish *p, struct errtext *e);
/*
 * Sends what was built unless the agent has it, and waits. 0 when the agent has acknowledged it;
 * -ETIMEDOUT, -EPIPE (no agent); -EBADMSG: it refused, with its words.
 */
int publish_send_and_wait(struct publish *p, int timeout_ms, struct errtext *e);
/* Sends without waiting; also after a new peer has come. */
void publish_send(struct publish *p);
/* The other end is a new agent, on this channel (owned by publish from now on). */
void publish_set_peer(struct publish *p, int fd);
/* Reads what the agent has said. */
void publish_receive(struct publish *p);

int publish_fd(const struct publish *p); /* -1 = no agent */
/* Differs whenever the channel is another one, though its descriptor may have the same number. */
uint32_t publish_peer_number(const struct publish *p);
uint64_t publish_version(const struct publish *p);	/* built last; 0 = none */
uint64_t publish_acknowledged(const struct publish *p); /* 0 = none */

#endif
