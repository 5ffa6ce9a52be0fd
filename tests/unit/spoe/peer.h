/*
 * peer: HAProxy's side of SPOP, for tests: builds the frames that HAProxy sends (and those it would
 * never send), and reads the frames of an agent as strictly as HAProxy 3.1 and later do.
 */
#ifndef RELAY_TESTS_UNIT_SPOE_PEER_H
#define RELAY_TESTS_UNIT_SPOE_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/slice.h"
#include "spoe/frame.h"
#include "spoe/value.h"
#include "spoe/writer.h"

enum {
	PEER_ACTIONS_MAX = 64,
	PEER_FRAME_MAX = 16380, /* HAProxy's default tune.bufsize less the length */
};

/* A HAPROXY-HELLO; a NULL text or a frame_max of 0 leaves its item out. */
struct peer_hello {
	const char *versions;
	uint32_t frame_max;
	const char *capabilities;
	const char *engine_id;
	bool healthcheck;
};

/* The HELLO of that HAProxy version with default options. */
extern const struct peer_hello peer_hello_2_6; /* pipelining, async */
extern const struct peer_hello peer_hello_3_2; /* pipelining */
extern const struct peer_hello peer_hello_check;

void peer_hello_write(struct spoe_writer *writer, const struct peer_hello *hello);
void peer_disconnect_write(struct spoe_writer *writer, uint32_t code, const char *message);

/* A NOTIFY: begin, then a head and its arguments for each message, then end. */
size_t peer_notify_begin(struct spoe_writer *writer, uint64_t stream_id, uint64_t frame_id);
void peer_message(struct spoe_writer *writer, const char *name, uint8_t args);
void peer_arg(struct spoe_writer *writer, const char *name, const struct spoe_value *value);
void peer_arg_str(struct spoe_writer *writer, const char *name, const char *text);
void peer_arg_int(struct spoe_writer *writer, const char *name, int64_t number);
void peer_arg_null(struct spoe_writer *writer, const char *name);
void peer_notify_end(struct spoe_writer *writer, size_t mark);

/* A frame with any head and any payload. */
void peer_frame_write(struct spoe_writer *writer, uint8_t type, uint32_t flags, uint64_t stream_id,
	uint64_t frame_id, struct slice payload);

/* One action of an ACK; `value` is NULL for unset-var. */
struct peer_action {
	uint8_t type;
	uint8_t scope;
	struct slice name;
	struct spoe_value value;
};

/* A frame of the agent. Slices borrow from the input; items that do not belong to the type are 0. */
struct peer_answer {
	uint8_t type;
	uint64_t stream_id;
	uint64_t frame_id;
	size_t size; /* bytes, length included */
	struct slice version;
	int64_t frame_max;
	struct slice capabilities;
	int64_t code;
	struct slice message;
	unsigned n_actions;
	struct peer_action actions[PEER_ACTIONS_MAX];
};

/*
 * Reads the agent's frame at the start of `in`. SPOE_MORE while it is incomplete, SPOE_BAD if HAProxy
 * would refuse it: flags other than FIN, ids in a HELLO or DISCONNECT, a missing item, an ACK
 * without actions, another type.
 */
enum spoe_answer peer_read(struct slice in, struct peer_answer *ret_answer);

/* The variable that the ACK sets under `name`, or NULL. */
const struct spoe_value *peer_variable(const struct peer_answer *answer, const char *name);

#endif
