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
	SPOE_REASON_MAX = 255, /* bytes in a message: HAProxy refuses longer ones */
};

/* What HAProxy said. `message` borrows from the frame and is the peer's text: escape it. */
struct spoe_disconnect {
	uint32_t code; /* enum spoe_status, or the peer's own number */
	struct slice message;
};

/*
 * Reads the K/V list. SPOE_STATUS_NORMAL, or INVALID for a cut list or an item of a wrong type or
 * size. A missing item is no reason to refuse a goodbye: UNKNOWN and an empty message take its
 * place.
 */
enum spoe_status spoe_disconnect_decode(
	struct slice payload, struct spoe_disconnect *ret_disconnect);

/*
 * Writes an AGENT-DISCONNECT frame with the code's own text, or `message` when it is not empty,
 * cut to SPOE_REASON_MAX. 0 or -ENOSPC. The caller closes once it is sent.
 */
int spoe_disconnect_encode(
	struct spoe_writer *writer, enum spoe_status status, struct slice message);

#endif
