/*
 * The embedded store: SQLite, WAL, synchronous=FULL, foreign keys on, migrations by version. One
 * connection, owned by the control process; every statement is prepared once and cached by its text.
 *
 * Errors are negative errno codes with a text: -EEXIST (unique), -ENOENT (no such row),
 * -EBUSY (foreign key: in use), -EIO (the database itself).
 */
#ifndef RELAY_ADMIN_STORE_STORE_H
#define RELAY_ADMIN_STORE_STORE_H

#include "common/errtext.h"
#include "common/slice.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

struct store;

/* `url` is sqlite:PATH. A file that is not ours, is damaged or newer than this program is refused. */
int store_open(const char *url, struct store **ret, struct errtext *e);
void store_close(struct store *s);

/* Transactions; they do not nest. A failed commit is rolled back. */
int store_begin(struct store *s, struct errtext *e);
int store_commit(struct store *s, struct errtext *e);
void store_rollback(struct store *s);

/*
 * A statement ready to bind, reset and without bindings; it belongs to the store and is valid until
 * the same text is asked for again. NULL with the reason.
 */
sqlite3_stmt *store_statement(struct store *s, const char *sql, struct errtext *e);
/* Steps once: 1 = a row, 0 = done, negative = failed. */
int store_step(struct store *s, sqlite3_stmt *st, struct errtext *e);
/* Steps to the end, expecting no row, and resets. 0 or negative. */
int store_run(struct store *s, sqlite3_stmt *st, struct errtext *e);
int64_t store_last_id(struct store *s);
int64_t store_changed_rows(struct store *s);

void store_bind_text(sqlite3_stmt *st, int at, const char *text); /* NULL binds NULL; copied */
void store_bind_slice(sqlite3_stmt *st, int at, struct slice s);  /* as text; copied */
void store_bind_blob(sqlite3_stmt *st, int at, struct slice s);
struct slice store_column(
	sqlite3_stmt *st, int column); /* text or blob, valid until the next step */

/*
 * The version of the configuration: raised inside the transaction of every change that the agent
 * must learn; returned by store_version(). keys.version holds the version of the key's last change.
 */
int store_bump_version(struct store *s, struct errtext *e);
uint64_t store_version(struct store *s);

int store_get_setting(struct store *s, const char *name, char **ret_text,
	struct errtext *e); /* malloc'd; NULL when unset */
int store_set_setting(struct store *s, const char *name, const char *text, struct errtext *e);

/* A consistent copy into a new file (SQLite's backup API). -EEXIST when it is there already. */
int store_backup(struct store *s, const char *path, struct errtext *e);

#endif
