#include "admin/upkeep/refresh_send.h"

#include "admin/control.h"
#include "admin/store/credential.h"
#include "admin/store/sql.h"
#include "admin/upkeep/account_login.h"
#include "admin/upkeep/refresh_refusals.h"
#include "admin/upkeep/refresh_reply.h"
#include "common/seam.h"
#include "common/url.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

struct choice {
	int64_t skip; /* -1 = before the first row */
	uint32_t turn;
	int64_t egress; /* 0 = none */
};

static int take_egress(struct row *row, void *context)
{
	struct choice *c = context;

	if (c->skip < 0)
		c->skip = c->turn % row_number(row, "count");
	if (c->skip-- == 0) {
		c->egress = row_number(row, "egress_id");
		c->skip = INT64_MAX;
	}
	return 0;
}

/* The usable egresses take turns, in the account's order of preference. */
static int choose_egress(
	struct store *s, int64_t account, uint32_t turn, int64_t *ret, struct errtext *e)
{
	struct choice c = {.skip = -1, .turn = turn};
	int error = sql_each(s, e, take_egress, &c,
		"SELECT count(*) OVER () AS count, x.egress_id FROM account_egresses x"
		" JOIN egresses g ON g.id = x.egress_id"
		" WHERE x.account_id = ?1 AND g.suspended = 0 ORDER BY x.position",
		"i", account);

	if (!error && !c.egress)
		error = errtext_set(e, -ENOENT, "the account has no usable egress");
	*ret = c.egress;
	return error;
}

static int format_target(struct slice token_url, char out[REFRESH_TARGET_SIZE], struct errtext *e)
{
	struct url url;
	int error = url_parse(token_url, &url, e);

	if (error)
		return errtext_prefix(e, -ENOENT, "token-url");
	snprintf(out, REFRESH_TARGET_SIZE, "%s", url.prefix[0] ? url.prefix : "/");
	return 0;
}

struct host {
	struct slice refresh_token, client_secret;
	struct refresh_send *send;
	int64_t upstream; /* 0 = no row */
	struct errtext *e;
};

/* Accounts of older versions have no login: their token hosts were asked in JSON. */
static bool wants_json(struct slice login)
{
	const struct provider_file *form = login.n ? provider_file_find(login) : NULL;

	return !form || form->host->is_json;
}

static int take_host(struct row *row, void *context)
{
	struct host *h = context;
	struct refresh_send *s = h->send;

	const struct refresh_request request = {
		.client_id = row_text(row, "client_id"),
		.refresh_token = h->refresh_token,
		.client_secret = h->client_secret,
		.is_json = wants_json(row_text(row, "login")),
	};

	h->upstream = row_number(row, "id");
	s->content_type = request.is_json ? "Content-Type: application/json"
					  : "Content-Type: application/x-www-form-urlencoded";
	refresh_request_format(&request, &s->body);
	int error = format_target(row_text(row, "token_url"), s->target, h->e);
	return error ? error : buffer_error(&s->body);
}

/* Everything but the egress. */
static int read_host(struct control *c, int64_t account, struct host *h)
{
	int error = sql_each(c->store, h->e, take_host, h,
		"SELECT u.id, u.token_url, a.login, " ACCOUNT_LOGIN_CLIENT_ID " AS client_id"
		" FROM accounts a JOIN upstreams u ON u.id = a.upstream_id WHERE a.id = ?1"
		" AND a.source <> 'watch' AND " REFRESH_REFUSALS_ALLOW
		" AND u.token_url <> '' AND " ACCOUNT_LOGIN_CLIENT_ID " <> ''",
		"i", account);

	if (!error && !h->upstream)
		error = errtext_set(h->e, -ENOENT, "the account is no longer refreshed");
	return error;
}

/* Most token hosts need none. */
static int read_secret(
	struct control *c, int64_t account, struct credential *ret, struct errtext *e)
{
	int error = credential_get(c->store, c->vault, account, CREDENTIAL_CLIENT_SECRET, ret, e);

	return error == -ENOENT ? 0 : error;
}

static int prepare(struct control *c, int64_t account, uint32_t turn, struct refresh_send *s,
	struct errtext *e)
{
	struct credential token;
	struct credential secret;
	int64_t egress = 0;
	int error =
		credential_get(c->store, c->vault, account, CREDENTIAL_REFRESH_TOKEN, &token, e);

	if (error)
		return error;
	s->parent = token.generation;
	error = read_secret(c, account, &secret, e);
	struct host host = {.refresh_token = buffer_slice(&token.value),
		.client_secret = buffer_slice(&secret.value),
		.send = s,
		.e = e};
	if (!error)
		error = read_host(c, account, &host);
	credential_fini(&token);
	credential_fini(&secret);
	if (!error)
		error = choose_egress(c->store, account, turn, &egress, e);
	snprintf(s->backend, sizeof(s->backend), SEAM_HEADER_BACKEND ": " SEAM_BACKEND_TOKEN,
		host.upstream, egress);
	return error;
}

int refresh_send_prepare(struct control *c, int64_t account, uint32_t turn,
	struct refresh_send *ret, struct errtext *e)
{
	struct refresh_send s = {0};
	int error = prepare(c, account, turn, &s, e);

	if (error)
		refresh_send_fini(&s);
	else
		*ret = s;
	return error;
}

void refresh_send_fini(struct refresh_send *s)
{
	buffer_fini(&s->body);
}
