#include "admin/upkeep/account_credential.h"

#include "admin/api/query.h"
#include "admin/store/names.h"
#include "admin/store/notices.h"
#include "admin/upkeep/refresh_settle.h"

#include <errno.h>
#include <stdio.h>

/* --- fields --- */

struct target {
	struct store *store;
	const struct vault *vault;
	int64_t account;
};

/* A static token beside the refresh token of an earlier import would be refreshed away one day. */
static int drop_field(const struct target *t, enum credential_field field, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(
		t->store, "DELETE FROM credentials WHERE account_id = ?1 AND field = ?2", e);

	if (!st)
		return -EIO;
	sqlite3_bind_int64(st, 1, t->account);
	store_bind_text(st, 2, credential_field_name(field));
	return store_run(t->store, st, e);
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
	return error ? error : put_or_drop(t, CREDENTIAL_ACCOUNT_ID, a->account_id, 0, e);
}

/* The refresh token of a watched file is its owner's business: it is not even kept. */
static struct authjson without_refresh_token(const struct authjson *a)
{
	struct authjson copy = *a;

	copy.refresh_token = (struct slice){NULL, 0};
	return copy;
}

int account_credential_take(struct store *s, const struct vault *v, int64_t account,
	const struct authjson *a, struct errtext *e)
{
	const struct target t = {s, v, account};
	const struct authjson kept = without_refresh_token(a);

	return put_all(&t, &kept, e);
}

/* --- out of a body --- */

static int read_name(struct request *r, int64_t account, char out[NAMES_SIZE])
{
	sqlite3_stmt *st = store_statement(
		r->control->store, "SELECT name FROM accounts WHERE id = ?1", &r->error);

	if (!st)
		return -EIO;
	sqlite3_bind_int64(st, 1, account);
	int rc = store_step(r->control->store, st, &r->error);
	if (rc == 1) {
		struct slice name = slice_cut(store_column(st, 0), NAMES_SIZE - 1);
		snprintf(out, NAMES_SIZE, "%.*s", (int)name.n, name.p);
	}
	sqlite3_reset(st);
	return rc == 1 ? 0 : rc < 0 ? rc : -ENOENT;
}

static int resolve_notices(struct request *r, int64_t account)
{
	static const char *const kinds[] = {
		NOTICE_NEEDS_LOGIN, NOTICE_REFRESH_FAILING, NOTICE_WATCH_FAILED};
	char subject[NOTICES_SUBJECT_SIZE];
	char name[NAMES_SIZE];
	int error = read_name(r, account, name);

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && !error; i++)
		error = notices_resolve(r->control->store, kinds[i],
			notices_subject("account", name, subject), &r->error);
	return error;
}

static int start_anew(
	struct request *r, int64_t account, const char *source, const char *watch_path)
{
	int error = query_run(r,
		"UPDATE accounts SET source = ?1, watch_path = ?2, needs_login = '' WHERE id = ?3",
		"tti", source, watch_path, account);

	if (!error)
		error = query_run(r, "DELETE FROM refreshes WHERE account_id = ?1", "i", account);
	return error ? error : resolve_notices(r, account);
}

static int replace(struct request *r, int64_t account, const struct authjson *a, const char *source,
	const char *watch_path)
{
	const struct target t = {r->control->store, r->control->vault, account};
	int error = put_all(&t, a, &r->error);

	return error ? error : start_anew(r, account, source, watch_path);
}

static int take_auth_json(struct request *r, int64_t account, const char *text, const char *path)
{
	struct authjson a;
	int error = authjson_parse(slice_from_str(text), &a, &r->error);

	if (error)
		return error;
	if (path) {
		struct authjson kept = without_refresh_token(&a);
		error = replace(r, account, &kept, "watch", path);
	} else {
		error = replace(r, account, &a, "auth-json", "");
	}
	authjson_fini(&a);
	return error ? errtext_prefix(&r->error, error, "auth.json") : 0;
}

static int take_token(struct request *r, int64_t account, const char *token)
{
	struct authjson plain = {.access_token = slice_from_str(token)};
	int error = credential_check(CREDENTIAL_ACCESS_TOKEN, plain.access_token, &r->error);

	if (error)
		return errtext_prefix(&r->error, -EINVAL, "token");
	return replace(r, account, &plain, "token", "");
}

static int check_watch(struct request *r, const char *auth_json, const char *path)
{
	if (!path)
		return 0;
	if (!auth_json)
		return errtext_set(&r->error, -EINVAL, "watch: only with an auth.json");
	if (path[0] != '/')
		return errtext_set(&r->error, -EINVAL, "watch: the path must be absolute");
	return 0;
}

int account_credential_update(struct request *r, int64_t account)
{
	const char *token = request_text(r, "token");
	const char *auth_json = request_text(r, "auth_json");
	const char *path = request_text(r, "watch_path");
	int error = check_watch(r, auth_json, path);

	if (error)
		return error;
	if (auth_json)
		return take_auth_json(r, account, auth_json, path);
	return token ? take_token(r, account, token) : 0;
}
