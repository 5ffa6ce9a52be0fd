/* Opens the store's file: only a file of this program that is whole and of a known version. */
#ifndef RELAY_ADMIN_STORE_STORE_FILE_H
#define RELAY_ADMIN_STORE_STORE_FILE_H

#include "common/errtext.h"

#include <sqlite3.h>
#include <stdbool.h>

/*
 * A connection that is set up and migrated. 0 or a negative errno with what the user can do. Without
 * `may_make` a file that is missing or empty is an error, -ENOENT.
 */
int store_file_open(const char *path, bool may_make, sqlite3 **ret, struct errtext *e);

struct store_place;

/*
 * Another connection to a file that is open already. -EIO: another file is in its place, which must not be read
 * together with the write-ahead log of the first.
 */
int store_file_open_again(const struct store_place *place, sqlite3 **ret, struct errtext *e);

/* The errno code of SQLite's last error. */
int store_error_code(sqlite3 *db);

#endif
