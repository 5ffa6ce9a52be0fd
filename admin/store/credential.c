#include "admin/store/credential.h"

#include "common/clock.h"
#include "common/errtext.h"

#include <errno.h>

static const struct {
	const char *name;
	const char *title;
	size_t max;
} fields[CREDENTIAL_FIELD_COUNT] = {
	[CREDENTIAL_ACCESS_TOKEN] = {"access_token", "access token", SEAM_CREDENTIAL_MAX},
	[CREDENTIAL_REFRESH_TOKEN] = {"refresh_token", "refresh token", 16384},
	[CREDENTIAL_ID_TOKEN] = {"id_token", "ID token", 16384},
	[CREDENTIAL_ACCOUNT_ID] = {"account_id", "account id", 256},
};

const char *credential_field_name(enum credential_field f)
{
	return fields[f].name;
}

int credential_check(enum credential_field f, struct slice value, struct errtext *e)
{
	if (!value.n)
		return errtext_set(e, -EINVAL, "the %s is empty", fields[f].title);
	if (value.n > fields[f].max)
		return errtext_set(e, -EFBIG, "the %s is %zu bytes long; at most %zu are possible",
			fields[f].title, value.n, fields[f].max);
	for (size_t i = 0; i < value.n; i++)
		if (value.p[i] < 0x21 || value.p[i] > 0x7e)
			return errtext_set(e, -EINVAL,
				"the %s has a blank, a line break or another character that cannot stand "
				"in a header (at byte %zu)",
				fields[f].title, i + 1);
	return 0;
}

/* The generation of the next write. */
static int next_generation(
	struct store *s, int64_t account, enum credential_field f, int64_t *ret, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(s,
		"SELECT coalesce(max(generation), 0) + 1 FROM credentials"
		" WHERE account_id = ?1 AND field = ?2",
		e);

	if (!st)
		return -EIO;
	sqlite3_bind_int64(st, 1, account);
	store_bind_text(st, 2, fields[f].name);
	int rc = store_step(s, st, e);
	if (rc == 1)
		*ret = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return rc < 0 ? rc : 0;
}

static int write_row(struct store *s, int64_t account, const struct vault_place *at,
	struct slice sealed, int64_t expires_ms, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(s,
		"INSERT INTO credentials (account_id, field, generation, sealed, expires_ms, updated_ms)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (account_id, field) DO UPDATE SET"
		" generation = excluded.generation, sealed = excluded.sealed,"
		" expires_ms = excluded.expires_ms, updated_ms = excluded.updated_ms",
		e);

	if (!st)
		return -EIO;
	sqlite3_bind_int64(st, 1, account);
	store_bind_text(st, 2, at->field);
	sqlite3_bind_int64(st, 3, at->generation);
	store_bind_blob(st, 4, sealed);
	sqlite3_bind_int64(st, 5, expires_ms);
	sqlite3_bind_int64(st, 6, clock_wall_ms());
	return store_run(s, st, e);
}

int credential_put(struct store *s, const struct vault *v, int64_t account, enum credential_field f,
	struct slice value, int64_t expires_ms, struct errtext *e)
{
	struct vault_place at = {.field = fields[f].name, .account = account};
	struct buffer sealed = {0};
	int error = credential_check(f, value, e);

	if (!error)
		error = next_generation(s, account, f, &at.generation, e);
	if (!error)
		error = vault_seal(v, &at, value, &sealed, e);
	if (!error)
		error = write_row(s, account, &at, buffer_slice(&sealed), expires_ms, e);
	buffer_fini(&sealed);
	return error;
}

int credential_get(struct store *s, const struct vault *v, int64_t account, enum credential_field f,
	struct credential *ret, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(s,
		"SELECT generation, sealed, expires_ms, updated_ms FROM credentials"
		" WHERE account_id = ?1 AND field = ?2",
		e);

	*ret = (struct credential){0};
	if (!st)
		return -EIO;
	sqlite3_bind_int64(st, 1, account);
	store_bind_text(st, 2, fields[f].name);
	int rc = store_step(s, st, e);
	if (rc == 0)
		return errtext_set(e, -ENOENT, "the account has no %s", fields[f].title);
	if (rc < 0)
		return rc;
	ret->generation = sqlite3_column_int64(st, 0);
	ret->expires_ms = sqlite3_column_int64(st, 2);
	ret->updated_ms = sqlite3_column_int64(st, 3);
	struct vault_place at = {fields[f].name, account, ret->generation};
	rc = vault_unseal(v, &at, store_column(st, 1), &ret->value, e);
	sqlite3_reset(st);
	if (rc)
		credential_fini(ret);
	return rc;
}

void credential_fini(struct credential *c)
{
	buffer_fini(&c->value);
}
