/*
 * The SQLite connection and its prepared statements, for the files of admin/store/ alone. Every SQL
 * text is prepared once and cached.
 */
#ifndef RELAY_ADMIN_STORE_STATEMENT_H
#define RELAY_ADMIN_STORE_STATEMENT_H

#include "common/errtext.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define STATEMENT_BUCKETS 256
#define STATEMENT_COLUMNS 32

struct statement {
	struct statement *next; /* in its bucket */
	sqlite3_stmt *st;	/* keeps the text */
	uint64_t used;
	int columns;
	char *names[STATEMENT_COLUMNS]; /* of the columns */
};

/* Why the store takes no changes. */
enum store_trouble {
	STORE_FINE,
	STORE_FAILED,  /* until a change succeeds */
	STORE_GONE,    /* until the file is back */
	STORE_DAMAGED, /* until the next start */
};

struct store {
	sqlite3 *db;
	struct store
		*aside; /* whose transaction makes way for each change of this one; NULL = none */
	struct store *main; /* of a connection aside; NULL = this is the main one */
	bool lost;	    /* aside: its transaction made way */
	char *path;
	dev_t device;
	ino_t inode;
	int log_pages; /* of the write-ahead log, at the last commit */
	bool checkpoint_failed;
	enum store_trouble trouble;
	struct errtext fault;
	struct kept_notices *kept; /* that could not be stored; NULL = none */
	struct statement *buckets[STATEMENT_BUCKETS];
	struct statement *latest; /* the last one that was asked for; NULL = none */
	size_t count;
	uint64_t uses;
};

/*
 * A statement without bindings that is ready to run. It belongs to the store and is valid until the same
 * text is asked for again. NULL with the reason.
 */
struct statement *statement_get(struct store *s, const char *sql, struct errtext *e);
/* Steps once: 1 = a row, 0 = done, negative = failed. */
int statement_step(struct store *s, struct statement *st, struct errtext *e);
/* To be called when no further row is wanted. Forgets the bindings. */
void statement_end(struct statement *st);
void statement_free_all(struct store *s);

/* From now on commits tell how long the write-ahead log is. */
void store_checkpoint_start(struct store *s);

/* SQLite's last error as a code and a text. One of the file itself puts the store down. */
int statement_error(struct store *s, struct errtext *e);
/*
 * 0, or -EIO while the file is gone: a change would be lost. A transaction aside makes way for a change of the main
 * connection, and then takes no further change: -EAGAIN.
 */
int statement_may_change(struct store *s, struct errtext *e);

#endif
