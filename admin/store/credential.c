#include "admin/store/credential.h"

#include "admin/store/sql.h"
#include "common/clock.h"
#include "common/errtext.h"

#include <errno.h>
#include <stdbool.h>

static const struct {
	const char *name;
	const char *title;
	size_t max;
	bool in_header;
} fields[CREDENTIAL_FIELD_COUNT] = {
	[CREDENTIAL_ACCESS_TOKEN] = {"access_token", "access token", SEAM_CREDENTIAL_MAX, true},
	[CREDENTIAL_REFRESH_TOKEN] = {"refresh_token", "refresh token", 256 << 10, false},
	[CREDENTIAL_ID_TOKEN] = {"id_token", "ID token", 64 << 10, true},
	[CREDENTIAL_ACCOUNT_ID] = {"account_id", "account id", 256, true},
	[CREDENTIAL_FIRST_TOKEN] = {"first_token", "first refresh token", 256 << 10, false},
	[CREDENTIAL_CLIENT_SECRET] = {"client_secret", "client secret", 1024, true},
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
	for (size_t i = 0; i < value.n && fields[f].in_header; i++)
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
	return sql_number(s, e, ret,
		"SELECT coalesce(max(generation), 0) + 1 FROM credentials"
		" WHERE account_id = ?1 AND field = ?2",
		"it", account, fields[f].name);
}

static int write_row(struct store *s, int64_t account, const struct vault_place *at,
	struct slice sealed, int64_t expires_ms, struct errtext *e)
{
	return sql_run(s, e,
		"INSERT INTO credentials (account_id, field, generation, sealed, expires_ms, updated_ms)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (account_id, field) DO UPDATE SET"
		" generation = excluded.generation, sealed = excluded.sealed,"
		" expires_ms = excluded.expires_ms, updated_ms = excluded.updated_ms",
		"itibii", account, at->field, at->generation, &sealed, expires_ms, clock_wall_ms());
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

int credential_age(struct store *s, int64_t account, enum credential_field f, int64_t updated_ms,
	struct errtext *e)
{
	return sql_run(s, e,
		"UPDATE credentials SET updated_ms = min(updated_ms, ?3)"
		" WHERE account_id = ?1 AND field = ?2",
		"iti", account, fields[f].name, updated_ms);
}

struct opening {
	const struct vault *vault;
	struct vault_place at;
	struct credential *ret;
	struct errtext *e;
};

static int open_row(struct row *row, void *context)
{
	struct opening *o = context;

	o->ret->generation = o->at.generation = row_number(row, "generation");
	o->ret->expires_ms = row_number(row, "expires_ms");
	o->ret->updated_ms = row_number(row, "updated_ms");
	return vault_unseal(o->vault, &o->at, row_text(row, "sealed"), &o->ret->value, o->e);
}

int credential_get(struct store *s, const struct vault *v, int64_t account, enum credential_field f,
	struct credential *ret, struct errtext *e)
{
	struct opening o = {v, {.field = fields[f].name, .account = account}, ret, e};

	*ret = (struct credential){0};
	int error = sql_one(s, e, open_row, &o,
		"SELECT generation, sealed, expires_ms, updated_ms FROM credentials"
		" WHERE account_id = ?1 AND field = ?2",
		"it", account, fields[f].name);
	if (error == -ENOENT)
		errtext_set(e, error, "the account has no %s", fields[f].title);
	if (error)
		credential_fini(ret);
	return error;
}

void credential_fini(struct credential *c)
{
	buffer_fini(&c->value);
}
