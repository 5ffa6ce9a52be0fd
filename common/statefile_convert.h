/* Writes the rows of a state file of another format into a new file of this one. */
#ifndef RELAY_COMMON_STATEFILE_CONVERT_H
#define RELAY_COMMON_STATEFILE_CONVERT_H

#include "common/statefile.h"

/*
 * `from` has the head `h` and is only read; nobody may write to it. `to` is an empty file; at the end the
 * disk has all of it. A change that an agent did not finish is undone. 0 or -errno (-ENOSPC).
 */
int convert_rows(int from, const struct statefile_head *h, int to);

#endif
