#include "admin/upkeep/refresh_send.h"

#include "admin/control.h"
#include "admin/publish/url.h"
#include "admin/store/credential.h"
#include "admin/upkeep/refresh_reply.h"
#include "common/seam.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static int choose_egress(
	struct store *s, int64_t account, uint32_t turn, int64_t *ret, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(s,
		"SELECT x.egress_id, count(*) OVER () FROM account_egresses x"
		" JOIN egresses g ON g.id = x.egress_id"
		" WHERE x.account_id = ?1 AND g.suspended = 0 ORDER BY x.position",
		e);
	int rc;

	if (!st)
		return -EIO;
	sqlite3_bind_int64(st, 1, account);
	rc = store_step(s, st, e);
	int64_t skip = rc == 1 ? (int64_t)turn % sqlite3_column_int64(st, 1) : 0;
	while (rc == 1 && skip-- > 0)
		rc = store_step(s, st, e);
	if (rc == 1)
		*ret = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return rc == 0 ? errtext_set(e, -ENOENT, "it has no usable egress") : rc < 0 ? rc : 0;
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

/* Everything but the egress; the row is copied from before the next statement runs. */
static int read_host(struct control *c, int64_t account, struct slice refresh_token,
	struct refresh_send *s, int64_t *ret_upstream, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(c->store,
		"SELECT u.id, u.token_url, u.client_id FROM accounts a"
		" JOIN upstreams u ON u.id = a.upstream_id WHERE a.id = ?1"
		" AND a.source <> 'watch' AND a.needs_login = ''"
		" AND u.token_url <> '' AND u.client_id <> ''",
		e);

	if (!st)
		return -EIO;
	sqlite3_bind_int64(st, 1, account);
	int rc = store_step(c->store, st, e);
	if (rc == 1) {
		*ret_upstream = sqlite3_column_int64(st, 0);
		refresh_request_format(store_column(st, 2), refresh_token, &s->body);
		int error = format_target(store_column(st, 1), s->target, e);
		sqlite3_reset(st);
		return error ? error : buffer_error(&s->body);
	}
	return rc == 0 ? errtext_set(e, -ENOENT, "it is not refreshed any more") : rc;
}

static int prepare(struct control *c, int64_t account, uint32_t turn, struct refresh_send *s,
	struct errtext *e)
{
	struct credential token;
	int64_t upstream = 0;
	int64_t egress = 0;
	int error =
		credential_get(c->store, c->vault, account, CREDENTIAL_REFRESH_TOKEN, &token, e);

	if (error)
		return error;
	s->parent = token.generation;
	error = read_host(c, account, buffer_slice(&token.value), s, &upstream, e);
	credential_fini(&token);
	if (!error)
		error = choose_egress(c->store, account, turn, &egress, e);
	snprintf(s->backend, sizeof(s->backend), SEAM_HEADER_BACKEND ": " SEAM_BACKEND_TOKEN,
		upstream, egress);
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
