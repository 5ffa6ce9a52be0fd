/*
 * Peers: HAProxy's connections to the agent. One read and one gathered write per wake-up: all frames
 * that a read brought are answered together. Buffers are shared; a connection owns one only while
 * half a frame or an unsent answer waits in it, so that a thousand idle ones cost next to nothing.
 */
#ifndef RELAY_AGENT_PEER_H
#define RELAY_AGENT_PEER_H

#include "agent/agent.h"

struct peer;
struct spoe_ack;

#define PEERS_MAX 4096	       /* connections */
#define PEER_HELLO_MS 5000     /* from connect to HELLO */
#define PEER_STALL_MS 10000    /* an answer that is not read */
#define PEER_LINGER_MS 1000    /* from our last word to the close */
#define PEER_READ_SIZE 65536   /* one read */
#define PEER_WRITE_SIZE 262144 /* unsent answers of one connection at most */
#define PEER_ACCEPTS_PER_WAKE 64

/* NULL when out of memory. Listens on every SPOP listener of `a->start`. */
struct peers *peers_new(struct agent *a);
void peers_free(struct peers *p);
/* Late answers: to a frame that was held. */
typedef void peer_write_fn(void *context, struct spoe_ack *ack);
/* Whether it takes an answer now; one whose last answer is unsent does not. */
bool peer_can_answer(const struct peer *c);
/* A connection that turns out to be gone is closed by its own next event. */
void peer_answer(
	struct peer *c, uint64_t stream_id, uint64_t frame_id, peer_write_fn *write, void *context);
/* Connections now open. */
uint32_t peers_count(const struct peers *p);

#endif
