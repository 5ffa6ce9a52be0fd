#include "admin/store/store_file.h"

#include "admin/store/schema.h"
#include "admin/store/store.h"
#include "common/slice.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN_BUSY_MS 5000
#define BUSY_TIMEOUT_MS 40

#define PRAGMAS                                                                                    \
	"PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;"        \
	"PRAGMA secure_delete = ON"

struct opening {
	const char *path;
	bool may_make;
	bool alone; /* without shared memory beside the file, for which a full disk has no room */
	sqlite3 *db;
	struct errtext *e;
};

int store_error_code(sqlite3 *db)
{
	switch (sqlite3_extended_errcode(db)) {
	case SQLITE_CONSTRAINT_UNIQUE:
	case SQLITE_CONSTRAINT_PRIMARYKEY:
		return -EEXIST;
	case SQLITE_CONSTRAINT_FOREIGNKEY:
	case SQLITE_CONSTRAINT_TRIGGER: /* how SQLite reports ON DELETE RESTRICT */
		return -EBUSY;
	case SQLITE_CONSTRAINT_CHECK:
	case SQLITE_CONSTRAINT_NOTNULL:
	case SQLITE_CONSTRAINT_DATATYPE:
		return -EINVAL;
	case SQLITE_NOMEM:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

static int is_missing(const struct opening *o)
{
	return errtext_set(o->e, -ENOENT,
		"store %s: is missing or empty: restore a backup, or make a new one with spoa-relay "
		"--init",
		o->path);
}

/* Creates the file with its mode before SQLite does, because SQLite's mode follows the umask. */
static int make_file(const struct opening *o)
{
	struct stat st;
	int make = o->may_make ? O_CREAT : 0;
	int fd = open(o->path, O_RDWR | make | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);

	if (fd < 0 && errno == ENOENT && !o->may_make)
		return is_missing(o);
	if (fd < 0 && errno == ENOENT)
		return errtext_set(o->e, -ENOENT,
			"store %s: its directory does not exist: make it, or correct [store] url",
			o->path);
	if (fd < 0) {
		int error = errno;
		return errtext_set(o->e, -error,
			"store %s: cannot be opened: %s: check who owns it and its directory",
			o->path, strerror(error));
	}
	int error = fstat(fd, &st) < 0 ? -errno : 0;
	close(fd);
	if (error)
		return errtext_set(o->e, error, "store %s: %s", o->path, strerror(-error));
	if (!S_ISREG(st.st_mode))
		return errtext_set(o->e, -EINVAL, "store %s: is not a regular file", o->path);
	if (st.st_mode & 077)
		return errtext_set(
			o->e, -EPERM, "store %s: others can read it: run chmod 600 on it", o->path);
	return 0;
}

static int explain(const struct opening *o, int rc)
{
	switch (rc & 0xff) {
	case SQLITE_NOTADB:
		return errtext_set(o->e, -EBADMSG,
			"store %s: is not a database (or is damaged at its start): move it away to start "
			"empty, or restore a backup",
			o->path);
	case SQLITE_CORRUPT:
		return errtext_set(o->e, -EBADMSG,
			"store %s: the database is damaged: move it away and restore a backup",
			o->path);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return errtext_set(o->e, -EBUSY,
			"store %s: another process holds it: is spoa-relay running already?",
			o->path);
	default:
		return errtext_set(o->e, -EIO, "store %s: %s", o->path, sqlite3_errmsg(o->db));
	}
}

static int run(const struct opening *o, const char *sql)
{
	int rc = sqlite3_exec(o->db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : explain(o, rc);
}

/* The number in the first column of the first row. */
static int ask_number(const struct opening *o, const char *sql, int64_t *ret)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(o->db, sql, -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*ret = sqlite3_column_int64(st, 0);
	int error = rc == SQLITE_ROW ? 0 : explain(o, rc);
	sqlite3_finalize(st);
	return error;
}

static int check_whole(const struct opening *o)
{
	sqlite3_stmt *st = NULL;
	int error = 0;
	int rc = sqlite3_prepare_v2(o->db, "PRAGMA quick_check(1)", -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	const char *said = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(st, 0) : NULL;
	if (rc != SQLITE_ROW)
		error = explain(o, rc);
	else if (!said || strcmp(said, "ok") != 0)
		error = errtext_set(o->e, -EBADMSG,
			"store %s: the database is damaged (%.120s): move it away and restore a backup",
			o->path, said ? said : "no answer");
	sqlite3_finalize(st);
	return error;
}

/* Checks before it changes anything: a file of another program stays unchanged. */
static int check_ours(const struct opening *o, int64_t *ret_version)
{
	int64_t id = 0;
	int64_t tables = 0;
	size_t known;
	int error = ask_number(o, "PRAGMA application_id", &id);

	schema_migrations(&known);
	if (!error)
		error = ask_number(o, "PRAGMA user_version", ret_version);
	if (!error)
		error = ask_number(o, "SELECT count(*) FROM sqlite_master", &tables);
	if (error)
		return error;
	if (id == 0 && *ret_version == 0 && tables == 0)
		return o->may_make ? 0 : is_missing(o);
	if (id != SCHEMA_APPLICATION_ID)
		return errtext_set(o->e, -EBADMSG,
			"store %s: is a database of another program: correct [store] url", o->path);
	if (*ret_version < 0 || *ret_version > (int64_t)known)
		return errtext_set(o->e, -EBADMSG,
			"store %s: was written by a newer spoa-relay (schema %lld, this program knows "
			"%zu): install that version again, or restore a backup of before",
			o->path, (long long)*ret_version, known);
	return check_whole(o);
}

static int migrate_one(const struct opening *o, size_t from, const char *sql)
{
	char mark[96];

	snprintf(mark, sizeof(mark), "PRAGMA application_id = %d; PRAGMA user_version = %zu",
		SCHEMA_APPLICATION_ID, from + 1);
	int error = run(o, "BEGIN IMMEDIATE");
	if (!error)
		error = run(o, sql);
	if (!error)
		error = run(o, mark);
	if (!error)
		error = run(o, "COMMIT");
	if (error && !sqlite3_get_autocommit(o->db))
		sqlite3_exec(o->db, "ROLLBACK", NULL, NULL, NULL);
	if (error)
		errtext_prefix(o->e, error, "migration to schema %zu", from + 1);
	return error;
}

static int migrate(const struct opening *o, int64_t version)
{
	size_t count;
	const char *const *steps = schema_migrations(&count);

	for (size_t i = (size_t)version; i < count; i++) {
		int error = migrate_one(o, i, steps[i]);
		if (error)
			return error;
	}
	return 0;
}

static int set_up(const struct opening *o)
{
	int64_t version = 0;

	sqlite3_extended_result_codes(o->db, 1);
	sqlite3_busy_timeout(o->db, OPEN_BUSY_MS);
	int error = o->alone ? run(o, "PRAGMA locking_mode = EXCLUSIVE") : 0;
	if (!error)
		error = check_ours(o, &version);
	if (!error)
		error = run(o, "PRAGMA journal_mode = WAL;" PRAGMAS);
	if (!error)
		error = migrate(o, version);
	/* whoever else writes must not hold up control's loop */
	sqlite3_busy_timeout(o->db, BUSY_TIMEOUT_MS);
	return error;
}

/* `ret_no_room`: SQLite could not make the files beside the database. */
static int connect_file(struct opening *o, bool *ret_no_room)
{
	int rc =
		sqlite3_open_v2(o->path, &o->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	int error = rc == SQLITE_OK ? set_up(o) : explain(o, rc);

	if (!error)
		return 0;
	rc = sqlite3_errcode(o->db);
	*ret_no_room = rc == SQLITE_IOERR || rc == SQLITE_FULL || rc == SQLITE_CANTOPEN;
	sqlite3_close(o->db);
	return error;
}

int store_file_open(const char *path, bool may_make, sqlite3 **ret, struct errtext *e)
{
	struct opening o = {.path = path, .may_make = may_make, .e = e};
	bool no_room = false;
	int error = make_file(&o);

	if (error)
		return error;
	error = connect_file(&o, &no_room);
	if (error && no_room) {
		o.alone = true;
		error = connect_file(&o, &no_room);
	}
	if (!error)
		*ret = o.db;
	return error;
}

static bool is_there(const struct store_place *place)
{
	struct stat st;

	return stat(place->path, &st) == 0 && st.st_dev == place->device &&
		st.st_ino == place->inode;
}

/* SQLite opens the file at once, and its log when it reads. */
static int connect_again(struct opening *o, const struct store_place *place)
{
	bool before = is_there(place);
	int rc = before ? sqlite3_open_v2(o->path, &o->db,
				  SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL)
			: SQLITE_OK;

	if (!before || !is_there(place))
		return errtext_set(o->e, -EIO, "store %s: the file is gone", o->path);
	return rc == SQLITE_OK ? 0 : explain(o, rc);
}

int store_file_open_again(const struct store_place *place, sqlite3 **ret, struct errtext *e)
{
	struct opening o = {.path = place->path, .e = e};
	int error = connect_again(&o, place);

	if (!error) {
		sqlite3_extended_result_codes(o.db, 1);
		sqlite3_busy_timeout(o.db, BUSY_TIMEOUT_MS);
		error = run(&o, PRAGMAS "; PRAGMA wal_autocheckpoint = 0");
	}
	if (error)
		sqlite3_close(o.db);
	else
		*ret = o.db;
	return error;
}
