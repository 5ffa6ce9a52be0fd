/*
 * status: the status codes of DISCONNECT frames, with their texts (SPOE.txt 3.5).
 */
#ifndef RELAY_SPOE_STATUS_H
#define RELAY_SPOE_STATUS_H

#include <stdint.h>

/* X(NAME, code, text): one row per known status. */
#define SPOE_STATUSES(X)                                                                           \
	X(NORMAL, 0, "normal")                                                                     \
	X(IO, 1, "I/O error")                                                                      \
	X(TIMEOUT, 2, "a timeout occurred")                                                        \
	X(TOO_BIG, 3, "frame is too big")                                                          \
	X(INVALID, 4, "invalid frame received")                                                    \
	X(NO_VERSION, 5, "version value not found")                                                \
	X(NO_FRAME_SIZE, 6, "max-frame-size value not found")                                      \
	X(NO_CAPABILITIES, 7, "capabilities value not found")                                      \
	X(BAD_VERSION, 8, "unsupported version")                                                   \
	X(BAD_FRAME_SIZE, 9, "max-frame-size too big or too small")                                \
	X(FRAGMENTED, 10, "payload fragmentation is not supported")                                \
	X(INTERLACED, 11, "invalid interlaced frames")                                             \
	X(NO_FRAME_ID, 12, "frame-id not found")                                                   \
	X(RESOURCE, 13, "resource allocation error")                                               \
	X(UNKNOWN, 99, "an unknown error occurred")

enum spoe_status {
#define SPOE_STATUS_ENUM(name, code, text) SPOE_STATUS_##name = code,
	SPOE_STATUSES(SPOE_STATUS_ENUM)
#undef SPOE_STATUS_ENUM
};

/* The text of a code; that of UNKNOWN for a code without a row. A constant, never NULL. */
const char *spoe_status_text(uint32_t code);

#endif
