/*
 * hello: the handshake's frames (SPOE.txt 3.2.4 and 3.2.5). Decodes HAPROXY-HELLO, settles version,
 * frame size and capabilities, encodes AGENT-HELLO.
 */
#ifndef RELAY_SPOE_HELLO_H
#define RELAY_SPOE_HELLO_H

#include <stdbool.h>
#include <stdint.h>

#include "common/slice.h"
#include "spoe/frame.h"
#include "spoe/status.h"
#include "spoe/writer.h"

#define SPOE_VERSION "2.0"

enum {
	SPOE_ENGINE_ID_MAX = 128, /* bytes; HAProxy sends a UUID of 36 */
	SPOE_STREAMS_MAX = 20,	  /* NOTIFYs in flight per connection in HAProxy 3.1 and later */
};

enum {
	SPOE_CAP_PIPELINING = 1,
	SPOE_CAP_ASYNC = 2,
	SPOE_CAP_FRAGMENTATION = 4,
};

/* What HAProxy said. `engine_id` borrows from the frame; empty when there was none. */
struct spoe_hello {
	uint32_t frame_max;    /* announced max-frame-size, bytes, at least SPOE_FRAME_MIN */
	unsigned capabilities; /* SPOE_CAP_ bits; unknown names are ignored */
	bool healthcheck;
	struct slice engine_id;
};

/*
 * Reads the K/V list of a HAPROXY-HELLO. SPOE_STATUS_NORMAL, or why to refuse: a mandatory item
 * missing (NO_VERSION, NO_FRAME_SIZE, NO_CAPABILITIES, in this order), no version 2.x
 * (BAD_VERSION), max-frame-size below 256 (BAD_FRAME_SIZE), and INVALID for a cut list, an item
 * twice, an item of a wrong type, an engine-id above SPOE_ENGINE_ID_MAX. Unknown items are skipped.
 */
enum spoe_status spoe_hello_decode(struct slice payload, struct spoe_hello *ret_hello);

/* The frame size for both sides: the smaller of the peer's and SPOE_FRAME_MAX. */
uint32_t spoe_hello_frame_max(const struct spoe_hello *hello);

/*
 * Whether to announce `pipelining`: the peer offers it, and either offers `async` too (2.6 to 3.0,
 * where it is always safe) or SPOE_STREAMS_MAX ACKs of `ack_max` bytes fit in its announced frame
 * size, since 3.1 and later stall when the ACKs in flight exceed one buffer.
 */
bool spoe_hello_pipelining(const struct spoe_hello *hello, size_t ack_max);

/*
 * Writes the AGENT-HELLO frame that answers `hello`: version, max-frame-size and capabilities,
 * always all three; `async` and `fragmentation` are never announced. 0 or -ENOSPC.
 */
int spoe_hello_encode(struct spoe_writer *writer, const struct spoe_hello *hello, size_t ack_max);

#endif
