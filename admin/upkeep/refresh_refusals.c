#include "admin/upkeep/refresh_refusals.h"

#include "admin/store/sql.h"
#include "admin/upkeep/refresh_plan.h"
#include "common/errtext.h"

static int read_row(struct row *row, void *context)
{
	struct refresh_refusals *ret = context;

	ret->since_ms = row_number(row, "since_ms");
	ret->lasted_ms = row_number(row, "lasted_ms");
	ret->answers = row_number(row, "answers");
	return 0;
}

int refresh_refusals_note(struct store *s, int64_t account, int64_t parent, int64_t at_ms,
	struct refresh_refusals *ret, struct errtext *e)
{
	int error =
		sql_run(s, e, "DELETE FROM refresh_refusals WHERE account_id = ?1 AND parent <> ?2",
			"ii", account, parent);

	if (!error)
		error = sql_run(s, e,
			"INSERT INTO refresh_refusals"
			" (account_id, parent, since_ms, last_ms, lasted_ms, answers)"
			" VALUES (?1, ?2, ?3, ?3, 0, 1) ON CONFLICT (account_id) DO UPDATE SET"
			" lasted_ms = lasted_ms + max(0, min(?4, excluded.last_ms - last_ms)),"
			" last_ms = excluded.last_ms, answers = answers + 1",
			"iiii", account, parent, at_ms, REFRESH_REFUSAL_STEP_MS);
	return error ? error
		     : sql_one(s, e, read_row, ret,
			       "SELECT since_ms, lasted_ms, answers FROM refresh_refusals"
			       " WHERE account_id = ?1",
			       "i", account);
}

int refresh_refusals_clear(struct store *s, int64_t account, struct errtext *e)
{
	return sql_run(s, e, "DELETE FROM refresh_refusals WHERE account_id = ?1", "i", account);
}
