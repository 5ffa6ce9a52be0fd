/*
 * Where rows are in a state file, of this format or of another one: the head says it. Used by
 * common/statefile*.c only.
 */
#ifndef RELAY_COMMON_STATEFILE_LAYOUT_H
#define RELAY_COMMON_STATEFILE_LAYOUT_H

#include "common/statefile.h"

#include <stdbool.h>
#include <sys/types.h>

#define LAYOUT_PAGE 4096
#define LAYOUT_USAGE_PARTS_MAX (STATEFILE_USAGES_MAX / STATEFILE_USAGES)

/* The head of a file of this format. */
struct statefile_head layout_head(void);
/*
 * Reads the head of a file and checks it against the file's size. -EBADMSG: it is not a state file, or
 * damaged; -EPROTO: it is sound and of another format that can be converted.
 */
int layout_read(int fd, struct statefile_head *ret, struct errtext *e);
/* Writes the head of a file of this format again if a few of its bits were flipped; true if so. */
bool layout_mend(int fd);
/* Bytes of one part of the table of usage. The first is in its place, the others are at the end. */
uint64_t layout_usage_part(const struct statefile_head *h);
/* Parts of usage in a file of this size; 0 = not a size that a file with this head has. */
uint32_t layout_parts(const struct statefile_head *h, off_t size);
/* Size of a file with so many parts of usage. */
uint64_t layout_size(const struct statefile_head *h, uint32_t parts);
/* Rows of a table in a file with so many parts of usage. */
uint32_t layout_rows(const struct statefile_head *h, enum statefile_table t, uint32_t parts);
/* Where a row is in the file. */
uint64_t layout_offset(const struct statefile_head *h, enum statefile_table t, uint32_t row);

#endif
