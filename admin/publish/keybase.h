/*
 * The relay keys in the form that the agent searches: a base of all keys in sealed memory, which is made
 * seldom, and a log of the keys that changed since, which is part of every snapshot.
 *
 * A change costs what it changes: only rows of the store that are newer than the log are read. A log that
 * has grown long is merged with the base into a new one, in short steps between other work, without the
 * store. Keys that were deleted together with their tenant stay in the base until control starts again; to
 * the agent a key without a tenant is unknown.
 */
#ifndef RELAY_ADMIN_PUBLISH_KEYBASE_H
#define RELAY_ADMIN_PUBLISH_KEYBASE_H

#include "admin/store/store.h"
#include "common/buffer.h"
#include "common/errtext.h"
#include "common/keytable_writer.h"

#include <stdint.h>

#define KEYBASE_LOG_MAX 4096   /* keys in the log before it is merged */
#define KEYBASE_STEP_ROWS 4096 /* rows of one step of a merge */

/* Changed keys, oldest change first; of two rows of one key the later one counts. */
struct keybase_log {
	struct buffer keys;	/* struct snapshot_key; their ranges index `networks` */
	struct buffer networks; /* struct cidr */
	uint32_t count;
	uint64_t version; /* the store's version up to which it is complete */
};

/* A new base that is being written from the base and the first rows of the log. */
struct keybase_merge {
	struct keytable_writer writer; /* fd -1 = no merge */
	struct snapshot_map old;       /* the base */
	struct keytable table;
	uint32_t done;	   /* rows of the base, then rows of the log */
	uint32_t log_rows; /* of the log that go into the new base */
	uint64_t id;
};

struct keybase {
	int fd;	     /* sealed; -1 = none */
	uint64_t id; /* the store's version up to which it is complete */
	struct keybase_log log;
	struct keybase_merge merge;
	int merged_fd;	      /* the result of a merge, until keybase_update(); -1 = none */
	uint32_t merge_above; /* rows of the log above which it is merged */
};

void keybase_init(struct keybase *k);
void keybase_fini(struct keybase *k);

/*
 * Reads what has changed in the store: all keys at the first call. The base may be another one afterwards,
 * never between two calls.
 */
int keybase_update(struct keybase *k, struct store *s, struct errtext *e);
/* Appends the log since the base: a key table. */
int keybase_write_log(const struct keybase *k, struct buffer *out, struct errtext *e);

/* Whether the log is long enough to be merged, or is being merged. */
bool keybase_wants_merge(const struct keybase *k);
/* One step of the merge. An error ends it; another one begins when the log has grown again. */
int keybase_merge(struct keybase *k, struct errtext *e);

#endif
