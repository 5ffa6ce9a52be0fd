/*
 * Peers: HAProxy's connections to the agent. One read and one gathered write per wake-up: all
 * frames of a read are answered together. Buffers are shared; a connection has one only for an
 * incomplete frame or an unsent answer, so that a thousand idle connections need little memory.
 */
#ifndef RELAY_AGENT_PEER_H
#define RELAY_AGENT_PEER_H

#include "agent/agent.h"

struct peer;
struct spoe_ack;

#define PEERS_MAX 4096 /* connections */
/*
 * Of an engine that sends many questions on one connection, which is a thread of HAProxy 2.6 to 3.0. As
 * long as more questions are in progress than it sends in a second, it opens a connection for each.
 */
#define PEERS_PER_ENGINE 128
#define PEER_HELLO_MS 5000     /* from connect to HELLO; over TCP to the secret */
#define PEER_STALL_MS 10000    /* while an answer is unsent */
#define PEER_LINGER_MS 1000    /* from the last byte sent to the close */
#define PEER_READ_SIZE 65536   /* one read */
#define PEER_WRITE_SIZE 262144 /* most unsent bytes of a connection */
#define PEER_ACCEPTS_PER_WAKE 64
#define PEER_LAST_READS 64 /* of a connection, when another agent follows */
#define PEER_LEAVE_STEPS 32

/*
 * NULL when out of memory. Accepts on every SPOP listener of `a->start`: without a snapshot only after
 * peers_accept(), or when questions would not wait any longer.
 */
struct peers *peers_new(struct agent *a);
void peers_accept(struct peers *p);
void peers_free(struct peers *p);
/* Late answers, to questions that waited. */
typedef void peer_write_fn(void *context, struct spoe_ack *ack);
/* Whether it can take an answer now: not while another one is unsent. */
bool peer_can_answer(const struct peer *c);
/* A connection that turns out to be closed is freed by its next event. */
void peer_answer(
	struct peer *c, uint64_t stream_id, uint64_t frame_id, peer_write_fn *write, void *context);
/*
 * Another agent follows: accepts no more, and closes some connections, those with waiting questions never. In
 * PEER_LEAVE_STEPS calls a moment apart all are closed, so HAProxy meets few at a time that have ended. What has
 * arrived on a connection is answered before. False: none is left to close.
 */
bool peers_leave(struct peers *p);

#endif
