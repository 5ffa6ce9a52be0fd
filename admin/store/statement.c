#include "admin/store/statement.h"

#include "admin/store/store.h"
#include "admin/store/store_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HASHED 32
#define STATEMENTS_MAX 512 /* the program has fewer texts; beyond it the longest unused goes */

/* What a connection aside meets is trouble of the store. */
static void note_trouble(struct store *met)
{
	struct store *s = met->main ? met->main : met;
	int rc = sqlite3_errcode(met->db);
	bool damaged = rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB;
	bool failed = rc == SQLITE_FULL || rc == SQLITE_IOERR || rc == SQLITE_READONLY ||
		rc == SQLITE_CANTOPEN || rc == SQLITE_PERM;

	if (damaged)
		s->trouble = STORE_DAMAGED;
	else if (failed && s->trouble == STORE_FINE)
		s->trouble = STORE_FAILED;
	if ((damaged || failed) && s->trouble != STORE_GONE)
		errtext_set(&s->fault, 0, "store %s: %s", s->path, sqlite3_errmsg(met->db));
}

static void make_way(struct store *aside)
{
	if (sqlite3_get_autocommit(aside->db))
		return;
	store_rollback(aside);
	aside->lost = true;
}

int statement_may_change(struct store *s, struct errtext *e)
{
	if (s->aside)
		make_way(s->aside);
	if (s->lost)
		return errtext_set(e, -EAGAIN, "another change came first");
	if (s->main)
		s = s->main;
	return s->trouble == STORE_GONE ? errtext_set(e, -EIO, "%s", s->fault.text) : 0;
}

int statement_error(struct store *s, struct errtext *e)
{
	int code = store_error_code(s->db);

	if (code == -EIO)
		note_trouble(s);
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

/* --- the cache --- */

static size_t bucket_of(const char *sql)
{
	size_t n = strlen(sql);
	uint32_t h = 2166136261u ^ (uint32_t)n;

	/* some of its letters: texts are long, and compared anyway */
	for (size_t i = 0; i < n; i += 1 + n / HASHED)
		h = (h ^ (uint8_t)sql[i]) * 16777619u;
	return h % STATEMENT_BUCKETS;
}

static void free_statement(struct statement *st)
{
	if (!st)
		return;
	for (int i = 0; i < st->columns; i++)
		free(st->names[i]);
	sqlite3_finalize(st->st);
	free(st);
}

void statement_free_all(struct store *s)
{
	for (size_t i = 0; i < STATEMENT_BUCKETS; i++) {
		struct statement *next;
		for (struct statement *st = s->buckets[i]; st; st = next) {
			next = st->next;
			free_statement(st);
		}
		s->buckets[i] = NULL;
	}
	s->latest = NULL;
}

static void drop_oldest(struct store *s)
{
	struct statement **oldest = NULL;

	for (size_t i = 0; i < STATEMENT_BUCKETS; i++)
		for (struct statement **st = &s->buckets[i]; *st; st = &(*st)->next)
			if (!sqlite3_stmt_busy((*st)->st) &&
				(!oldest || (*st)->used < (*oldest)->used))
				oldest = st;
	if (!oldest)
		return;
	struct statement *gone = *oldest;
	*oldest = gone->next;
	s->latest = NULL;
	free_statement(gone);
	s->count--;
}

static int copy_names(struct statement *st, struct errtext *e)
{
	int columns = sqlite3_column_count(st->st);

	if (columns > STATEMENT_COLUMNS)
		return errtext_set(e, -EIO, "store: a query has %d columns, more than %d", columns,
			STATEMENT_COLUMNS);
	for (; st->columns < columns; st->columns++) {
		const char *name = sqlite3_column_name(st->st, st->columns);
		st->names[st->columns] = name ? strdup(name) : NULL;
		if (!st->names[st->columns])
			return errtext_set(e, -ENOMEM, "store: out of memory");
	}
	return 0;
}

static int prepare(struct store *s, const char *sql, struct statement *st, struct errtext *e)
{
	if (sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &st->st, NULL) !=
		SQLITE_OK)
		return statement_error(s, e);
	return copy_names(st, e);
}

static struct statement *add(struct store *s, const char *sql, size_t bucket, struct errtext *e)
{
	struct statement *st = calloc(1, sizeof(*st));

	if (!st) {
		errtext_set(e, -ENOMEM, "store: out of memory");
		return NULL;
	}
	if (s->count >= STATEMENTS_MAX)
		drop_oldest(s);
	if (prepare(s, sql, st, e)) {
		free_statement(st);
		return NULL;
	}
	st->used = ++s->uses;
	st->next = s->buckets[bucket];
	s->buckets[bucket] = st;
	s->count++;
	return st;
}

static struct statement *find(struct store *s, const char *sql, size_t bucket)
{
	struct statement *st = s->buckets[bucket];

	while (st && strcmp(sqlite3_sql(st->st), sql) != 0)
		st = st->next;
	return st;
}

/* The latest is compared first: a row after the other needs no hash of a long text. */
struct statement *statement_get(struct store *s, const char *sql, struct errtext *e)
{
	struct statement *st = s->latest;

	if (!st || strcmp(sqlite3_sql(st->st), sql) != 0) {
		size_t bucket = bucket_of(sql);
		st = find(s, sql, bucket);
		if (!st)
			st = add(s, sql, bucket, e);
	}
	if (!st)
		return NULL;
	statement_end(st);
	st->used = ++s->uses;
	s->latest = st;
	return st;
}

/* --- running --- */

int statement_step(struct store *s, struct statement *st, struct errtext *e)
{
	int error = sqlite3_stmt_readonly(st->st) ? 0 : statement_may_change(s, e);

	if (error)
		return error;
	switch (sqlite3_step(st->st)) {
	case SQLITE_ROW:
		return 1;
	case SQLITE_DONE:
		return 0;
	default:
		return statement_error(s, e);
	}
}

void statement_end(struct statement *st)
{
	sqlite3_reset(st->st);
	sqlite3_clear_bindings(st->st);
}
