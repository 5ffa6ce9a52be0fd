#include "admin/upkeep/account_credential.h"

#include "admin/store/credential.h"
#include "admin/store/names.h"
#include "admin/store/notices.h"
#include "admin/store/sql.h"
#include "admin/upkeep/account_login.h"
#include "admin/upkeep/refresh_refusals.h"
#include "common/clock.h"
#include "common/errtext.h"

#include <errno.h>

#define CLIENT_ID_MAX 1024

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

static int put_all(const struct target *t, const struct credential_file *a, struct errtext *e)
{
	int error = put_or_drop(t, CREDENTIAL_ACCESS_TOKEN, a->access_token, a->expires_ms, e);

	if (!error)
		error = put_or_drop(t, CREDENTIAL_REFRESH_TOKEN, a->refresh_token, 0, e);
	if (!error)
		error = put_or_drop(t, CREDENTIAL_FIRST_TOKEN, a->refresh_token, 0, e);
	if (!error)
		error = put_or_drop(t, CREDENTIAL_ID_TOKEN, a->id_token, 0, e);
	if (!error)
		error = put_or_drop(t, CREDENTIAL_ACCOUNT_ID, a->account_id, 0, e);
	if (!error && a->client_secret.n)
		error = credential_put(t->store, t->vault, t->account, CREDENTIAL_CLIENT_SECRET,
			a->client_secret, 0, e);
	/* By this age it is renewed. */
	if (!error && a->refresh_token.n && !a->expires_ms && a->last_refresh_ms)
		error = credential_age(
			t->store, t->account, CREDENTIAL_ACCESS_TOKEN, a->last_refresh_ms, e);
	return error;
}

/* The client that owns a watched file uses its refresh token, so it is not kept here. */
static struct credential_file without_refresh_token(const struct credential_file *a)
{
	struct credential_file copy = *a;

	copy.refresh_token = copy.client_secret = (struct slice){NULL, 0};
	return copy;
}

int account_credential_check_watched(const struct credential_file *a, struct errtext *e)
{
	if (a->access_token.n && (a->expires_ms || !a->refresh_token.n))
		return 0;
	return errtext_set(e, -EINVAL, "its access token is missing, or its expiry is unknown");
}

int account_credential_take(struct store *s, const struct vault *v, int64_t account,
	const struct credential_file *a, struct errtext *e)
{
	const struct target t = {s, v, account};
	const struct credential_file kept = without_refresh_token(a);

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

/* `form` NULL: the credential is no file's. */
static int start_anew(const struct target *t, const char *source, const struct provider_file *form,
	const char *watch_path, struct errtext *e)
{
	int error = sql_run(t->store, e,
		"UPDATE accounts SET source = ?1, watch_path = ?2, login = ?3, needs_login = ''"
		" WHERE id = ?4",
		"ttti", source, watch_path, form ? form->login : "", t->account);

	if (!error)
		error = sql_run(t->store, e, "DELETE FROM refreshes WHERE account_id = ?1", "i",
			t->account);
	if (!error)
		error = refresh_refusals_clear(t->store, t->account, e);
	return error ? error : resolve_notices(t->store, t->account, e);
}

static int replace(const struct target *t, const struct credential_file *a, const char *source,
	const char *watch_path, struct errtext *e)
{
	int error = put_all(t, a, e);

	return error ? error : start_anew(t, source, a->form, watch_path, e);
}

static int watch_file(const struct target *t, const struct credential_file *a,
	const char *watch_path, struct errtext *e)
{
	struct credential_file kept = without_refresh_token(a);
	int error = account_credential_check_watched(a, e);

	return error ? error : replace(t, &kept, "watch", watch_path, e);
}

/* Another client's secret would only be refused. An option overrides the file. */
static int take_client(const struct target *t, const struct account_credential_given *given,
	struct credential_file *a, struct errtext *e)
{
	int error = 0;

	if (given->client_secret)
		a->client_secret = slice_from_str(given->client_secret);
	if (!given->client_id_given && a->client_id.n) {
		if (a->client_id.n > CLIENT_ID_MAX)
			return errtext_set(
				e, -EINVAL, "client_id is longer than %d bytes", CLIENT_ID_MAX);
		error = sql_run(t->store, e,
			"DELETE FROM credentials WHERE account_id = ?1 AND field = 'client_secret'"
			" AND (SELECT client_id FROM accounts WHERE id = ?1) <> ?2",
			"is", t->account, &a->client_id);
		if (!error)
			error = sql_run(t->store, e,
				"UPDATE accounts SET client_id = ?2 WHERE id = ?1", "is",
				t->account, &a->client_id);
	}
	return error;
}

static int own_file(const struct target *t, const struct account_credential_given *given,
	struct credential_file *a, struct account_credential_taken *ret, struct errtext *e)
{
	int error = a->refresh_token.n
		? account_login_check_unused(t->store, t->vault, t->account, a->refresh_token, e)
		: 0;

	if (!error)
		error = take_client(t, given, a, e);
	if (!error)
		error = replace(t, a, "auth-json", "", e);
	if (!error && given->completes && a->refresh_token.n)
		error = account_login_complete(t->store, t->account, a, ret, e);
	return error;
}

static int take_file(const struct target *t, const struct account_credential_given *given,
	struct account_credential_taken *ret, struct errtext *e)
{
	struct credential_file a;

	if (!given->provider)
		return errtext_set(e, -EINVAL, "the provider of its upstream is unknown");
	int error = credential_file_parse(
		given->provider, slice_from_str(given->file), clock_wall_ms(), &a, e);
	if (error)
		return error;
	const struct provider_file *form = a.form;
	error = given->watch_path ? watch_file(t, &a, given->watch_path, e)
				  : own_file(t, given, &a, ret, e);
	credential_file_fini(&a);
	if (error)
		return errtext_prefix(e, error, "%s", form->name);
	ret->form = form;
	return 0;
}

static int take_token(const struct target *t, const char *token, struct errtext *e)
{
	struct credential_file plain = {
		.access_token = credential_file_skip_mark(slice_from_str(token))};
	int error = credential_check(CREDENTIAL_ACCESS_TOKEN, plain.access_token, e);

	if (error)
		return errtext_prefix(e, -EINVAL, "token");
	return replace(t, &plain, "token", "", e);
}

static int check_watch(const struct account_credential_given *given, struct errtext *e)
{
	if (!given->watch_path)
		return 0;
	if (!given->file)
		return errtext_set(e, -EINVAL, "watch: only with a credential file");
	if (given->watch_path[0] != '/')
		return errtext_set(e, -EINVAL, "watch: the path must be absolute");
	return 0;
}

/* A secret beside no other credential belongs to the one that is there. */
static int put_secret(const struct target *t, const char *secret, struct errtext *e)
{
	int error = credential_put(t->store, t->vault, t->account, CREDENTIAL_CLIENT_SECRET,
		slice_from_str(secret), 0, e);

	return error ? errtext_prefix(e, -EINVAL, "client-secret-file") : 0;
}

int account_credential_update(struct store *s, const struct vault *v, int64_t account,
	const struct account_credential_given *given, struct account_credential_taken *ret,
	struct errtext *e)
{
	const struct target t = {s, v, account};
	int error = check_watch(given, e);

	*ret = (struct account_credential_taken){0};
	if (error)
		return error;
	if (given->file)
		return take_file(&t, given, ret, e);
	if (given->token)
		error = take_token(&t, given->token, e);
	return !error && given->client_secret ? put_secret(&t, given->client_secret, e) : error;
}
