#include "spoe/session.h"

void spoe_session_init(struct spoe_session *session, size_t ack_max)
{
	*session = (struct spoe_session){
		.state = SPOE_SESSION_OPENING,
		.status = SPOE_STATUS_NORMAL,
		.ack_max = ack_max,
		.frame_max = SPOE_FRAME_MAX,
	};
}

/* The event's engine-id borrows from a buffer that the caller will reuse: keep a copy. */
static void peer_set(struct spoe_session *session, const struct spoe_hello *hello)
{
	session->peer = *hello;
	if (hello->engine_id.n > 0)
		memcpy(session->engine_id, hello->engine_id.p, hello->engine_id.n);
	session->peer.engine_id = (struct slice){session->engine_id, hello->engine_id.n};
}

/* SPOE.txt 3.2.4 and 3.2.8: frames about the connection carry no ids. */
static bool has_ids(const struct spoe_frame *frame)
{
	return frame->stream_id != 0 || frame->frame_id != 0;
}

static enum spoe_status on_hello(
	struct spoe_session *session, const struct spoe_frame *frame, struct spoe_event *event)
{
	enum spoe_status status;
	struct spoe_hello hello;

	if (session->state != SPOE_SESSION_OPENING || has_ids(frame) ||
		frame->flags & SPOE_FLAG_ABORT)
		return SPOE_STATUS_INVALID;
	status = spoe_hello_decode(frame->payload, &hello);
	if (status != SPOE_STATUS_NORMAL)
		return status;
	if (frame->size > SPOE_LENGTH_SIZE + (size_t)hello.frame_max)
		return SPOE_STATUS_TOO_BIG;
	peer_set(session, &hello);
	session->frame_max = spoe_hello_frame_max(&hello);
	session->state = SPOE_SESSION_RUNNING;
	event->type = SPOE_EVENT_HELLO;
	return SPOE_STATUS_NORMAL;
}

static enum spoe_status on_notify(
	struct spoe_session *session, const struct spoe_frame *frame, struct spoe_event *event)
{
	if (session->state != SPOE_SESSION_RUNNING || session->peer.healthcheck)
		return SPOE_STATUS_INVALID;
	if (frame->flags & SPOE_FLAG_ABORT) {
		event->type = SPOE_EVENT_SKIPPED;
		return SPOE_STATUS_NORMAL;
	}
	event->type = SPOE_EVENT_NOTIFY;
	return spoe_notify_decode(frame, &event->notify);
}

static enum spoe_status on_disconnect(
	struct spoe_session *session, const struct spoe_frame *frame, struct spoe_event *event)
{
	enum spoe_status status;

	if (has_ids(frame))
		return SPOE_STATUS_INVALID;
	status = spoe_disconnect_decode(frame->payload, &event->disconnect);
	if (status != SPOE_STATUS_NORMAL)
		return status;
	session->state = SPOE_SESSION_CLOSING;
	event->type = SPOE_EVENT_DISCONNECT;
	return SPOE_STATUS_NORMAL;
}

/* SPOE.txt 3.2.2 leaves it to us: skipped, but not as the first frame of a connection. */
static enum spoe_status on_unknown(struct spoe_session *session, struct spoe_event *event)
{
	if (session->state != SPOE_SESSION_RUNNING)
		return SPOE_STATUS_INVALID;
	event->type = SPOE_EVENT_SKIPPED;
	return SPOE_STATUS_NORMAL;
}

static enum spoe_status on_frame(
	struct spoe_session *session, const struct spoe_frame *frame, struct spoe_event *event)
{
	event->frame_type = frame->type;
	/* UNSET continues what a frame without FIN began. */
	if (!(frame->flags & SPOE_FLAG_FIN) || frame->type == SPOE_FRAME_UNSET)
		return SPOE_STATUS_FRAGMENTED;
	switch (frame->type) {
	case SPOE_FRAME_NOTIFY:
		return on_notify(session, frame, event);
	case SPOE_FRAME_HAPROXY_HELLO:
		return on_hello(session, frame, event);
	case SPOE_FRAME_HAPROXY_DISCONNECT:
		return on_disconnect(session, frame, event);
	case SPOE_FRAME_AGENT_HELLO:
	case SPOE_FRAME_AGENT_DISCONNECT:
	case SPOE_FRAME_ACK:
		return SPOE_STATUS_INVALID;
	}
	return on_unknown(session, event);
}

static enum spoe_answer refuse(struct spoe_session *session, enum spoe_status status)
{
	session->state = SPOE_SESSION_BROKEN;
	session->status = status;
	return SPOE_BAD;
}

enum spoe_answer spoe_session_next(struct spoe_session *session, struct slice in,
	size_t *ret_consumed, struct spoe_event *ret_event)
{
	enum spoe_answer answer;
	enum spoe_status status;
	struct spoe_event event;
	struct spoe_frame frame;

	*ret_consumed = session->state == SPOE_SESSION_CLOSING ? in.n : 0;
	if (session->state == SPOE_SESSION_CLOSING)
		return SPOE_MORE;
	if (session->state == SPOE_SESSION_BROKEN)
		return SPOE_BAD;
	answer = spoe_frame_decode(in, session->frame_max, &frame, &status);
	if (answer == SPOE_MORE)
		return SPOE_MORE;
	if (answer == SPOE_OK)
		status = on_frame(session, &frame, &event);
	if (status != SPOE_STATUS_NORMAL)
		return refuse(session, status);
	*ret_consumed = frame.size;
	*ret_event = event;
	return SPOE_OK;
}

int spoe_session_hello(const struct spoe_session *session, struct spoe_writer *writer)
{
	return spoe_hello_encode(writer, &session->peer, session->ack_max);
}

int spoe_session_disconnect(const struct spoe_session *session, struct spoe_writer *writer)
{
	return spoe_disconnect_encode(writer, session->status, (struct slice){0});
}

void spoe_session_ack(const struct spoe_session *session, struct spoe_ack *ack,
	struct spoe_writer *writer, const struct spoe_notify *notify)
{
	spoe_ack_begin(ack, writer, session->frame_max, notify->stream_id, notify->frame_id);
}
