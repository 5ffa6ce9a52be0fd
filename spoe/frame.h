/*
 * frame: SPOP's envelope (SPOE.txt 3.2): 4 bytes of length, type, flags, stream-id, frame-id,
 * payload. Finds the next frame in a stream of bytes, and opens and closes frames in a writer.
 */
#ifndef RELAY_SPOE_FRAME_H
#define RELAY_SPOE_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "common/slice.h"
#include "spoe/status.h"
#include "spoe/writer.h"

enum {
	SPOE_FRAME_MAX = 65532, /* our own max-frame-size: bytes after the length (SPOE.txt 3.2) */
	SPOE_FRAME_MIN = 256,	/* the least that a peer may announce (SPOE.txt 3.2) */
	SPOE_LENGTH_SIZE = 4,
	SPOE_HEADER_MIN = 7,				   /* type, flags and two ids of one byte */
	SPOE_READ_MAX = SPOE_LENGTH_SIZE + SPOE_FRAME_MAX, /* a read buffer that holds any frame */
};

enum {
	SPOE_FLAG_FIN = 1,
	SPOE_FLAG_ABORT = 2,
};

/* Results of parsers of a byte stream. */
enum spoe_answer {
	SPOE_OK = 0,
	SPOE_MORE = 1,
	SPOE_BAD = -1,
};

/* SPOE.txt 3.2.2; UNSET continued a fragmented frame. */
enum spoe_frame_type {
	SPOE_FRAME_UNSET = 0,
	SPOE_FRAME_HAPROXY_HELLO = 1,
	SPOE_FRAME_HAPROXY_DISCONNECT = 2,
	SPOE_FRAME_NOTIFY = 3,
	SPOE_FRAME_AGENT_HELLO = 101,
	SPOE_FRAME_AGENT_DISCONNECT = 102,
	SPOE_FRAME_ACK = 103,
};

/* A frame in the caller's buffer; `payload` borrows from it. */
struct spoe_frame {
	uint8_t type; /* as received: may be none of enum spoe_frame_type */
	uint32_t flags;
	uint64_t stream_id;
	uint64_t frame_id;
	struct slice payload;
	size_t size; /* bytes in the stream, length included */
};

/*
 * Takes the frame at the start of `in`. SPOE_MORE while it is incomplete; SPOE_BAD with a status as
 * soon as the length alone is unacceptable: above `frame_max` is TOO_BIG; less than a header,
 * zero included, is INVALID, as is a header that does not parse.
 */
enum spoe_answer spoe_frame_decode(struct slice in, size_t frame_max, struct spoe_frame *ret_frame,
	enum spoe_status *ret_status);

/* Writes the head of a frame, flags exactly FIN. Returns the mark for spoe_frame_end(). */
size_t spoe_frame_begin(struct spoe_writer *writer, enum spoe_frame_type type, uint64_t stream_id,
	uint64_t frame_id);

/*
 * Sets the length of the frame that began at `mark`. 0; -EMSGSIZE if it is above `frame_max`; -ENOSPC
 * if the buffer has no room, which never happens with an empty buffer of SPOE_LENGTH_SIZE +
 * `frame_max` bytes. On error the writer is back at `mark`.
 */
int spoe_frame_end(struct spoe_writer *writer, size_t mark, size_t frame_max);

#endif
