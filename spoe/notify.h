/*
 * notify: a NOTIFY frame's list of messages (SPOE.txt 3.2.6), walked without copying.
 *
 * spoe_notify_decode() checks the whole list once, so that walking it afterwards cannot fail. All
 * slices borrow from the frame.
 *
 *	spoe_notify_begin(&notify, &walk);
 *	while (spoe_notify_next_message(&walk, &message))
 *		while (spoe_notify_next_arg(&walk, &arg))
 *			...
 */
#ifndef RELAY_SPOE_NOTIFY_H
#define RELAY_SPOE_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/slice.h"
#include "spoe/frame.h"
#include "spoe/reader.h"
#include "spoe/status.h"
#include "spoe/value.h"

enum {
	SPOE_MESSAGES_MAX = 32, /* messages per frame */
	SPOE_ARGS_MAX = 64,	/* arguments per message */
	SPOE_NAME_MAX = 128,	/* bytes in a message's or an argument's name */
};

struct spoe_notify {
	uint64_t stream_id; /* 0 is a valid one: HAProxy up to 3.0 counts from it */
	uint64_t frame_id;
	unsigned messages;    /* may be 0; still wants an ACK */
	struct slice payload; /* completely checked */
};

struct spoe_message {
	struct slice name; /* 1 to SPOE_NAME_MAX bytes */
	unsigned args;	   /* 0 to SPOE_ARGS_MAX */
};

struct spoe_arg {
	struct slice name; /* 0 to SPOE_NAME_MAX bytes: HAProxy's `args` need no names */
	struct spoe_value value;
};

struct spoe_notify_walk {
	struct spoe_reader reader;
	unsigned args_left; /* of the current message */
};

/* SPOE_STATUS_NORMAL, or INVALID for a malformed list or one above a limit named above. */
enum spoe_status spoe_notify_decode(const struct spoe_frame *frame, struct spoe_notify *ret_notify);

/* Starts a walk; any number of walks over the same frame are independent. */
void spoe_notify_begin(const struct spoe_notify *notify, struct spoe_notify_walk *ret_walk);

/* The next message, after skipping the rest of the current one; false if there is none. */
bool spoe_notify_next_message(struct spoe_notify_walk *walk, struct spoe_message *ret_message);

/* The next argument of the current message; false when there is none. */
bool spoe_notify_next_arg(struct spoe_notify_walk *walk, struct spoe_arg *ret_arg);

#endif
