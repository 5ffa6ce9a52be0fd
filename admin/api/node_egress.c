#include "admin/api/node_egress.h"

#include "admin/api/query.h"
#include "admin/store/store.h"
#include "common/errtext.h"
#include "common/ip.h"
#include "common/url.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static int update_path(struct request *r, const char *field, const char *sql, int64_t id)
{
	const char *path = request_text(r, field);

	if (!path)
		return 0;
	/* without the file HAProxy refuses its whole configuration, with every change again */
	if (access(path, R_OK) < 0)
		return errtext_set(&r->error, -EINVAL, "%s: %s: %s", field, path, strerror(errno));
	return query_run(r, sql, "ti", path, id);
}

static int refuse_half(struct request *r, struct row *row, void *context)
{
	bool has_cert = row_flag(row, "has_cert");
	bool has_ca = row_flag(row, "has_ca");

	(void)context;
	if (slice_eq_str(row_text(row, "kind"), "node"))
		return has_cert && has_ca
			? 0
			: errtext_set(&r->error, -EINVAL,
				  "a node needs cert and ca: the relay and the node know each other "
				  "by certificates");
	if (has_cert || has_ca)
		return errtext_set(&r->error, -EINVAL, "cert and ca are for nodes only");
	return 0;
}

int node_egress_update(struct request *r, int64_t id)
{
	int error = 0;

	/* an egress that is no node any more has no certificate files */
	if (request_has(r, "source") || request_has(r, "socks4"))
		error = query_run(r,
			"UPDATE egresses SET node_cert = '', node_ca = '' WHERE id = ?1", "i", id);
	if (!error)
		error = update_path(
			r, "cert", "UPDATE egresses SET node_cert = ?1 WHERE id = ?2", id);
	if (!error)
		error = update_path(r, "ca", "UPDATE egresses SET node_ca = ?1 WHERE id = ?2", id);
	return error ? error
		     : query_each(r, refuse_half, NULL,
			       "SELECT kind, node_cert <> '' AS has_cert, node_ca <> '' AS has_ca"
			       " FROM egresses WHERE id = ?1",
			       "i", id);
}

void node_egress_describe(struct slice kind, struct slice cert, struct slice ca, json_object *o)
{
	if (!slice_eq_str(kind, "node"))
		return;
	answer_slice(o, "cert", cert);
	answer_slice(o, "ca", ca);
}

static int refuse_pair(struct request *r, struct row *row, const char *what, const char *why)
{
	struct slice upstream = row_text(row, "upstream");
	struct slice egress = row_text(row, "egress");

	return errtext_set(&r->error, -EINVAL,
		"upstream \"%.*s\" cannot be reached through egress \"%.*s\", which is a node: its %s %s",
		(int)upstream.n, upstream.p, (int)egress.n, egress.p, what, why);
}

static int check_url(struct request *r, struct row *row, const char *what, struct slice text)
{
	struct url url;
	struct ip ip;
	int error = text.n ? url_parse(text, &url, &r->error) : 0;

	if (error || !text.n)
		return error;
	if (!url.tls)
		return refuse_pair(
			r, row, what, "is not https, and a node must not see what is sent");
	if (ip_parse(slice_from_str(url.host), &ip) == 0)
		return refuse_pair(r, row, what, "has an address, and a node is told names only");
	return 0;
}

static int check_pair(struct request *r, struct row *row, void *context)
{
	int error = check_url(r, row, "URL", row_text(row, "url"));

	(void)context;
	return error ? error : check_url(r, row, "token URL", row_text(row, "token_url"));
}

int node_egress_check(struct request *r, int64_t account)
{
	return query_each(r, check_pair, NULL,
		"SELECT DISTINCT u.name AS upstream, g.name AS egress, u.url, u.token_url"
		" FROM accounts a"
		" JOIN account_egresses x ON x.account_id = a.id"
		" JOIN egresses g ON g.id = x.egress_id AND g.kind = 'node'"
		" JOIN upstreams u ON u.id = a.upstream_id"
		" WHERE a.id BETWEEN ?1 AND coalesce(nullif(?1, 0), 9223372036854775807)"
		" ORDER BY u.name, g.name",
		"i", account);
}
