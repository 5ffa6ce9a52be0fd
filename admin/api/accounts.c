#include "admin/api/handlers.h"
#include "admin/api/usage.h"
#include "admin/store/store.h"
#include "common/errtext.h"

#include "admin/api/account_credentials.h"
#include "admin/api/account_describe.h"
#include "admin/api/egress_sharing.h"
#include "admin/api/headers.h"
#include "admin/api/node_egress.h"
#include "admin/store/account_state.h"
#include "admin/store/notices.h"
#include "common/clock.h"
#include "common/num.h"
#include "common/provider.h"

#include <errno.h>
#include <stdio.h>

#define PACE_MAX_MS ((uint64_t)10 * 60 * 1000)

static void describe_pace(struct row *row, json_object *o)
{
	char min[NUM_DURATION_SIZE];
	char max[NUM_DURATION_SIZE];
	char text[2 * NUM_DURATION_SIZE + 2] = "";
	int64_t max_ms = row_number(row, "pace_max_ms");

	if (max_ms) {
		num_format_duration((uint64_t)row_number(row, "pace_min_ms"), min);
		num_format_duration((uint64_t)max_ms, max);
		snprintf(text, sizeof(text), "%s-%s", min, max);
	}
	answer_text(o, "pace", text);
}

/* `auth-json` is any credential file in the store. */
static void describe_source(struct row *row, json_object *o)
{
	struct slice source = row_text(row, "source");
	struct slice login = row_text(row, "login");
	const struct provider_file *form = login.n ? provider_file_find(login) : NULL;
	bool is_other = form && strcmp(form->name, "auth.json") != 0;

	if (slice_eq_str(source, "auth-json") && is_other)
		answer_text(o, "source", "credentials");
	else
		answer_slice(o, "source", source);
	answer_slice(o, "login", login);
	answer_slice(o, "client_id", row_text(row, "client_id"));
}

static void describe(struct request *r, struct row *row, json_object *o)
{
	struct account_facts facts = account_facts_read(row, r->control->board);

	answer_slice(o, "name", row_text(row, "name"));
	answer_slice(o, "upstream", row_text(row, "upstream"));
	answer_slice(o, "provider", row_text(row, "provider"));
	account_state_describe(&facts, o);
	answer_flag(o, "suspended", facts.suspended);
	answer_slice(o, "suspend_reason", row_text(row, "suspend_reason"));
	answer_slice(o, "needs_login", row_text(row, "needs_login"));
	answer_list(o, "egress", row_text(row, "egress"));
	answer_number(o, "weight", row_number(row, "weight"));
	answer_slice(o, "region", row_text(row, "region"));
	answer_number(o, "rpm", row_number(row, "rpm"));
	answer_number(o, "rph", row_number(row, "rph"));
	answer_number(o, "concurrency", row_number(row, "concurrency"));
	answer_number(o, "max_consecutive", row_number(row, "max_consecutive"));
	describe_pace(row, o);
	headers_describe(o, "headers", row_text(row, "headers"));
	answer_list(o, "pools", row_text(row, "pools"));
	describe_source(row, o);
	answer_flag(o, "refreshable", row_flag(row, "refreshable"));
	answer_time(o, "credential_expires_at", row_number(row, "expires_ms"));
	answer_time(o, "credential_updated_at", row_number(row, "updated_ms"));
	answer_time(o, "created_at", row_number(row, "created_ms"));
}

static const struct noun_column columns[] = {
	{"weight", "UPDATE accounts SET weight = ?1 WHERE id = ?2", NOUN_NUMBER},
	{"region", "UPDATE accounts SET region = ?1 WHERE id = ?2", NOUN_TEXT},
	{"rpm", "UPDATE accounts SET rpm = ?1 WHERE id = ?2", NOUN_NUMBER},
	{"rph", "UPDATE accounts SET rph = ?1 WHERE id = ?2", NOUN_NUMBER},
	{"concurrency", "UPDATE accounts SET concurrency = ?1 WHERE id = ?2", NOUN_NUMBER},
	{"max_consecutive", "UPDATE accounts SET max_consecutive = ?1 WHERE id = ?2", NOUN_NUMBER},
	{"client_id", "UPDATE accounts SET client_id = ?1 WHERE id = ?2", NOUN_TEXT},
	{NULL, NULL, NOUN_NUMBER},
};

