#include "admin/store/store.h"

#include "admin/store/store_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define STATEMENTS_MAX 512 /* the program's own texts are fewer; past it the longest unused goes */
#define BUCKETS 256

struct cached {
	struct cached *next; /* in its bucket */
	sqlite3_stmt *st;    /* keeps the text */
	uint64_t used;
};

struct store {
	sqlite3 *db;
	struct cached *buckets[BUCKETS];
	size_t count;
	uint64_t uses;
};

int store_open(const char *url, struct store **ret, struct errtext *e)
{
	static const char scheme[] = "sqlite:";
	struct slice rest = slice_from_str(url);

	if (!slice_has_prefix(rest, slice_from_str(scheme)) || rest.n == sizeof(scheme) - 1)
		return errtext_set(
			e, -EINVAL, "store: [store] url must be sqlite:PATH, not \"%s\"", url);
	struct store *s = calloc(1, sizeof(*s));
	if (!s)
		return errtext_set(e, -ENOMEM, "store: out of memory");
	int error = store_file_open(url + sizeof(scheme) - 1, &s->db, e);
	if (error) {
		free(s);
		return error;
	}
	*ret = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < BUCKETS; i++) {
		struct cached *next;
		for (struct cached *c = s->buckets[i]; c; c = next) {
			next = c->next;
			sqlite3_finalize(c->st);
			free(c);
		}
	}
	sqlite3_close(s->db);
	free(s);
}

/* --- errors --- */

static int fail(struct store *s, struct errtext *e)
{
	int code = store_error_code(s->db);

	switch (code) {
	case -EEXIST:
		return errtext_set(e, code, "exists already");
	case -EBUSY:
		return errtext_set(e, code, "is in use, or refers to what does not exist");
	case -EINVAL:
		return errtext_set(e, code, "value out of bounds (%s)", sqlite3_errmsg(s->db));
	default:
		return errtext_set(e, code, "store: %s", sqlite3_errmsg(s->db));
	}
}

/* --- transactions --- */

static int execute(struct store *s, const char *sql, struct errtext *e)
{
	return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(s, e);
}

int store_begin(struct store *s, struct errtext *e)
{
	return execute(s, "BEGIN IMMEDIATE", e);
}

int store_commit(struct store *s, struct errtext *e)
{
	int error = execute(s, "COMMIT", e);

	if (error)
		store_rollback(s);
	return error;
}

void store_rollback(struct store *s)
{
	if (!sqlite3_get_autocommit(s->db))
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
}

/* --- statements --- */

static size_t bucket_of(const char *sql)
{
	uint32_t h = 2166136261u;

	for (; *sql; sql++)
		h = (h ^ (uint8_t)*sql) * 16777619u;
	return h % BUCKETS;
}

static void drop_oldest(struct store *s)
{
	struct cached **oldest = NULL;

	for (size_t i = 0; i < BUCKETS; i++)
		for (struct cached **c = &s->buckets[i]; *c; c = &(*c)->next)
			if (!sqlite3_stmt_busy((*c)->st) &&
				(!oldest || (*c)->used < (*oldest)->used))
				oldest = c;
	if (!oldest)
		return;
	struct cached *gone = *oldest;
	*oldest = gone->next;
	sqlite3_finalize(gone->st);
	free(gone);
	s->count--;
}

static sqlite3_stmt *prepare(struct store *s, const char *sql, size_t bucket, struct errtext *e)
{
	struct cached *c = calloc(1, sizeof(*c));

	if (!c) {
		errtext_set(e, -ENOMEM, "store: out of memory");
		return NULL;
	}
	if (s->count >= STATEMENTS_MAX)
		drop_oldest(s);
	if (sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &c->st, NULL) !=
		SQLITE_OK) {
		fail(s, e);
		free(c);
		return NULL;
	}
	c->used = ++s->uses;
	c->next = s->buckets[bucket];
	s->buckets[bucket] = c;
	s->count++;
	return c->st;
}

sqlite3_stmt *store_statement(struct store *s, const char *sql, struct errtext *e)
{
	size_t bucket = bucket_of(sql);

	for (struct cached *c = s->buckets[bucket]; c; c = c->next) {
		if (strcmp(sqlite3_sql(c->st), sql) != 0)
			continue;
		sqlite3_reset(c->st);
		sqlite3_clear_bindings(c->st);
		c->used = ++s->uses;
		return c->st;
	}
	return prepare(s, sql, bucket, e);
}

