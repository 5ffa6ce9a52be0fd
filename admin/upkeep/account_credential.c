#include "admin/upkeep/account_credential.h"

#include "admin/store/credential.h"
#include "admin/store/names.h"
#include "admin/store/notices.h"
#include "admin/store/sql.h"
#include "admin/upkeep/refresh_refusals.h"
#include "common/errtext.h"

#include <errno.h>

/* --- fields --- */

struct target {
	struct store *store;
	const struct vault *vault;
	int64_t account;
};

/* Without this, a refresh token of an earlier import would replace a static token one day. */
static int drop_field(const struct target *t, enum credential_field field, struct errtext *e)
{
	return sql_run(t->store, e, "DELETE FROM credentials WHERE account_id = ?1 AND field = ?2",
		"it", t->account, credential_field_name(field));
}

static int put_or_drop(const struct target *t, enum credential_field field, struct slice value,
	int64_t expires_ms, struct errtext *e)
{
	return value.n ? credential_put(t->store, t->vault, t->account, field, value, expires_ms, e)
		       : drop_field(t, field, e);
}

static int put_all(const struct target *t, const struct authjson *a, struct errtext *e)
{
	int error = put_or_drop(t, CREDENTIAL_ACCESS_TOKEN, a->access_token, a->expires_ms, e);

	if (!error)
		error = put_or_drop(t, CREDENTIAL_REFRESH_TOKEN, a->refresh_token, 0, e);
	if (!error)
		error = put_or_drop(t, CREDENTIAL_ID_TOKEN, a->id_token, 0, e);
	if (!error)
		error = put_or_drop(t, CREDENTIAL_ACCOUNT_ID, a->account_id, 0, e);
	/* By this age it is renewed. */
	if (!error && a->refresh_token.n && !a->expires_ms && a->last_refresh_ms)
		error = credential_age(
			t->store, t->account, CREDENTIAL_ACCESS_TOKEN, a->last_refresh_ms, e);
	return error;
}

/* The client that owns a watched file uses its refresh token, so it is not kept here. */
static struct authjson without_refresh_token(const struct authjson *a)
{
	struct authjson copy = *a;

	copy.refresh_token = (struct slice){NULL, 0};
	return copy;
}

int account_credential_check_watched(const struct authjson *a, struct errtext *e)
{
	if (a->access_token.n && (a->expires_ms || !a->refresh_token.n))
		return 0;
	return errtext_set(e, -EINVAL, "its access token is missing or is no JWT with an expiry");
}

int account_credential_take(struct store *s, const struct vault *v, int64_t account,
	const struct authjson *a, struct errtext *e)
{
	const struct target t = {s, v, account};
	const struct authjson kept = without_refresh_token(a);

	return put_all(&t, &kept, e);
}

/* --- credentials that an operator sets --- */

static int copy_name(struct row *row, void *context)
{
	row_copy(row, "name", context, NAMES_SIZE);
	return 0;
}

static int resolve_notices(struct store *s, int64_t account, struct errtext *e)
{
	static const char *const kinds[] = {
		NOTICE_NEEDS_LOGIN, NOTICE_REFRESH_FAILING, NOTICE_WATCH_FAILED};
	char subject[NOTICES_SUBJECT_SIZE];
	char name[NAMES_SIZE];
	int error = sql_one(
		s, e, copy_name, name, "SELECT name FROM accounts WHERE id = ?1", "i", account);

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && !error; i++)
		error = notices_resolve(s, kinds[i], notices_subject("account", name, subject), e);
	return error;
}

static int start_anew(
	const struct target *t, const char *source, const char *watch_path, struct errtext *e)
{
	int error = sql_run(t->store, e,
		"UPDATE accounts SET source = ?1, watch_path = ?2, needs_login = '' WHERE id = ?3",
		"tti", source, watch_path, t->account);

	if (!error)
		error = sql_run(t->store, e, "DELETE FROM refreshes WHERE account_id = ?1", "i",
			t->account);
	if (!error)
		error = refresh_refusals_clear(t->store, t->account, e);
	return error ? error : resolve_notices(t->store, t->account, e);
}

static int replace(const struct target *t, const struct authjson *a, const char *source,
	const char *watch_path, struct errtext *e)
{
	int error = put_all(t, a, e);

	return error ? error : start_anew(t, source, watch_path, e);
}

static int take_auth_json(
	const struct target *t, const struct account_credential_given *given, struct errtext *e)
{
	struct authjson a;

	if (!given->file)
		return errtext_set(e, -EINVAL,
			"auth-json: the provider of its upstream has no credential file");
	int error = authjson_parse(given->file, slice_from_str(given->auth_json), &a, e);
	if (error)
		return error;
	if (given->watch_path) {
		struct authjson kept = without_refresh_token(&a);
		error = account_credential_check_watched(&a, e);
		if (!error)
			error = replace(t, &kept, "watch", given->watch_path, e);
	} else {
		error = replace(t, &a, "auth-json", "", e);
	}
	authjson_fini(&a);
	return error ? errtext_prefix(e, error, "%s", given->file->name) : 0;
}

static int take_token(const struct target *t, const char *token, struct errtext *e)
{
	struct authjson plain = {.access_token = slice_from_str(token)};
	int error = credential_check(CREDENTIAL_ACCESS_TOKEN, plain.access_token, e);

	if (error)
		return errtext_prefix(e, -EINVAL, "token");
	return replace(t, &plain, "token", "", e);
}

static int check_watch(const struct account_credential_given *given, struct errtext *e)
{
	if (!given->watch_path)
		return 0;
	if (!given->auth_json)
		return errtext_set(e, -EINVAL, "watch: only with an auth.json");
	if (given->watch_path[0] != '/')
		return errtext_set(e, -EINVAL, "watch: the path must be absolute");
	return 0;
}

int account_credential_update(struct store *s, const struct vault *v, int64_t account,
	const struct account_credential_given *given, struct errtext *e)
{
	const struct target t = {s, v, account};
	int error = check_watch(given, e);

	if (error)
		return error;
	if (given->auth_json)
		return take_auth_json(&t, given, e);
	return given->token ? take_token(&t, given->token, e) : 0;
}
