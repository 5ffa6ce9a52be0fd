#include "admin/upkeep/refresh_journal.h"

#include "common/errtext.h"

#include <errno.h>

#define PLACE "refresh_reply"

static int run_for(struct store *s, const char *sql, int64_t account, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(s, sql, e);

	if (!st)
		return -EIO;
	sqlite3_bind_int64(st, 1, account);
	return store_run(s, st, e);
}

/* --- reading --- */

static void open_reply(
	const struct vault *v, int64_t account, struct slice sealed, struct refresh_row *ret)
{
	const struct vault_place at = {PLACE, account, ret->parent};

	if (vault_unseal(v, &at, sealed, &ret->reply, NULL))
		buffer_clear(&ret->reply);
}

int refresh_journal_get(struct store *s, const struct vault *v, int64_t account,
	struct refresh_row *ret, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(s,
		"SELECT parent, attempt, status, reply_ms, reply FROM refreshes WHERE account_id = ?1",
		e);

	*ret = (struct refresh_row){0};
	if (!st)
		return -EIO;
	sqlite3_bind_int64(st, 1, account);
	int rc = store_step(s, st, e);
	if (rc == 1) {
		ret->parent = sqlite3_column_int64(st, 0);
		ret->sends = (uint32_t)sqlite3_column_int64(st, 1);
		ret->status = (unsigned)sqlite3_column_int64(st, 2);
		ret->reply_ms = sqlite3_column_int64(st, 3);
		ret->has_reply = sqlite3_column_type(st, 4) != SQLITE_NULL;
		if (ret->has_reply)
			open_reply(v, account, store_column(st, 4), ret);
	}
	sqlite3_reset(st);
	return rc == 0 ? -ENOENT : rc < 0 ? rc : 0;
}

void refresh_row_fini(struct refresh_row *r)
{
	buffer_fini(&r->reply);
}

/* --- writing --- */

/* A row about an older token has nothing to say any more. */
int refresh_journal_intend(
	struct store *s, int64_t account, int64_t parent, int64_t now_ms, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(s,
		"INSERT INTO refreshes (account_id, parent, attempt, intent_ms) VALUES (?1, ?2, 1, ?3)"
		" ON CONFLICT (account_id) DO UPDATE SET"
		" attempt = CASE WHEN parent = excluded.parent THEN attempt + 1 ELSE 1 END,"
		" parent = excluded.parent, intent_ms = excluded.intent_ms,"
		" status = 0, reply = NULL, reply_ms = 0",
		e);

	if (!st)
		return -EIO;
	sqlite3_bind_int64(st, 1, account);
	sqlite3_bind_int64(st, 2, parent);
	sqlite3_bind_int64(st, 3, now_ms);
	return store_run(s, st, e);
}

int refresh_journal_reply(struct store *s, const struct vault *v, int64_t account, int64_t parent,
	unsigned status, struct slice body, int64_t now_ms, struct errtext *e)
{
	const struct vault_place at = {PLACE, account, parent};
	struct buffer sealed = {0};
	int error = vault_seal(v, &at, body, &sealed, e);
	sqlite3_stmt *st = error
		? NULL
		: store_statement(s,
			  "UPDATE refreshes SET status = ?3, reply = ?4, reply_ms = ?5"
			  " WHERE account_id = ?1 AND parent = ?2",
			  e);

	if (st) {
		sqlite3_bind_int64(st, 1, account);
		sqlite3_bind_int64(st, 2, parent);
		sqlite3_bind_int64(st, 3, status);
		store_bind_blob(st, 4, buffer_slice(&sealed));
		sqlite3_bind_int64(st, 5, now_ms);
		error = store_run(s, st, e);
		if (!error && store_changed_rows(s) == 0)
			error = -ENOENT;
	} else if (!error) {
		error = -EIO;
	}
	buffer_fini(&sealed);
	return error;
}

int refresh_journal_keep(struct store *s, int64_t account, struct errtext *e)
{
	return run_for(s,
		"UPDATE refreshes SET status = 0, reply = NULL, reply_ms = 0 WHERE account_id = ?1",
		account, e);
}

int refresh_journal_unsend(struct store *s, int64_t account, struct errtext *e)
{
	int error = run_for(
		s, "DELETE FROM refreshes WHERE account_id = ?1 AND attempt <= 1", account, e);

	return error
		? error
		: run_for(s,
			  "UPDATE refreshes SET attempt = attempt - 1, status = 0, reply = NULL,"
			  " reply_ms = 0 WHERE account_id = ?1",
			  account, e);
}

int refresh_journal_clear(struct store *s, int64_t account, struct errtext *e)
{
	return run_for(s, "DELETE FROM refreshes WHERE account_id = ?1", account, e);
}
