/*
 * ack: builds an ACK frame, that is its list of actions (SPOE.txt 3.2.7 and 3.4), in a writer.
 *
 *	spoe_ack_begin(&ack, &writer, frame_max, notify.stream_id, notify.frame_id);
 *	spoe_ack_set_str(&ack, SPOE_SCOPE_TXN, SLICE_LITERAL("action"), SLICE_LITERAL("allow"));
 *	r = spoe_ack_end(&ack);
 *
 * spoe_ack_end() reports all errors and removes a frame that failed: the buffer never holds half an ACK.
 * HAProxy 3.1 stalls on an ACK without an action, so spoe_ack_end() adds a harmless one.
 */
#ifndef RELAY_SPOE_ACK_H
#define RELAY_SPOE_ACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/slice.h"
#include "spoe/value.h"
#include "spoe/writer.h"

enum {
	/* bytes; HAProxy's "scope.prefix.name" must stay below 60, this leaves 5 for the prefix */
	SPOE_VAR_NAME_MAX = 48,
};

/* The wire's own numbers (SPOE.txt 3.4). */
enum spoe_scope {
	SPOE_SCOPE_PROC = 0,
	SPOE_SCOPE_SESS = 1,
	SPOE_SCOPE_TXN = 2,
	SPOE_SCOPE_REQ = 3,
	SPOE_SCOPE_RES = 4,
};

/* Caller's storage, opaque; valid from begin to end. The writer must outlive it. */
struct spoe_ack {
	struct spoe_writer *writer;
	size_t mark;
	size_t frame_max;
	unsigned actions;
	bool bad_name;
};

/* Opens an ACK that may take up to `frame_max` bytes, the negotiated size. Ids as in the NOTIFY. */
void spoe_ack_begin(struct spoe_ack *ack, struct spoe_writer *writer, size_t frame_max,
	uint64_t stream_id, uint64_t frame_id);

/* set-var and unset-var; `name` without scope and prefix, 1 to SPOE_VAR_NAME_MAX bytes. */
void spoe_ack_set(struct spoe_ack *ack, enum spoe_scope scope, struct slice name,
	const struct spoe_value *value);
void spoe_ack_set_str(
	struct spoe_ack *ack, enum spoe_scope scope, struct slice name, struct slice value);
void spoe_ack_set_int(
	struct spoe_ack *ack, enum spoe_scope scope, struct slice name, int64_t value);
void spoe_ack_set_bool(struct spoe_ack *ack, enum spoe_scope scope, struct slice name, bool value);
void spoe_ack_unset(struct spoe_ack *ack, enum spoe_scope scope, struct slice name);

/*
 * Closes the frame. 0; -ENOSPC if the buffer has no room (send it, then build again); -EMSGSIZE if
 * the frame is above `frame_max`; -EINVAL if a name was empty or too long. On error the writer is as
 * it was before begin.
 */
int spoe_ack_end(struct spoe_ack *ack);

#endif
