#include "admin/upkeep/refresh_journal.h"

#include "admin/store/sql.h"
#include "admin/store/store.h"
#include "common/errtext.h"

#include <errno.h>

#define PLACE VAULT_PLACE_REPLY

/* --- reading --- */

struct reading {
	const struct vault *vault;
	int64_t account;
	struct refresh_row *ret;
};

/* A reply that does not unseal reads as an empty one. */
static int read_row(struct row *row, void *context)
{
	const struct reading *r = context;
	struct refresh_row *ret = r->ret;

	ret->parent = row_number(row, "parent");
	ret->sends = row_u32(row, "attempt");
	ret->status = row_u32(row, "status");
	ret->intent_ms = row_number(row, "intent_ms");
	ret->reply_ms = row_number(row, "reply_ms");
	ret->has_reply = !row_is_null(row, "reply");
	ret->has_unread = !row_is_null(row, "unread");
	row_copy(row, "encoding", ret->encoding, sizeof(ret->encoding));
	const struct vault_place at = {PLACE, r->account, ret->parent};
	if (ret->has_reply &&
		vault_unseal(r->vault, &at, row_text(row, "reply"), &ret->reply, NULL))
		buffer_clear(&ret->reply);
	return 0;
}

int refresh_journal_get(struct store *s, const struct vault *v, int64_t account,
	struct refresh_row *ret, struct errtext *e)
{
	struct reading r = {v, account, ret};

	*ret = (struct refresh_row){0};
	return sql_one(s, e, read_row, &r,
		"SELECT parent, attempt, intent_ms, status, reply_ms, encoding, reply, unread"
		" FROM refreshes"
		" WHERE account_id = ?1",
		"i", account);
}

void refresh_row_fini(struct refresh_row *r)
{
	buffer_fini(&r->reply);
}

/* --- writing --- */

/* Replaces a row about an older token. */
int refresh_journal_intend(
	struct store *s, int64_t account, int64_t parent, int64_t now_ms, struct errtext *e)
{
	return sql_run(s, e,
		"INSERT INTO refreshes (account_id, parent, attempt, intent_ms) VALUES (?1, ?2, 1, ?3)"
		" ON CONFLICT (account_id) DO UPDATE SET"
		" attempt = CASE WHEN parent = excluded.parent THEN attempt + 1 ELSE 1 END,"
		" unread = CASE WHEN parent = excluded.parent THEN unread END,"
		" parent = excluded.parent, intent_ms = excluded.intent_ms,"
		" status = 0, reply = NULL, reply_ms = 0",
		"iii", account, parent, now_ms);
}

int refresh_journal_reply(struct store *s, const struct vault *v, int64_t account, int64_t parent,
	const struct refresh_raw *raw, struct errtext *e)
{
	const struct vault_place at = {PLACE, account, parent};
	struct buffer sealed = {0};
	int error = vault_seal(v, &at, raw->body, &sealed, e);
	struct slice reply = buffer_slice(&sealed);

	if (!error)
		error = sql_run(s, e,
			"UPDATE refreshes SET status = ?3, reply = ?4, reply_ms = ?5, encoding = ?6"
			" WHERE account_id = ?1 AND parent = ?2",
			"iiibit", account, parent, (int64_t)raw->status, &reply, raw->arrived_ms,
			raw->encoding);
	if (!error && store_changed_rows(s) == 0)
		error = -ENOENT;
	buffer_fini(&sealed);
	return error;
}

int refresh_journal_keep(struct store *s, int64_t account, bool unread, struct errtext *e)
{
	return sql_run(s, e,
		"UPDATE refreshes SET status = 0, reply = NULL, reply_ms = 0,"
		" unread = CASE WHEN ?2 THEN coalesce(unread, reply) ELSE unread END"
		" WHERE account_id = ?1",
		"ii", account, (int64_t)unread);
}

int refresh_journal_unsend(struct store *s, int64_t account, struct errtext *e)
{
	int error = sql_run(
		s, e, "DELETE FROM refreshes WHERE account_id = ?1 AND attempt <= 1", "i", account);

	return error
		? error
		: sql_run(s, e,
			  "UPDATE refreshes SET attempt = attempt - 1, status = 0, reply = NULL,"
			  " reply_ms = 0 WHERE account_id = ?1",
			  "i", account);
}

int refresh_journal_clear(struct store *s, int64_t account, struct errtext *e)
{
	return sql_run(s, e, "DELETE FROM refreshes WHERE account_id = ?1", "i", account);
}

int refresh_journal_close(struct store *s, int64_t account, struct errtext *e)
{
	int error = sql_run(s, e, "DELETE FROM refreshes WHERE account_id = ?1 AND unread IS NULL",
		"i", account);

	return error ? error : refresh_journal_keep(s, account, false, e);
}
