/* A line-by-line difference of two texts, for people: `-` is the first text, `+` the second. */
#ifndef RELAY_TESTS_UNIT_HAPROXY_DIFFERENCE_H
#define RELAY_TESTS_UNIT_HAPROXY_DIFFERENCE_H

#include "common/buffer.h"
#include "common/slice.h"

#include <stddef.h>

/*
 * Appends at most `max` places where the texts differ to `out`, each headed by `name` and the line number in
 * the first text. Long lines are shown around their first difference. Returns how many places differ.
 */
size_t difference(
	const char *name, struct slice one, struct slice other, size_t max, struct buffer *out);

#endif
