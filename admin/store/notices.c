#include "admin/store/notices.h"

#include "admin/store/notices_kept.h"
#include "admin/store/sql.h"
#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TOTAL "notices_total." /* in the settings: how many of a kind were ever opened */
#define KIND_SIZE 64

/* --- raise --- */

/* Cuts between two characters, never inside one. */
static struct slice cut_message(const char *message)
{
	struct slice s = slice_cut(slice_from_str(message), NOTICES_MESSAGE_MAX);

	while (s.n == NOTICES_MESSAGE_MAX && ((unsigned char)message[s.n] & 0xc0) == 0x80)
		s.n--;
	return s;
}

/* `ret_found`: a notice was open and has been counted. */
static int count_on_open(struct store *s, const char *kind, const char *subject,
	struct slice message, bool *ret_found, struct errtext *e)
{
	int error = sql_run(s, e,
		"UPDATE notices SET count = count + 1, last_ms = ?3, message = ?4"
		" WHERE kind = ?1 AND subject = ?2 AND acked_ms = 0",
		"ttis", kind, subject, clock_wall_ms(), &message);

	if (!error)
		*ret_found = store_changed_rows(s) > 0;
	return error;
}

static int insert(struct store *s, const char *kind, const char *subject, struct slice message,
	struct errtext *e)
{
	return sql_run(s, e,
		"INSERT INTO notices (kind, subject, message, created_ms, last_ms)"
		" VALUES (?1, ?2, ?4, ?3, ?3)",
		"ttis", kind, subject, clock_wall_ms(), &message);
}

static int count_opened(struct store *s, const char *kind, struct errtext *e)
{
	return sql_run(s, e,
		"INSERT INTO settings (name, value) VALUES ('" TOTAL "' || ?1, '1')"
		" ON CONFLICT (name) DO UPDATE SET value = CAST(value AS INTEGER) + 1",
		"t", kind);
}

static int forget_old(struct store *s, struct errtext *e)
{
	return sql_run(s, e,
		"DELETE FROM notices WHERE acked_ms > 0 AND id <= (SELECT id FROM notices"
		" WHERE acked_ms > 0 ORDER BY id DESC LIMIT 1 OFFSET ?1)",
		"i", (int64_t)NOTICES_KEPT);
}

static int open_new(struct store *s, const char *kind, const char *subject, struct slice text,
	struct errtext *e)
{
	int error = insert(s, kind, subject, text, e);

	if (!error)
		error = count_opened(s, kind, e);
	return error ? error : forget_old(s, e);
}

int notices_store(struct store *s, const char *kind, const char *subject, const char *message,
	bool *ret_is_new, struct errtext *e)
{
	struct slice text = cut_message(message);
	bool found = false;
	int error = count_on_open(s, kind, subject, text, &found, e);

	if (!error && !found)
		error = open_new(s, kind, subject, text, e);
	if (!error)
		*ret_is_new = !found;
	return error;
}

int notices_raise(struct store *s, const char *kind, const char *subject, const char *message,
	struct errtext *e)
{
	char copy[NOTICES_MESSAGE_MAX + 1]; /* the text may be one that a failure writes over */
	struct slice text = cut_message(message);
	bool is_new = false;

	snprintf(copy, sizeof(copy), "%.*s", (int)text.n, text.p);
	int error = notices_store(s, kind, subject, copy, &is_new, e);
	if (error)
		notices_kept_put(s, kind, subject, slice_from_str(copy));
	else if (is_new)
		log_event(LOG_LEVEL_WARNING, "notice", LOG_STR("kind", kind),
			LOG_STR("subject", subject), LOG_STR("message", copy));
	return error;
}

/* --- resolve --- */

int notices_resolve(struct store *s, const char *kind, const char *subject, struct errtext *e)
{
	notices_kept_drop(s, kind, subject);
	return sql_run(s, e,
		"UPDATE notices SET acked_ms = ?3"
		" WHERE (?1 IS NULL OR kind = ?1) AND subject = ?2 AND acked_ms = 0",
		"tti", kind, subject, clock_wall_ms());
}

const char *notices_subject(const char *what, const char *name, char *out)
{
	snprintf(out, NOTICES_SUBJECT_SIZE, "%s/%s", what, name);
	return out;
}

/* --- counts --- */

int notices_count_open(struct store *s, int64_t *ret, struct errtext *e)
{
	size_t kept;
	int64_t stored = 0;
	int error =
		sql_number(s, e, &stored, "SELECT count(*) FROM notices WHERE acked_ms = 0", "");

	notices_kept_rows(s, &kept);
	*ret = stored + (int64_t)kept;
	return error;
}

bool notices_is_open(struct store *s, const char *kind)
{
	int64_t stored = 0;
	size_t count;
	const struct kept_notice *kept = notices_kept_rows(s, &count);

	for (size_t i = 0; i < count; i++)
		if (strcmp(kept[i].kind, kind) == 0)
			return true;
	return sql_number(s, NULL, &stored,
		       "SELECT count(*) FROM notices WHERE acked_ms = 0 AND kind = ?1", "t",
		       kind) == 0 &&
		stored > 0;
}

struct totals {
	notices_total_fn *fn;
	void *context;
};

static int tell_total(struct row *row, void *context)
{
	const struct totals *t = context;
	char kind[KIND_SIZE];

	t->fn(t->context, row_copy(row, "kind", kind, sizeof(kind)), row_number(row, "opened"));
	return 0;
}

int notices_each_total(struct store *s, notices_total_fn *fn, void *context, struct errtext *e)
{
	struct totals t = {fn, context};

	return sql_each(s, e, tell_total, &t,
		"WITH kinds (kind) AS (VALUES ('" NOTICE_ACCOUNT_SUSPENDED
		"'), ('" NOTICE_ACCOUNT_INVALID "'), ('" NOTICE_NEEDS_LOGIN
		"'), ('" NOTICE_REFRESH_FAILING "'), ('" NOTICE_WATCH_FAILED
		"'), ('" NOTICE_EGRESS_MISMATCH "'), ('" NOTICE_BAN_SPARED
		"'), ('" NOTICE_SNAPSHOT_GIVEN_UP "'), ('" NOTICE_NOT_REPLACED
		"'), ('" NOTICE_STORE_DOWN "'), ('" NOTICE_TOKEN_UNSAVED
		"'), ('" NOTICE_STATE_DAMAGED "'), ('" NOTICE_STATE_LOST
		"'), ('" NOTICE_STATE_REMOVED "')"
		" UNION SELECT substr(name, length('" TOTAL "') + 1) FROM settings"
		"  WHERE name GLOB '" TOTAL "*')"
		" SELECT kind, coalesce((SELECT CAST(value AS INTEGER) FROM settings"
		"  WHERE name = '" TOTAL "' || kind), 0) AS opened FROM kinds ORDER BY kind",
		"");
}
