/*
 * The body of a token host's reply as text. The bytes decide how it is packed, not the headers: a
 * reply may come compressed unasked, or with a wrong label. Pure and bounded.
 */
#ifndef RELAY_ADMIN_UPKEEP_REFRESH_BODY_H
#define RELAY_ADMIN_UPKEEP_REFRESH_BODY_H

#include "common/buffer.h"

#define REFRESH_BODY_MAX                                                                           \
	((size_t)1 << 20)    /* of a reply, packed and unpacked; the rest is cut off */
#define REFRESH_BODY_LEAD 64 /* bytes that may stand before the first brace */

/*
 * Appends the text to the empty `ret`, which buffer_fini() wipes: gzip, zlib and deflate are
 * unpacked as far as they are whole, and UTF-16 becomes ASCII. 0 or -ENOMEM.
 */
int refresh_body_read(struct slice raw, struct buffer *ret);

#endif
