#include "common/staterow.h"

#include <limits.h>

static bool flip(char *row, size_t size, size_t bit)
{
	row[bit / CHAR_BIT] = (char)(row[bit / CHAR_BIT] ^ (1 << bit % CHAR_BIT));
	return staterow_check(row, size) == staterow_sum(row, size);
}

bool staterow_mend(void *row, size_t size)
{
	for (size_t bit = 0; bit < size * CHAR_BIT; bit++) {
		if (flip(row, size, bit))
			return true;
		flip(row, size, bit);
	}
	return false;
}
