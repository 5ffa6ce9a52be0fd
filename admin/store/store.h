/*
 * The embedded store: SQLite, WAL, synchronous=FULL, foreign keys on, migrations by version. Only the control
 * process writes to it. Queries: sql.h.
 *
 * Errors are negative errno codes with a text: -EEXIST (unique), -ENOENT (no such row),
 * -EBUSY (foreign key: in use), -EIO (the database itself).
 */
#ifndef RELAY_ADMIN_STORE_STORE_H
#define RELAY_ADMIN_STORE_STORE_H

#include "common/errtext.h"
#include "common/slice.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct store;

/*
 * `url` is sqlite:PATH. Refuses a file that another program wrote, that is damaged, or that is newer than this
 * program. Opens also on a full disk; then only reading works until there is room. store_open() makes the file
 * if it is missing or empty; store_open_existing() refuses that with -ENOENT.
 */
int store_open(const char *url, struct store **ret, struct errtext *e);
int store_open_existing(const char *url, struct store **ret, struct errtext *e);
void store_close(struct store *s);

/*
 * Whether the store takes changes. It does not while its disk is full or read-only, its file is gone or
 * replaced, or the database is damaged. Found by any statement that fails, and by store_watch().
 */
bool store_is_up(const struct store *s);
const char *store_fault(const struct store *s); /* "" = none */
/*
 * Looks for the file and for room on its disk, and if the store is down, writes a little. For a timer. While
 * the file is gone, changes are refused, since the next start would not find them.
 */
void store_watch(struct store *s);

/* Transactions; they do not nest. A failed commit is rolled back. */
int store_begin(struct store *s, struct errtext *e);
int store_commit(struct store *s, struct errtext *e);
void store_rollback(struct store *s);

/* The file, for another connection to it. */
struct store_place {
	char path[PATH_MAX];
	dev_t device;
	ino_t inode;
};

int store_place_of(const struct store *s, struct store_place *ret);

/*
 * A second connection, "aside", for one change that is made in steps while the loop goes on. A change of the main
 * connection goes first: it rolls the open transaction aside back, which is lost then and takes no change until
 * store_begin(). So no other change waits, and none is undone with it. There is one at most; store_close() ends it.
 */
int store_open_aside(struct store *s, struct store **ret, struct errtext *e);
bool store_is_lost(const struct store *aside);
/* Whether a transaction aside is open, so that work that can wait lets it end. */
bool store_has_aside(const struct store *s);

/* Of the last statement that ran (sql.h). */
int64_t store_last_id(struct store *s);
int64_t store_changed_rows(struct store *s);

/*
 * The version of the configuration. Every change that the agent must know raises it inside its
 * transaction. keys.version holds the version of the key's last change.
 */
int store_bump_version(struct store *s, struct errtext *e);
uint64_t store_version(struct store *s);

/* Moves all of the log into the database and empties it, so that it has no old value. Later, if that fails. */
void store_checkpoint(struct store *s);

int store_get_setting(struct store *s, const char *name, char **ret_text,
	struct errtext *e); /* malloc'd; NULL when unset */
int store_set_setting(struct store *s, const char *name, const char *text, struct errtext *e);

/* A consistent copy into a new file (SQLite's backup API). -EEXIST when it is there already. */
int store_backup(struct store *s, const char *path, struct errtext *e);
/*
 * The same of the store at `url`, through another connection: for a thread. -EAGAIN: that is not possible now,
 * because the store's own connection is the only one.
 */
int store_backup_of(const char *url, const char *path, struct errtext *e);

/*
 * The checkpoint: what is in the write-ahead log goes to the database, with writes and syncs that take long on a slow
 * disk. So store_checkpoint_at() is for a thread, through a separate connection, while the store is used.
 * store_checkpoint_done() tells the store its result. A store whose checkpoints fail makes them itself, in its commits.
 */
bool store_wants_checkpoint(const struct store *s);
int store_checkpoint_at(const struct store_place *place);
void store_checkpoint_done(struct store *s, int error);

#endif
