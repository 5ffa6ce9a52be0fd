/*
 * session: the agent's side of one SPOP connection (SPOE.txt 3.2.3), without I/O, clock or
 * allocation. The caller reads bytes into its buffer of at least SPOE_READ_MAX and asks for events
 * until SPOE_MORE; it writes replies into its writer:
 *
 *	event		reply
 *	HELLO		spoe_session_hello(), in one piece; leave closing to the peer
 *	NOTIFY		an ACK (ack.h) each, also when there is no message in it
 *	DISCONNECT	spoe_session_disconnect(), then close
 *	SKIPPED		none: a frame of a type to ignore, or one that its sender aborted
 *	SPOE_BAD	spoe_session_disconnect(), then close
 */
#ifndef RELAY_SPOE_SESSION_H
#define RELAY_SPOE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/slice.h"
#include "spoe/ack.h"
#include "spoe/disconnect.h"
#include "spoe/frame.h"
#include "spoe/hello.h"
#include "spoe/notify.h"
#include "spoe/status.h"
#include "spoe/writer.h"

enum spoe_session_state {
	SPOE_SESSION_OPENING, /* HAPROXY-HELLO has not arrived */
	SPOE_SESSION_RUNNING,
	SPOE_SESSION_CLOSING, /* HAProxy sent DISCONNECT: everything after it is ignored */
	SPOE_SESSION_BROKEN,  /* a frame was refused: nothing else is read */
};

enum spoe_event_type {
	SPOE_EVENT_HELLO,
	SPOE_EVENT_NOTIFY,
	SPOE_EVENT_DISCONNECT,
	SPOE_EVENT_SKIPPED,
};

/* One decoded frame. Slices in it borrow from the caller's buffer. */
struct spoe_event {
	enum spoe_event_type type;
	uint8_t frame_type; /* the frame's own type byte, for counting */
	union {
		struct spoe_notify notify;
		struct spoe_disconnect disconnect;
	};
};

/* Caller's storage, read-only outside session.c, not to be moved. Owns no memory: has no fini. */
struct spoe_session {
	enum spoe_session_state state;
	enum spoe_status status; /* what to say in AGENT-DISCONNECT */
	size_t ack_max;
	size_t frame_max;	/* negotiated: the limit for frames of both sides */
	struct spoe_hello peer; /* from HELLO on; `engine_id` points to the copy below */
	char engine_id[SPOE_ENGINE_ID_MAX];
};

/* `ack_max`: the largest ACK in bytes that the caller builds (see spoe_hello_pipelining()). */
void spoe_session_init(struct spoe_session *session, size_t ack_max);

/*
 * Takes the next frame from the start of `in`.
 * SPOE_OK: one event; drop `*ret_consumed` bytes after its slices have been used, and ask again.
 * SPOE_MORE: no complete frame; `*ret_consumed` (0 but in state CLOSING) bytes can be dropped.
 * SPOE_BAD: the peer broke the protocol, `session->status` says how; so does every later call.
 */
enum spoe_answer spoe_session_next(struct spoe_session *session, struct slice in,
	size_t *ret_consumed, struct spoe_event *ret_event);

/* AGENT-HELLO for the HELLO just received. 0 or -ENOSPC. */
int spoe_session_hello(const struct spoe_session *session, struct spoe_writer *writer);

/*
 * AGENT-DISCONNECT with the session's own status: NORMAL after HAProxy's DISCONNECT, the reason
 * after SPOE_BAD. A caller with another reason uses spoe_disconnect_encode(). 0 or -ENOSPC.
 */
int spoe_session_disconnect(const struct spoe_session *session, struct spoe_writer *writer);

/* Opens an ACK to `notify` under the negotiated frame size. */
void spoe_session_ack(const struct spoe_session *session, struct spoe_ack *ack,
	struct spoe_writer *writer, const struct spoe_notify *notify);

#endif
