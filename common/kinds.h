/*
 * Kinds of headers, for those that the client names in Connection (common/head.h). Before 3.4 no rule of
 * HAProxy takes a name from outside, but a rule can remove all headers of a kind: those that have one
 * character at one place, counted from the end of the name. So the agent tells a kind for each named header
 * that no other header of the request has.
 */
#ifndef RELAY_COMMON_KINDS_H
#define RELAY_COMMON_KINDS_H

#include "common/slice.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * `hops` as head_hops() writes them. Writes `;p0;d2;`, at most `size` bytes with the NUL: names that end in p,
 * and names with a d before their last two characters. False: a header has no kind for itself.
 */
bool kinds_find(struct slice head, struct slice hops, char *out, size_t size);

#endif
