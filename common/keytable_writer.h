/*
 * Writes a large key table (snapshot.h) row by row into memory that is sealed at the end. A table of a
 * few thousand rows is simpler made with keytable_build().
 */
#ifndef RELAY_COMMON_KEYTABLE_WRITER_H
#define RELAY_COMMON_KEYTABLE_WRITER_H

#include "common/snapshot.h"

struct keytable_writer {
	int fd;	     /* memfd; -1 = not begun */
	char *block; /* head, rows and buckets, mapped */
	size_t size; /* of `block` */
	struct snapshot_key *keys;
	uint32_t *buckets;
	uint32_t bucket_count;
	uint32_t count, max;	/* rows */
	struct buffer networks; /* struct cidr; written behind the block at the end */
};

/* Room for `max` rows. 0, or -errno: nothing to free. */
int keytable_writer_begin(struct keytable_writer *w, const char *name, uint32_t max);
/*
 * Adds a row; the range `networks` of `key` indexes `networks`. A new key has a hash that no earlier row
 * has; another key replaces the row with its hash, if there is one. 0, -EFBIG, -ENOMEM.
 */
int keytable_writer_add(struct keytable_writer *w, const struct snapshot_key *key,
	const struct cidr *networks, bool is_new);
/* Ends the writer. The sealed memory, or -errno. */
int keytable_writer_seal(struct keytable_writer *w, uint64_t id);
/* Ends the writer without a table; also of one that has not begun or has ended (fd -1). */
void keytable_writer_drop(struct keytable_writer *w);

#endif
