/*
 * value: SPOP's typed data (SPOE.txt 3.1), the value of every argument, variable and K/V item.
 *
 * A decoded value borrows: `bytes` points into the frame it came from.
 */
#ifndef RELAY_SPOE_VALUE_H
#define RELAY_SPOE_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/slice.h"
#include "spoe/reader.h"
#include "spoe/writer.h"

/* The wire's own numbers. 10 to 15 are reserved and refused: their length is unknown. */
enum spoe_type {
	SPOE_TYPE_NULL = 0,
	SPOE_TYPE_BOOL = 1,
	SPOE_TYPE_INT32 = 2,
	SPOE_TYPE_UINT32 = 3,
	SPOE_TYPE_INT64 = 4,
	SPOE_TYPE_UINT64 = 5,
	SPOE_TYPE_IPV4 = 6,
	SPOE_TYPE_IPV6 = 7,
	SPOE_TYPE_STRING = 8,
	SPOE_TYPE_BINARY = 9,
};

struct spoe_value {
	enum spoe_type type;
	union {
		bool flag;	    /* BOOL */
		int64_t sint;	    /* INT32 (within 32 bits), INT64 */
		uint64_t uint;	    /* UINT32 (within 32 bits), UINT64 */
		uint8_t ip[16];	    /* IPV4 (first 4 bytes), IPV6; network byte order */
		struct slice bytes; /* STRING, BINARY; borrowed */
	};
};

/* Reads one value: 0, or -EBADMSG for a reserved type, a cut value, a number out of its type. */
int spoe_value_decode(struct spoe_reader *reader, struct spoe_value *ret_value);

/* Writes one value; the writer knows whether it fitted. */
void spoe_value_encode(struct spoe_writer *writer, const struct spoe_value *value);

/* The same for <KV-NAME> <KV-VALUE> (SPOE.txt 3.2): an argument or a K/V item. */
int spoe_value_decode_named(
	struct spoe_reader *reader, struct slice *ret_name, struct spoe_value *ret_value);
void spoe_value_encode_named(
	struct spoe_writer *writer, struct slice name, const struct spoe_value *value);

/*
 * The common cases: the number of any integer type, if int64_t holds it; the bytes of a STRING or
 * BINARY. 0; -ENOENT for NULL, which means "absent" in HAProxy; -EINVAL for any other value.
 */
int spoe_value_get_int(const struct spoe_value *value, int64_t *ret_number);
int spoe_value_get_bytes(const struct spoe_value *value, struct slice *ret_bytes);

#endif
