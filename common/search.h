/*
 * Binary search in sorted rows, the only one. Inline, so that the compiler sees the row's size and the
 * comparison.
 */
#ifndef RELAY_COMMON_SEARCH_H
#define RELAY_COMMON_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Whether a row comes before the wanted key. */
typedef bool search_before_fn(const void *row, const void *key);

/* How many rows come before `key`: the index of the first row that does not, or `count`. */
static inline size_t search_rows(
	const void *rows, size_t count, size_t row_size, search_before_fn *before, const void *key)
{
	size_t low = 0;
	size_t high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (before((const char *)rows + middle * row_size, key))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static inline bool search_id_before(const void *row, const void *key)
{
	uint32_t id;
	uint32_t wanted;

	memcpy(&id, row, sizeof(id));
	memcpy(&wanted, key, sizeof(wanted));
	return id < wanted;
}

/* The row of `id` among rows that begin with their uint32_t id and rise by it; NULL when there is none. */
static inline const void *search_id(const void *rows, size_t count, size_t row_size, uint32_t id)
{
	size_t at = search_rows(rows, count, row_size, search_id_before, &id);

	if (at == count)
		return NULL;
	const char *row = (const char *)rows + at * row_size;
	return memcmp(row, &id, sizeof(id)) == 0 ? row : NULL;
}

#endif