const struct noun noun_account = {
	.what = "account",
	.find = "SELECT id FROM accounts WHERE name = ?1",
	.select =
		"SELECT a.name, u.name AS upstream, u.provider, a.weight, a.region, a.rpm, a.rph,"
		" a.concurrency, a.max_consecutive, a.pace_min_ms, a.pace_max_ms, a.headers,"
		" a.needs_login, a.suspend_reason, a.source, a.login, a.client_id, a.created_ms,"
		" (SELECT group_concat(name, ',') FROM (SELECT e.name FROM account_egresses x"
		"  JOIN egresses e ON e.id = x.egress_id WHERE x.account_id = a.id"
		"  ORDER BY x.position)) AS egress,"
		" c.expires_ms, c.updated_ms,"
		" (SELECT group_concat(name, ',') FROM (SELECT p.name FROM pool_members m"
		"  JOIN pools p ON p.id = m.pool_id WHERE m.account_id = a.id ORDER BY p.name)) AS pools,"
		" EXISTS (SELECT 1 FROM credentials f WHERE f.account_id = a.id"
		"  AND f.field = 'refresh_token') AS refreshable, " ACCOUNT_FACTS
		" FROM " ACCOUNT_FACTS_FROM " JOIN upstreams u ON u.id = a.upstream_id"
		" " NOUN_PAGE("a.name"),
	.describe = describe,
	.columns = columns,
};

/* --- insert, update --- */

static int take_provider(struct request *r, struct row *row, void *context)
{
	const struct provider **ret = context;

	*ret = provider_find(row_text(row, "provider"));
	return *ret
		? 0
		: errtext_set(&r->error, -EBADMSG, "store: an upstream has an unknown provider");
}

struct upstream_choice {
	int64_t id;
	const struct provider *provider;
};

static int find_upstream(struct request *r, struct upstream_choice *ret)
{
	const char *name = request_text(r, "upstream");

	if (!name)
		return errtext_set(&r->error, -EINVAL, "upstream is missing");
	int error = noun_reference(r, &noun_upstream, name, &ret->id);
	if (!error)
		error = query_each(r, take_provider, &ret->provider,
			"SELECT provider FROM upstreams WHERE id = ?1", "i", ret->id);
	return error;
}

/* Accounts of subscriptions start with limits, accounts of API keys without. */
static int insert_row(struct request *r, const char *name, const struct upstream_choice *u)
{
	const struct config *c = &r->control->config;
	bool limited = u->provider && u->provider->is_subscription;

	return query_run(r,
		"INSERT INTO accounts (name, upstream_id, rpm, rph, concurrency, max_consecutive,"
		" source, created_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'token', ?7)",
		"tiiiiii", name, u->id, (int64_t)(limited ? c->limit_account_rpm : 0),
		(int64_t)(limited ? c->limit_account_rph : 0),
		(int64_t)(limited ? c->limit_account_concurrency : 0),
		(int64_t)(limited ? c->limit_account_max_consecutive : 0), clock_wall_ms());
}

int account_insert(struct request *r, const char *name, int64_t *ret_id)
{
	struct upstream_choice upstream = {0};
	int error = find_upstream(r, &upstream);

	if (!error)
		error = noun_insert_error(r, &noun_account, insert_row(r, name, &upstream));
	if (error)
		return error;
	*ret_id = store_last_id(r->control->store);
	return query_run(r,
		"INSERT INTO account_egresses (account_id, egress_id, position)"
		" SELECT ?1, id, 0 FROM egresses WHERE kind = 'direct'",
		"i", *ret_id);
}

static int add_egress(struct request *r, int64_t id, const char *name, int64_t position)
{
	int64_t egress_id = 0;
	int error = noun_reference(r, &noun_egress, name, &egress_id);

	return error ? error
		     : query_run(r,
			       "INSERT INTO account_egresses (account_id, egress_id, position)"
			       " VALUES (?1, ?2, ?3)",
			       "iii", id, egress_id, position);
}

static int update_egresses(struct request *r, int64_t id)
{
	json_object *list = request_value(r, "egress");
	size_t n = list ? json_object_array_length(list) : 0;

	if (!list)
		return 0;
	int error = query_run(r, "DELETE FROM account_egresses WHERE account_id = ?1", "i", id);
	for (size_t i = 0; i < n && !error; i++)
		error = add_egress(r, id,
			json_object_get_string(json_object_array_get_idx(list, i)), (int64_t)i);
	if (!error && n == 0)
		error = add_egress(r, id, "direct", 0);
	return error;
}

