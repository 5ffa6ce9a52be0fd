/* Bytes as lower-case hex digits, for values that the store keeps as text. */
#ifndef RELAY_ADMIN_STORE_HEX_H
#define RELAY_ADMIN_STORE_HEX_H

#include "common/buffer.h"
#include "common/slice.h"

void hex_format(struct slice bytes, struct buffer *out);
/* Appends the bytes. 0 or -EINVAL. */
int hex_parse(struct slice text, struct buffer *ret);

#endif
