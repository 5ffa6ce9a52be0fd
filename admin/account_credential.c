#include "admin/account_credential.h"

#include "admin/authjson.h"
#include "admin/query.h"

#include <errno.h>

static int put(struct request *r, int64_t account, enum credential_field field, struct slice value,
	int64_t expires_ms)
{
	if (!value.n)
		return 0;
	return credential_put(
		r->control->store, r->control->vault, account, field, value, expires_ms, &r->error);
}

/* A static token beside the refresh token of an earlier import would be refreshed away one day. */
static int drop_field(struct request *r, int64_t account, enum credential_field field)
{
	return query_run(r, "DELETE FROM credentials WHERE account_id = ?1 AND field = ?2", "it",
		account, credential_field_name(field));
}

static int set_source(struct request *r, int64_t account, const char *source)
{
	return query_run(r, "UPDATE accounts SET source = ?1, watch_path = '' WHERE id = ?2", "ti",
		source, account);
}

static int put_or_drop(
	struct request *r, int64_t account, enum credential_field field, struct slice value)
{
	return value.n ? put(r, account, field, value, 0) : drop_field(r, account, field);
}

static int put_all(struct request *r, int64_t account, const struct authjson *a, const char *source)
{
	int error = put(r, account, CREDENTIAL_ACCESS_TOKEN, a->access_token, a->expires_ms);

	if (!error)
		error = put_or_drop(r, account, CREDENTIAL_REFRESH_TOKEN, a->refresh_token);
	if (!error)
		error = put_or_drop(r, account, CREDENTIAL_ID_TOKEN, a->id_token);
	if (!error)
		error = put_or_drop(r, account, CREDENTIAL_ACCOUNT_ID, a->account_id);
	return error ? error : set_source(r, account, source);
}

static int take_auth_json(struct request *r, int64_t account, const char *text)
{
	struct authjson a;
	int error = authjson_parse(slice_from_str(text), &a, &r->error);

	if (error)
		return error;
	error = put_all(r, account, &a, "auth-json");
	authjson_fini(&a);
	return error ? errtext_prefix(&r->error, error, "auth.json") : 0;
}

int account_credential_update(struct request *r, int64_t account)
{
	const char *token = request_text(r, "token");
	const char *auth_json = request_text(r, "auth_json");

	if (auth_json)
		return take_auth_json(r, account, auth_json);
	if (!token)
		return 0;
	struct authjson plain = {.access_token = slice_from_str(token)};
	int error = credential_check(CREDENTIAL_ACCESS_TOKEN, plain.access_token, &r->error);
	if (error)
		return errtext_prefix(&r->error, -EINVAL, "token");
	return put_all(r, account, &plain, "token");
}
