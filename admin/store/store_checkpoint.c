/* The checkpoint of the write-ahead log: store.h. */
#include "admin/store/sql.h"
#include "admin/store/statement.h"
#include "admin/store/store.h"
#include "admin/store/store_file.h"

#include <errno.h>

#define PAGES 1000	/* of the log: then its content goes to the database */
#define PAGES_MAX 32768 /* the loop itself does it, so that the log has an end */

/* After each commit. */
static int on_commit(void *context, sqlite3 *db, const char *name, int pages)
{
	struct store *s = context;

	s->log_pages = pages;
	if (pages >= (s->checkpoint_failed ? PAGES : PAGES_MAX))
		sqlite3_wal_checkpoint(db, name);
	return SQLITE_OK;
}

void store_checkpoint_start(struct store *s)
{
	sqlite3_wal_hook(s->db, on_commit, s);
}

bool store_wants_checkpoint(const struct store *s)
{
	return s->log_pages >= PAGES && !s->checkpoint_failed;
}

void store_checkpoint_done(struct store *s, int error)
{
	s->log_pages = 0; /* until the next commit tells */
	s->checkpoint_failed = error != 0;
}

int store_checkpoint_at(const struct store_place *place)
{
	sqlite3 *db = NULL;
	int error = store_file_open_again(place, &db, NULL);

	if (error)
		return error;
	/* a connection knows the log from its first reading on */
	int rc = sqlite3_exec(db, "SELECT count(*) FROM settings", NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	sqlite3_close(db);
	return rc == SQLITE_OK || rc == SQLITE_BUSY ? 0 : -EIO;
}
