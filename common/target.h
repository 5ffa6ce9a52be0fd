/*
 * The target of a request, path or query, as an upstream may understand it: written as it is, or
 * percent-encoded up to TARGET_ENCODINGS times. Texts are at most TARGET_MAX bytes long; of a longer one
 * every answer is yes.
 */
#ifndef RELAY_COMMON_TARGET_H
#define RELAY_COMMON_TARGET_H

#include "common/slice.h"

#define TARGET_MAX 8192
#define TARGET_ENCODINGS 3

/*
 * Does a path have a segment `..`, by which it could leave the upstream's path prefix? Slashes and
 * backslashes separate segments; a semicolon and a NUL end one. Other dots are part of names.
 */
bool target_has_parent(struct slice path);
/*
 * For comparisons: calls `each` with each spelling of a path behind a base, without the changes that an upstream may
 * make: in small letters, each segment behind one slash, without segments that are one dot and what follows a
 * semicolon or a NUL in a segment. `start`: length of the base in it.
 */
typedef void target_each_fn(void *context, struct slice path, size_t start);
void target_each_spelling(
	struct slice base, struct slice path, target_each_fn *each, void *context);
/* Does it hold a relay key with a right checksum? */
bool target_has_key(struct slice text);

#endif
