#include "admin/api/handlers.h"
#include "admin/store/store.h"
#include "common/errtext.h"

#include "admin/api/headers.h"
#include "admin/api/node_egress.h"
#include "admin/publish/certificate.h"
#include "common/clock.h"
#include "common/provider.h"
#include "common/url.h"

#include <errno.h>

static void describe(struct request *r, struct row *row, json_object *o)
{
	(void)r;
	answer_slice(o, "name", row_text(row, "name"));
	answer_slice(o, "url", row_text(row, "url"));
	answer_slice(o, "provider", row_text(row, "provider"));
	answer_slice(o, "strip", row_text(row, "strip"));
	headers_describe(o, "headers", row_text(row, "headers"));
	answer_slice(o, "ca_pem", row_text(row, "ca_pem"));
	answer_duration(
		o, "first_byte_timeout", (uint64_t)row_number(row, "first_byte_timeout_ms"));
	answer_slice(o, "token_url", row_text(row, "token_url"));
	answer_slice(o, "client_id", row_text(row, "client_id"));
	answer_slice(o, "probe", row_text(row, "probe_path"));
	answer_flag(o, "websocket", row_flag(row, "websocket"));
	answer_flag(o, "http2", row_flag(row, "http2"));
	answer_number(o, "accounts", row_number(row, "accounts"));
	answer_time(o, "created_at", row_number(row, "created_ms"));
}

static const struct noun_column columns[] = {
	{"provider", "UPDATE upstreams SET provider = ?1 WHERE id = ?2", NOUN_TEXT},
	{"ca_pem", "UPDATE upstreams SET ca_pem = ?1 WHERE id = ?2", NOUN_TEXT},
	{"first_byte_timeout", "UPDATE upstreams SET first_byte_timeout_ms = ?1 WHERE id = ?2",
		NOUN_DURATION},
	{"token_url", "UPDATE upstreams SET token_url = ?1 WHERE id = ?2", NOUN_TEXT},
	{"client_id", "UPDATE upstreams SET client_id = ?1 WHERE id = ?2", NOUN_TEXT},
	{"probe", "UPDATE upstreams SET probe_path = ?1 WHERE id = ?2", NOUN_TEXT},
	{"websocket", "UPDATE upstreams SET websocket = ?1 WHERE id = ?2", NOUN_SWITCH},
	{"http2", "UPDATE upstreams SET http2 = ?1 WHERE id = ?2", NOUN_SWITCH},
	{"url", "UPDATE upstreams SET url = ?1 WHERE id = ?2", NOUN_TEXT},
	{NULL, NULL, NOUN_TEXT},
};

const struct noun noun_upstream = {
	.what = "upstream",
	.find = "SELECT id FROM upstreams WHERE name = ?1",
	.select = "SELECT u.id, u.name, u.url, u.provider, u.strip, u.headers, u.ca_pem,"
		  " u.first_byte_timeout_ms, u.token_url, u.client_id, u.created_ms,"
		  " (SELECT count(*) FROM accounts a WHERE a.upstream_id = u.id) AS accounts,"
		  " u.probe_path, u.websocket, u.http2 FROM upstreams u " NOUN_PAGE("u.name"),
	.describe = describe,
	.columns = columns,
};

int upstream_insert(struct request *r, const char *name, int64_t *ret_id)
{
	if (!request_has(r, "url"))
		return errtext_set(&r->error, -EINVAL, "url is missing");
	int error = query_run(r,
		"INSERT INTO upstreams (name, url, provider, created_ms) VALUES (?1, '', ?2, ?3)",
		"tti", name, PROVIDER_DEFAULT, clock_wall_ms());
	if (!error)
		*ret_id = store_last_id(r->control->store);
	return noun_insert_error(r, &noun_upstream, error);
}

static int check_ca(struct request *r)
{
	const char *pem = request_text(r, "ca_pem");

	if (!pem || !*pem)
		return 0;
	int error = certificate_check(slice_from_str(pem), &r->error);
	return error ? errtext_prefix(&r->error, -EINVAL, "ca-file") : 0;
}

/* Without a '/' at its end. */
static int update_strip(struct request *r, int64_t id)
{
	const char *text = request_text(r, "strip");
	char strip[SEAM_PREFIX_MAX + 1];

	if (!text)
		return 0;
	int error = url_parse_prefix(slice_from_str(text), strip, &r->error);
	return error
		? error
		: query_run(r, "UPDATE upstreams SET strip = ?1 WHERE id = ?2", "ti", strip, id);
}

int upstream_update(struct request *r, int64_t id)
{
	int error = check_ca(r);

	if (!error)
		error = noun_update(r, &noun_upstream, id);
	if (!error)
		error = update_strip(r, id);
	if (!error)
		error = headers_update(r, "UPDATE upstreams SET headers = ?1 WHERE id = ?2", id);
	if (!error)
		error = headers_check_upstream(r, id);
	return error ? error : node_egress_check(r, 0);
}

int upstreams_add(struct request *r)
{
	const char *name = request_text(r, "name");
	int64_t id = 0;
	int error = upstream_insert(r, name, &id);

	if (!error)
		error = upstream_update(r, id);
	return error ? error : noun_show(r, &noun_upstream, name, r->answer);
}

int upstreams_set(struct request *r)
{
	int64_t id = 0;
	int error = noun_subject(r, &noun_upstream, &id);

	if (!error)
		error = upstream_update(r, id);
	return error ? error : noun_show(r, &noun_upstream, r->name, r->answer);
}

int upstreams_list(struct request *r)
{
	return noun_list_pages(r, &noun_upstream);
}

int upstreams_show(struct request *r)
{
	return noun_show(r, &noun_upstream, r->name, r->answer);
}

int upstreams_del(struct request *r)
{
	int64_t id = 0;
	int error = noun_subject(r, &noun_upstream, &id);

	if (!error)
		error = noun_refuse_if_used(r, &noun_upstream, "account",
			"SELECT name FROM accounts WHERE upstream_id = ?1 ORDER BY name", id);
	if (!error)
		error = noun_refuse_if_used(r, &noun_upstream, "pool",
			"SELECT name FROM pools WHERE upstream_id = ?1 ORDER BY name", id);
	return error ? error : query_run(r, "DELETE FROM upstreams WHERE id = ?1", "i", id);
}
