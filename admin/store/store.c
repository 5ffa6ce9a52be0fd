#include "admin/store/store.h"

#include "admin/store/sql.h"
#include "admin/store/statement.h"
#include "admin/store/store_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCHEME "sqlite:"

static int open_file(struct store *s, const char *path, bool may_make, struct errtext *e)
{
	struct stat st;

	s->path = strdup(path);
	if (!s->path)
		return errtext_set(e, -ENOMEM, "store: out of memory");
	int error = store_file_open(path, may_make, &s->db, e);
	if (error)
		return error;
	if (stat(path, &st) == 0) {
		s->device = st.st_dev;
		s->inode = st.st_ino;
	}
	store_checkpoint_start(s);
	return 0;
}

static int open_url(const char *url, bool may_make, struct store **ret, struct errtext *e)
{
	struct slice rest = slice_from_str(url);

	if (!slice_has_prefix(rest, slice_from_str(SCHEME)) || rest.n == sizeof(SCHEME) - 1)
		return errtext_set(
			e, -EINVAL, "store: [store] url must be sqlite:PATH, not \"%s\"", url);
	struct store *s = calloc(1, sizeof(*s));
	if (!s)
		return errtext_set(e, -ENOMEM, "store: out of memory");
	int error = open_file(s, url + sizeof(SCHEME) - 1, may_make, e);
	if (error) {
		store_close(s);
		return error;
	}
	*ret = s;
	return 0;
}

int store_open(const char *url, struct store **ret, struct errtext *e)
{
	return open_url(url, true, ret, e);
}

int store_open_existing(const char *url, struct store **ret, struct errtext *e)
{
	return open_url(url, false, ret, e);
}

void store_close(struct store *s)
{
	if (!s)
		return;
	if (s->main)
		s->main->aside = NULL;
	statement_free_all(s);
	sqlite3_close(s->db);
	free(s->kept);
	free(s->path);
	free(s);
}

int store_place_of(const struct store *s, struct store_place *ret)
{
	ret->device = s->device;
	ret->inode = s->inode;
	int n = snprintf(ret->path, sizeof(ret->path), "%s", s->path);
	return n < (int)sizeof(ret->path) ? 0 : -ENAMETOOLONG;
}

int store_open_aside(struct store *s, struct store **ret, struct errtext *e)
{
	struct store *aside = calloc(1, sizeof(*aside));
	struct store_place place;

	if (!aside)
		return errtext_set(e, -ENOMEM, "store: out of memory");
	int error = store_place_of(s, &place);
	if (!error)
		error = store_file_open_again(&place, &aside->db, e);
	if (error) {
		free(aside);
		return error;
	}
	aside->main = s;
	s->aside = aside;
	*ret = aside;
	return 0;
}

bool store_is_lost(const struct store *aside)
{
	return aside->lost;
}

bool store_has_aside(const struct store *s)
{
	return s->aside && !sqlite3_get_autocommit(s->aside->db);
}

/* --- transactions --- */

static int execute(struct store *s, const char *sql, struct errtext *e)
{
	return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : statement_error(s, e);
}

int store_begin(struct store *s, struct errtext *e)
{
	s->lost = false;
	int error = statement_may_change(s, e);

	return error ? error : execute(s, "BEGIN IMMEDIATE", e);
}

int store_commit(struct store *s, struct errtext *e)
{
	int error = s->main ? statement_may_change(s, e) : 0;

	if (!error)
		error = execute(s, "COMMIT", e);
	if (error)
		store_rollback(s);
	return error;
}

void store_rollback(struct store *s)
{
	if (!sqlite3_get_autocommit(s->db))
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
}

int64_t store_last_id(struct store *s)
{
	return sqlite3_last_insert_rowid(s->db);
}

int64_t store_changed_rows(struct store *s)
{
	return sqlite3_changes64(s->db);
}

void store_checkpoint(struct store *s)
{
	sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
}

/* --- settings --- */

int store_bump_version(struct store *s, struct errtext *e)
{
	return sql_run(s, e,
		"INSERT INTO settings (name, value) VALUES ('version', '1')"
		" ON CONFLICT (name) DO UPDATE SET value = CAST(value AS INTEGER) + 1",
		"");
}

uint64_t store_version(struct store *s)
{
	int64_t version = 0;

	sql_number(s, NULL, &version,
		"SELECT CAST(value AS INTEGER) FROM settings WHERE name = 'version'", "");
	return (uint64_t)version;
}

static int copy_value(struct row *row, void *context)
{
	char **ret = context;
	struct slice value = row_text(row, "value");

	*ret = strndup(value.p, value.n);
	return *ret ? 0 : -ENOMEM;
}

int store_get_setting(struct store *s, const char *name, char **ret_text, struct errtext *e)
{
	char *text = NULL;
	int error = sql_each(
		s, e, copy_value, &text, "SELECT value FROM settings WHERE name = ?1", "t", name);

	if (error == -ENOMEM)
		errtext_set(e, error, "store: out of memory");
	if (!error)
		*ret_text = text;
	return error;
}

int store_set_setting(struct store *s, const char *name, const char *text, struct errtext *e)
{
	return sql_run(s, e,
		"INSERT INTO settings (name, value) VALUES (?1, ?2)"
		" ON CONFLICT (name) DO UPDATE SET value = excluded.value",
		"tt", name, text);
}

/* --- backup --- */

/* Removes a copy that failed; makes a whole one durable. */
static int finish_copy(sqlite3 *to, int rc, int fd, const char *path, struct errtext *e)
{
	int error = 0;

	if (rc != SQLITE_DONE)
		error = errtext_set(e, -EIO, "backup %s: %s", path, sqlite3_errstr(rc));
	if (sqlite3_close(to) != SQLITE_OK && !error)
		error = errtext_set(e, -EIO, "backup %s: could not be closed", path);
	if (!error && fsync(fd) < 0)
		error = errtext_set(e, -errno, "backup %s: %s", path, strerror(errno));
	if (error)
		unlink(path);
	return error;
}

static int copy_all(sqlite3 *from, const char *path, struct errtext *e)
{
	sqlite3 *to = NULL;
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0) {
		int error = errno;
		return errtext_set(e, -error, "backup %s: %s", path, strerror(error));
	}
	int rc = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE, NULL);
	if (rc == SQLITE_OK) {
		sqlite3_backup *copy = sqlite3_backup_init(to, "main", from, "main");
		rc = copy ? sqlite3_backup_step(copy, -1) : sqlite3_errcode(to);
		if (copy)
			sqlite3_backup_finish(copy);
	}
	int error = finish_copy(to, rc, fd, path, e);
	close(fd);
	return error;
}

int store_backup(struct store *s, const char *path, struct errtext *e)
{
	return copy_all(s->db, path, e);
}

int store_backup_of(const char *url, const char *path, struct errtext *e)
{
	struct slice rest = slice_from_str(url);
	sqlite3 *from = NULL;

	if (!slice_has_prefix(rest, slice_from_str(SCHEME)))
		return -EAGAIN;
	int rc = sqlite3_open_v2(url + sizeof(SCHEME) - 1, &from, SQLITE_OPEN_READONLY, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(from, "SELECT count(*) FROM settings", NULL, NULL, NULL);
	int error = rc == SQLITE_OK ? copy_all(from, path, e) : -EAGAIN;
	sqlite3_close(from);
	return error;
}
