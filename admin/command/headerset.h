/*
 * Extra headers of an upstream or an account: kept in the store as a JSON object of strings, checked
 * here, bounded by what one decision can carry (common/seam.h).
 */
#ifndef RELAY_ADMIN_COMMAND_HEADERSET_H
#define RELAY_ADMIN_COMMAND_HEADERSET_H

#include "common/buffer.h"
#include "common/errtext.h"
#include "common/seam.h"
#include "common/slice.h"

struct headerset_row {
	char name[SEAM_HEADER_NAME_MAX + 1];
	char value[SEAM_HEADER_VALUE_MAX + 1];
};

struct headerset {
	struct headerset_row rows[SEAM_HEADERS_MAX]; /* in the order they were added */
	size_t count;
};

/*
 * Adds or replaces (names compare without case). -EINVAL: not a header name or value, or a header
 * that the relay or HAProxy sets itself; -E2BIG: too many, or too long together.
 */
int headerset_put(struct headerset *h, struct slice name, struct slice value, struct errtext *e);
/* Puts all of `over` on top of `h`. */
int headerset_merge(struct headerset *h, const struct headerset *over, struct errtext *e);
/* The JSON object of the store; overwrites `ret`. */
int headerset_parse(struct slice json, struct headerset *ret, struct errtext *e);
void headerset_format(const struct headerset *h, struct buffer *out);

#endif