int store_step(struct store *s, sqlite3_stmt *st, struct errtext *e)
{
	switch (sqlite3_step(st)) {
	case SQLITE_ROW:
		return 1;
	case SQLITE_DONE:
		sqlite3_reset(st);
		return 0;
	default: {
		int error = fail(s, e);
		sqlite3_reset(st);
		return error;
	}
	}
}

int store_run(struct store *s, sqlite3_stmt *st, struct errtext *e)
{
	int rc = store_step(s, st, e);

	while (rc > 0)
		rc = store_step(s, st, e);
	return rc;
}

int64_t store_last_id(struct store *s)
{
	return sqlite3_last_insert_rowid(s->db);
}

int64_t store_changed_rows(struct store *s)
{
	return sqlite3_changes64(s->db);
}

void store_bind_text(sqlite3_stmt *st, int at, const char *text)
{
	sqlite3_bind_text(st, at, text, -1, SQLITE_TRANSIENT);
}

void store_bind_slice(sqlite3_stmt *st, int at, struct slice s)
{
	sqlite3_bind_text64(st, at, s.p ? s.p : "", s.n, SQLITE_TRANSIENT, SQLITE_UTF8);
}

void store_bind_blob(sqlite3_stmt *st, int at, struct slice s)
{
	sqlite3_bind_blob64(st, at, s.p ? s.p : "", s.n, SQLITE_TRANSIENT);
}

struct slice store_column(sqlite3_stmt *st, int column)
{
	const void *p = sqlite3_column_blob(st, column);
	int n = sqlite3_column_bytes(st, column);

	return (struct slice){p ? p : "", p && n > 0 ? (size_t)n : 0};
}

/* --- settings --- */

int store_bump_version(struct store *s, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(s,
		"INSERT INTO settings (name, value) VALUES ('version', '1')"
		" ON CONFLICT (name) DO UPDATE SET value = CAST(value AS INTEGER) + 1",
		e);

	return st ? store_run(s, st, e) : -EIO;
}

uint64_t store_version(struct store *s)
{
	uint64_t version = 0;
	sqlite3_stmt *st = store_statement(
		s, "SELECT CAST(value AS INTEGER) FROM settings WHERE name = 'version'", NULL);

	if (st && store_step(s, st, NULL) == 1)
		version = (uint64_t)sqlite3_column_int64(st, 0);
	if (st)
		sqlite3_reset(st);
	return version;
}

int store_get_setting(struct store *s, const char *name, char **ret_text, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(s, "SELECT value FROM settings WHERE name = ?1", e);

	if (!st)
		return -EIO;
	store_bind_text(st, 1, name);
	int rc = store_step(s, st, e);
	if (rc < 0)
		return rc;
	char *text = NULL;
	if (rc == 1) {
		struct slice value = store_column(st, 0);
		text = strndup(value.p, value.n);
		rc = text ? 0 : errtext_set(e, -ENOMEM, "store: out of memory");
	}
	sqlite3_reset(st);
	if (!rc)
		*ret_text = text;
	return rc;
}

int store_set_setting(struct store *s, const char *name, const char *text, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(s,
		"INSERT INTO settings (name, value) VALUES (?1, ?2)"
		" ON CONFLICT (name) DO UPDATE SET value = excluded.value",
		e);

	if (!st)
		return -EIO;
	store_bind_text(st, 1, name);
	store_bind_text(st, 2, text);
	return store_run(s, st, e);
}

/* --- backup --- */

/* What remains of a copy that failed goes; a whole one is made durable. */
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

int store_backup(struct store *s, const char *path, struct errtext *e)
{
	sqlite3 *to = NULL;
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0) {
		int error = errno;
		return errtext_set(e, -error, "backup %s: %s", path, strerror(error));
	}
	int rc = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE, NULL);
	if (rc == SQLITE_OK) {
		sqlite3_backup *copy = sqlite3_backup_init(to, "main", s->db, "main");
		rc = copy ? sqlite3_backup_step(copy, -1) : sqlite3_errcode(to);
		if (copy)
			sqlite3_backup_finish(copy);
	}
	int error = finish_copy(to, rc, fd, path, e);
	close(fd);
	return error;
}