/* The row has checked the form. */
static int update_pace(struct request *r, int64_t id)
{
	const char *text = request_text(r, "pace");
	struct slice rest = slice_from_str(text ? text : "");
	struct slice from;
	uint64_t min = 0;
	uint64_t max = 0;

	if (!text)
		return 0;
	if (*text) {
		slice_next(&rest, '-', &from);
		num_parse_duration(slice_trim(from), PACE_MAX_MS, &min);
		num_parse_duration(slice_trim(rest), PACE_MAX_MS, &max);
	}
	return query_run(r, "UPDATE accounts SET pace_min_ms = ?1, pace_max_ms = ?2 WHERE id = ?3",
		"iii", (int64_t)min, (int64_t)max, id);
}

static int update(struct request *r, int64_t id, struct account_credential_taken *taken)
{
	int error = noun_update(r, &noun_account, id);

	if (!error)
		error = update_pace(r, id);
	if (!error)
		error = update_egresses(r, id);
	if (!error)
		error = headers_update(r, "UPDATE accounts SET headers = ?1 WHERE id = ?2", id);
	if (!error)
		error = account_credentials_update(r, id, taken);
	if (!error)
		error = node_egress_check(r, id);
	return error ? error : headers_check_account(r, id);
}

int account_update(struct request *r, int64_t id)
{
	struct account_credential_taken taken;

	return update(r, id, &taken);
}

/* --- handlers --- */

int accounts_add(struct request *r)
{
	struct account_credential_taken taken;
	const char *name = request_text(r, "name");
	int64_t id = 0;
	int error = account_insert(r, name, &id);

	if (!error)
		error = update(r, id, &taken);
	if (!error)
		error = account_credentials_limit(r, id, &taken);
	if (!error)
		error = egress_sharing_check_account(r, id);
	if (!error)
		error = noun_show(r, &noun_account, name, r->answer);
	return error ? error : account_credentials_note(r, name, true, &taken);
}

int accounts_set(struct request *r)
{
	struct account_credential_taken taken;
	int64_t id = 0;
	int error = noun_subject(r, &noun_account, &id);

	if (!error)
		error = update(r, id, &taken);
	if (!error)
		error = egress_sharing_check_account(r, id);
	if (!error)
		error = noun_show(r, &noun_account, r->name, r->answer);
	return error ? error : account_credentials_note(r, r->name, false, &taken);
}

int accounts_list(struct request *r)
{
	return noun_list_pages(r, &noun_account);
}

static int describe_more(struct request *r, struct row *row, void *context)
{
	struct account_facts facts = account_facts_read(row, r->control->board);
	struct probe_view probes;

	account_state_describe_results(&facts, context);
	probe_show(r->control->probe, facts.id, &probes);
	account_state_describe_evidence(&facts, &probes, context);
	usage_describe(r->control, USAGE_ACCOUNT, facts.id, context);
	return 0;
}

int accounts_show(struct request *r)
{
	int64_t id = 0;
	int error = noun_subject(r, &noun_account, &id);

	if (!error)
		error = noun_show(r, &noun_account, r->name, r->answer);
	return error ? error
		     : query_each(r, describe_more, r->answer,
			       "SELECT " ACCOUNT_FACTS " FROM" ACCOUNT_FACTS_FROM "WHERE a.id = ?1",
			       "i", id);
}

int accounts_del(struct request *r)
{
	char subject[NOTICES_SUBJECT_SIZE];
	int64_t id = 0;
	int error = noun_subject(r, &noun_account, &id);

	if (!error)
		error = noun_refuse_if_used(r, &noun_account, "pool",
			"SELECT p.name FROM pool_members m JOIN pools p ON p.id = m.pool_id"
			" WHERE m.account_id = ?1 ORDER BY p.name",
			id);
	if (!error)
		error = query_run(r, "DELETE FROM accounts WHERE id = ?1", "i", id);
	return error ? error
		     : notices_resolve(r->control->store, NULL,
			       notices_subject("account", r->name, subject), &r->error);
}
