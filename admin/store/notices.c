#include "admin/store/notices.h"

#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <stdio.h>

#define TOTAL "notices_total." /* in the settings: how many of a kind were ever opened */

static int run_with(struct store *s, sqlite3_stmt *st, const char *kind, const char *subject,
	int64_t now_ms, struct errtext *e)
{
	if (!st)
		return -EIO;
	store_bind_text(st, 1, kind);
	store_bind_text(st, 2, subject);
	sqlite3_bind_int64(st, 3, now_ms);
	return store_run(s, st, e);
}

/* --- raise --- */

/* Not in the middle of a character. */
static struct slice cut_message(const char *message)
{
	struct slice s = slice_cut(slice_from_str(message), NOTICES_MESSAGE_MAX);

	while (s.n == NOTICES_MESSAGE_MAX && ((unsigned char)message[s.n] & 0xc0) == 0x80)
		s.n--;
	return s;
}

/* `ret_found`: one is open, and has been counted. */
static int count_on_open(struct store *s, const char *kind, const char *subject,
	struct slice message, bool *ret_found, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(s,
		"UPDATE notices SET count = count + 1, last_ms = ?3, message = ?4"
		" WHERE kind = ?1 AND subject = ?2 AND acked_ms = 0",
		e);

	if (st)
		store_bind_slice(st, 4, message);
	int error = run_with(s, st, kind, subject, clock_wall_ms(), e);
	if (!error)
		*ret_found = store_changed_rows(s) > 0;
	return error;
}

static int insert(struct store *s, const char *kind, const char *subject, struct slice message,
	struct errtext *e)
{
	sqlite3_stmt *st = store_statement(s,
		"INSERT INTO notices (kind, subject, message, created_ms, last_ms)"
		" VALUES (?1, ?2, ?4, ?3, ?3)",
		e);

	if (st)
		store_bind_slice(st, 4, message);
	return run_with(s, st, kind, subject, clock_wall_ms(), e);
}

static int count_opened(struct store *s, const char *kind, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(s,
		"INSERT INTO settings (name, value) VALUES ('" TOTAL "' || ?1, '1')"
		" ON CONFLICT (name) DO UPDATE SET value = CAST(value AS INTEGER) + 1",
		e);

	if (!st)
		return -EIO;
	store_bind_text(st, 1, kind);
	return store_run(s, st, e);
}

static int forget_old(struct store *s, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(s,
		"DELETE FROM notices WHERE acked_ms > 0 AND id <= (SELECT id FROM notices"
		" WHERE acked_ms > 0 ORDER BY id DESC LIMIT 1 OFFSET ?1)",
		e);

	if (!st)
		return -EIO;
	sqlite3_bind_int64(st, 1, NOTICES_KEPT);
	return store_run(s, st, e);
}

int notices_raise(struct store *s, const char *kind, const char *subject, const char *message,
	struct errtext *e)
{
	struct slice text = cut_message(message);
	bool found = false;
	int error = count_on_open(s, kind, subject, text, &found, e);

	if (error || found)
		return error;
	error = insert(s, kind, subject, text, e);
	if (!error)
		error = count_opened(s, kind, e);
	if (error)
		return error;
	log_event(LOG_LEVEL_WARNING, "notice", LOG_STR("kind", kind), LOG_STR("subject", subject),
		LOG_SLICE("message", text));
	return forget_old(s, e);
}

/* --- resolve --- */

int notices_resolve(struct store *s, const char *kind, const char *subject, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(s,
		"UPDATE notices SET acked_ms = ?3"
		" WHERE (?1 IS NULL OR kind = ?1) AND subject = ?2 AND acked_ms = 0",
		e);

	return run_with(s, st, kind, subject, clock_wall_ms(), e);
}

const char *notices_subject(const char *what, const char *name, char *out)
{
	snprintf(out, NOTICES_SUBJECT_SIZE, "%s/%s", what, name);
	return out;
}

/* --- counts --- */

int notices_count_open(struct store *s, int64_t *ret, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(s, "SELECT count(*) FROM notices WHERE acked_ms = 0", e);
	int rc = st ? store_step(s, st, e) : -EIO;

	if (rc == 1)
		*ret = sqlite3_column_int64(st, 0);
	if (st)
		sqlite3_reset(st);
	return rc < 0 ? rc : 0;
}

int notices_each_total(struct store *s, notices_total_fn *fn, void *context, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(s,
		"WITH kinds (kind) AS (VALUES ('" NOTICE_ACCOUNT_SUSPENDED
		"'), ('" NOTICE_ACCOUNT_INVALID "'), ('" NOTICE_NEEDS_LOGIN
		"'), ('" NOTICE_REFRESH_FAILING "'), ('" NOTICE_WATCH_FAILED
		"'), ('" NOTICE_EGRESS_MISMATCH "')"
		" UNION SELECT substr(name, length('" TOTAL "') + 1) FROM settings"
		"  WHERE name GLOB '" TOTAL "*')"
		" SELECT kind, coalesce((SELECT CAST(value AS INTEGER) FROM settings"
		"  WHERE name = '" TOTAL "' || kind), 0) FROM kinds ORDER BY kind",
		e);
	int rc = -EIO;

	while (st && (rc = store_step(s, st, e)) == 1)
		fn(context, (const char *)sqlite3_column_text(st, 0), sqlite3_column_int64(st, 1));
	return rc;
}
