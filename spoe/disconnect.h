/*
 * disconnect: the frames that end a connection (SPOE.txt 3.2.8 and 3.2.9). Decodes
 * HAPROXY-DISCONNECT, encodes AGENT-DISCONNECT.
 */
#ifndef RELAY_SPOE_DISCONNECT_H
#define RELAY_SPOE_DISCONNECT_H

#include <stdint.h>

#include "common/slice.h"
#include "spoe/frame.h"
#include "spoe/status.h"
#include "spoe/writer.h"

enum {
	SPOE_REASON_MAX = 255,	    /* bytes in a message that we accept, as HAProxy does */
	SPOE_REASON_SENT_MAX = 200, /* bytes in ours: so it fits in a frame of SPOE_FRAME_MIN */
};

/* What HAProxy said. `message` borrows from the frame and is the peer's text: escape it. */
struct spoe_disconnect {
	uint32_t code; /* enum spoe_status, or the peer's own number */
	struct slice message;
};

/*
 * Reads the K/V list. SPOE_STATUS_NORMAL, or INVALID for a cut list or an item of a wrong type or
 * size. A missing item is not an error: it reads as UNKNOWN or as an empty message.
 */
enum spoe_status spoe_disconnect_decode(
	struct slice payload, struct spoe_disconnect *ret_disconnect);

/*
 * Writes an AGENT-DISCONNECT frame with `message`, cut to SPOE_REASON_SENT_MAX, or with the code's
 * text if that is empty. `code` is an enum spoe_status, or a number that it does not assign
 * (SPOE.txt 3.5 allows private numbers). 0 or -ENOSPC. The caller closes once it is sent.
 */
int spoe_disconnect_encode(struct spoe_writer *writer, uint32_t code, struct slice message);

#endif
