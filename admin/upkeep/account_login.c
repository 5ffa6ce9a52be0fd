#include "admin/upkeep/account_login.h"

#include "admin/store/credential.h"
#include "admin/store/names.h"
#include "admin/store/sql.h"
#include "common/url.h"

#include <errno.h>
#include <stdio.h>

/* --- what is there --- */

struct login {
	char account[NAMES_SIZE];
	char upstream[NAMES_SIZE];
	int64_t upstream_id;
	char token_url[ACCOUNT_CREDENTIAL_URL_SIZE];
	bool has_client_id;
	bool has_secret;
};

static int take_login(struct row *row, void *context)
{
	struct login *l = context;

	row_copy(row, "account", l->account, sizeof(l->account));
	row_copy(row, "upstream", l->upstream, sizeof(l->upstream));
	row_copy(row, "token_url", l->token_url, sizeof(l->token_url));
	l->upstream_id = row_number(row, "upstream_id");
	l->has_client_id = row_text(row, "client_id").n > 0;
	l->has_secret = row_flag(row, "has_secret");
	return 0;
}

static int read_login(struct store *s, int64_t account, struct login *ret, struct errtext *e)
{
	return sql_one(s, e, take_login, ret,
		"SELECT a.name AS account, u.name AS upstream, u.id AS upstream_id, u.token_url,"
		" " ACCOUNT_LOGIN_CLIENT_ID " AS client_id, EXISTS (SELECT 1 FROM credentials c"
		"  WHERE c.account_id = a.id AND c.field = 'client_secret') AS has_secret"
		" FROM accounts a JOIN upstreams u ON u.id = a.upstream_id WHERE a.id = ?1",
		"i", account);
}

/* --- token URL --- */

static bool is_same_place(const struct url *a, const struct url *b)
{
	return a->tls == b->tls && a->port == b->port && strcmp(a->host, b->host) == 0 &&
		strcmp(a->prefix, b->prefix) == 0;
}

static bool is_loopback(const struct url *u)
{
	return strncmp(u->host, "127.", 4) == 0 || strcmp(u->host, "::1") == 0 ||
		strcmp(u->host, "localhost") == 0;
}

/* A file comes from somewhere: no token is sent through the open network because of it. */
static int check_url(const struct credential_file *f, struct url *ret, struct errtext *e)
{
	int error = f->token_url.n >= ACCOUNT_CREDENTIAL_URL_SIZE
		? errtext_set(e, -EINVAL, "it is too long")
		: url_parse(f->token_url, ret, e);

	if (!error && !ret->tls && !is_loopback(ret))
		error = errtext_set(e, -EINVAL, "it is not https");
	return error ? errtext_prefix(e, -EINVAL, "its token URL") : 0;
}

static int refuse_other_url(
	const struct login *l, const char *wanted, const struct url *own, struct errtext *e)
{
	return errtext_set(e, -EINVAL,
		"its token URL is that of %s%s, but accounts of upstream %s refresh at %s: add it to "
		"another upstream",
		own->host_header, own->prefix, l->upstream, wanted);
}

static int set_token_url(struct store *s, const struct login *l, struct slice url,
	struct account_credential_taken *ret, struct errtext *e)
{
	snprintf(ret->token_url, sizeof(ret->token_url), "%.*s", (int)url.n, url.p);
	return sql_run(s, e, "UPDATE upstreams SET token_url = ?1 WHERE id = ?2", "ti",
		ret->token_url, l->upstream_id);
}

/* The upstream's own, else the one that is known of the form, else the file's. */
static int complete_url(struct store *s, const struct login *l, const struct credential_file *f,
	struct account_credential_taken *ret, struct errtext *e)
{
	const char *known = *l->token_url ? l->token_url : f->form->host->url;
	struct url own = {.port = 0};
	struct url wanted = {.port = 0};
	int error = f->token_url.n ? check_url(f, &own, e) : 0;

	if (error)
		return error;
	if (!known && !f->token_url.n)
		return errtext_set(e, -EINVAL,
			"token_url is missing: put it into the file, or relayadm upstreams set %s "
			"--token-url URL",
			l->upstream);
	if (known && f->token_url.n && url_parse(slice_from_str(known), &wanted, NULL) == 0 &&
		!is_same_place(&own, &wanted))
		return refuse_other_url(l, known, &own, e);
	if (*l->token_url)
		return 0;
	return set_token_url(s, l, known ? slice_from_str(known) : f->token_url, ret, e);
}

/* --- client --- */

static int complete_client(struct store *s, int64_t account, const struct login *l,
	const struct provider_token_host *host, struct errtext *e)
{
	if (!l->has_client_id && host->client_id)
		return sql_run(s, e, "UPDATE accounts SET client_id = ?1 WHERE id = ?2", "ti",
			host->client_id, account);
	if (host->secret && (!l->has_client_id || !l->has_secret))
		return errtext_set(e, -EINVAL,
			"%s missing: give --client-id ID and --client-secret-file FILE. %s",
			l->has_client_id	? "client_secret is"
				: l->has_secret ? "client_id is"
						: "client_id and client_secret are",
			host->secret);
	if (!l->has_client_id)
		return errtext_set(e, -EINVAL,
			"client_id is missing: put it into the file, or give --client-id ID");
	return 0;
}

int account_login_complete(struct store *s, int64_t account, const struct credential_file *f,
	struct account_credential_taken *ret, struct errtext *e)
{
	struct login l = {.upstream_id = 0};
	int error = read_login(s, account, &l, e);

	if (!error)
		error = complete_url(s, &l, f, ret, e);
	return error ? error : complete_client(s, account, &l, f->form->host, e);
}

/* --- one owner --- */

struct search {
	const struct vault *vault;
	struct slice refresh_token;
	int64_t account;
	bool is_current; /* the account has it, and may get it again */
	bool is_used_up; /* the account came with it, and has a newer one, unless it is_current */
	char other[NAMES_SIZE]; /* another account has it; empty = none */
};

static bool is_it(const struct search *x, struct row *row)
{
	char field[32];
	const struct vault_place at = {row_copy(row, "field", field, sizeof(field)),
		row_number(row, "account_id"), row_number(row, "generation")};
	struct buffer value = {0};
	bool is = vault_unseal(x->vault, &at, row_text(row, "sealed"), &value, NULL) == 0 &&
		slice_eq_secret(buffer_slice(&value), x->refresh_token);

	buffer_fini(&value);
	return is;
}

static int compare(struct row *row, void *context)
{
	struct search *x = context;

	if (!is_it(x, row))
		return 0;
	if (row_number(row, "account_id") != x->account)
		row_copy(row, "name", x->other, sizeof(x->other));
	else if (row_flag(row, "is_first"))
		x->is_used_up = true;
	else
		x->is_current = true;
	return 0;
}

int account_login_check_unused(struct store *s, const struct vault *v, int64_t account,
	struct slice refresh_token, struct errtext *e)
{
	struct search x = {.vault = v, .refresh_token = refresh_token, .account = account};
	int error = sql_each(s, e, compare, &x,
		"SELECT a.name, c.account_id, c.field, c.generation, c.sealed,"
		" c.field = 'first_token' AS is_first FROM credentials c"
		" JOIN accounts a ON a.id = c.account_id"
		" WHERE c.field IN ('refresh_token', 'first_token')",
		"");

	if (error)
		return error;
	if (*x.other)
		return errtext_set(e, -EEXIST,
			"account %s has this login already: its refresh token can be used once only",
			x.other);
	if (x.is_used_up && !x.is_current)
		return errtext_set(e, -EEXIST,
			"the account has this login already, and has used up this refresh token: its "
			"newer one stays; log in again for another file");
	return 0;
}
