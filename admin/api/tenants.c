#include "admin/api/handlers.h"
#include "admin/api/usage.h"
#include "admin/store/keycount.h"
#include "admin/store/store.h"
#include "common/board.h"
#include "common/errtext.h"

#include "common/clock.h"
#include "common/num.h"

#include <errno.h>
#include <stdio.h>

#define WAIT_TEXT_SIZE 32

/* `wait` is stored as refuse, forever or milliseconds, and shown as an operator writes it. */
static void describe_wait(struct slice stored, json_object *o)
{
	uint64_t ms;

	if (num_parse_u64(stored, UINT64_MAX, &ms) == 0)
		answer_duration(o, "wait", ms);
	else
		answer_slice(o, "wait", stored);
}

static void describe(struct request *r, struct row *row, json_object *o)
{
	(void)r;
	bool enabled = row_flag(row, "enabled");

	answer_slice(o, "name", row_text(row, "name"));
	answer_text(o, "state", enabled ? "enabled" : "disabled");
	answer_flag(o, "enabled", enabled);
	answer_column(o, "pool", row, "pool");
	answer_number(o, "rps", row_number(row, "rps"));
	answer_number(o, "rpm", row_number(row, "rpm"));
	answer_number(o, "rph", row_number(row, "rph"));
	answer_number(o, "concurrency", row_number(row, "concurrency"));
	answer_number(o, "daily", row_number(row, "daily"));
	answer_number(o, "monthly", row_number(row, "monthly"));
	describe_wait(row_text(row, "wait"), o);
	answer_flag(o, "shadow", row_flag(row, "shadow"));
	answer_flag(o, "own", row_flag(row, "own"));
	answer_list(o, "allow_ip", row_text(row, "allow_ip"));
	answer_number(o, "keys", row_number(row, "keys"));
	answer_time(o, "created_at", row_number(row, "created_ms"));
}

static const struct noun_column columns[] = {
	{"rps", "UPDATE tenants SET rps = ?1 WHERE id = ?2", NOUN_NUMBER},
	{"rpm", "UPDATE tenants SET rpm = ?1 WHERE id = ?2", NOUN_NUMBER},
	{"rph", "UPDATE tenants SET rph = ?1 WHERE id = ?2", NOUN_NUMBER},
	{"concurrency", "UPDATE tenants SET concurrency = ?1 WHERE id = ?2", NOUN_NUMBER},
	{"daily", "UPDATE tenants SET daily = ?1 WHERE id = ?2", NOUN_NUMBER},
	{"monthly", "UPDATE tenants SET monthly = ?1 WHERE id = ?2", NOUN_NUMBER},
	{"allow_ip", "UPDATE tenants SET allow_ip = ?1 WHERE id = ?2", NOUN_LIST},
	{"shadow", "UPDATE tenants SET shadow = ?1 WHERE id = ?2", NOUN_SWITCH},
	{"own", "UPDATE tenants SET own = ?1 WHERE id = ?2", NOUN_SWITCH},
	{NULL, NULL, NOUN_NUMBER},
};

const struct noun noun_tenant = {
	.what = "tenant",
	.find = "SELECT id FROM tenants WHERE name = ?1",
	.select =
		"SELECT t.name, t.enabled, t.shadow, p.name AS pool, t.allow_ip, t.rps, t.rpm, t.rph,"
		" t.concurrency, t.daily, t.monthly, t.wait, t.created_ms,"
		" " KEYCOUNT_OF("t.id") " AS keys,"
					" t.own"
					" FROM tenants t LEFT JOIN pools p ON p.id = t.pool_id"
					" " NOUN_PAGE("t.name"),
	.describe = describe,
	.columns = columns,
};

int tenant_insert(struct request *r, const char *name, int64_t *ret_id)
{
	const struct config *config = &r->control->config;
	int error = query_run(r,
		"INSERT INTO tenants (name, daily, monthly, created_ms) VALUES (?1, ?2, ?3, ?4)",
		"tiii", name, (int64_t)config->limit_tenant_daily,
		(int64_t)config->limit_tenant_monthly, clock_wall_ms());

	if (!error)
		*ret_id = store_last_id(r->control->store);
	return noun_insert_error(r, &noun_tenant, error);
}

static int update_pool(struct request *r, int64_t id)
{
	const char *pool = request_text(r, "pool");
	int64_t pool_id = 0;

	if (!pool)
		return 0;
	if (!*pool)
		return query_run(r, "UPDATE tenants SET pool_id = NULL WHERE id = ?1", "i", id);
	int error = noun_reference(r, &noun_pool, pool, &pool_id);
	if (error)
		return error;
	return query_run(r, "UPDATE tenants SET pool_id = ?1 WHERE id = ?2", "ii", pool_id, id);
}

static int update_wait(struct request *r, int64_t id)
{
	const char *wait = request_text(r, "wait");
	uint64_t ms = request_duration(r, "wait", 0);
	char text[WAIT_TEXT_SIZE];

	if (!wait)
		return 0;
	if (strcmp(wait, "refuse") == 0 || strcmp(wait, "forever") == 0)
		return query_run(r, "UPDATE tenants SET wait = ?1 WHERE id = ?2", "ti", wait, id);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)ms);
	return query_run(
		r, "UPDATE tenants SET wait = ?1 WHERE id = ?2", "ti", ms ? text : "refuse", id);
}

int tenant_update(struct request *r, int64_t id)
{
	int error = noun_update(r, &noun_tenant, id);

	if (!error)
		error = update_pool(r, id);
	return error ? error : update_wait(r, id);
}

int tenants_add(struct request *r)
{
	const char *name = request_text(r, "name");
	int64_t id = 0;
	int error = tenant_insert(r, name, &id);

	if (!error)
		error = tenant_update(r, id);
	return error ? error : noun_show(r, &noun_tenant, name, r->answer);
}

int tenants_set(struct request *r)
{
	int64_t id = 0;
	int error = noun_subject(r, &noun_tenant, &id);

	if (!error)
		error = tenant_update(r, id);
	return error ? error : noun_show(r, &noun_tenant, r->name, r->answer);
}

int tenants_list(struct request *r)
{
	return noun_list_pages(r, &noun_tenant);
}

static void describe_shadow(const struct board *b, uint32_t id, json_object *o)
{
	static const char *const fields[] = {"rate", "concurrency", "quota"};
	const struct board_tenant *row = board_find_tenant(b, id);
	json_object *counts = json_object_new_object();

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		answer_number(counts, fields[i], row ? (int64_t)board_get(&row->shadow[i]) : 0);
	json_object_object_add(o, "shadow_passed", counts);
}

int tenants_show(struct request *r)
{
	int64_t id = 0;
	int error = noun_subject(r, &noun_tenant, &id);

	if (!error)
		error = noun_show(r, &noun_tenant, r->name, r->answer);
	if (error)
		return error;
	if (json_object_get_boolean(json_object_object_get(r->answer, "shadow")))
		describe_shadow(r->control->board, (uint32_t)id, r->answer);
	usage_describe(r->control, USAGE_TENANT, (uint32_t)id, r->answer);
	return 0;
}

int tenant_enable(struct request *r, int64_t id, bool enabled)
{
	return query_run(
		r, "UPDATE tenants SET enabled = ?1 WHERE id = ?2", "ii", (int64_t)enabled, id);
}

static int switch_subject(struct request *r, bool enabled)
{
	int64_t id = 0;
	int error = noun_subject(r, &noun_tenant, &id);

	if (!error)
		error = tenant_enable(r, id, enabled);
	return error ? error : noun_show(r, &noun_tenant, r->name, r->answer);
}

int tenants_enable(struct request *r)
{
	return switch_subject(r, true);
}

int tenants_disable(struct request *r)
{
	return switch_subject(r, false);
}

static int refuse_live_keys(struct request *r, int64_t id)
{
	int64_t live = 0;
	int error = query_number(r, &live, "SELECT " KEYCOUNT_OF("?1"), "i", id);

	if (error || live == 0)
		return error;
	return errtext_set(&r->error, -EBUSY,
		"tenant \"%s\" has %lld live key%s: revoke %s first (relayadm tokens list --tenant %s)",
		r->name, (long long)live, live == 1 ? "" : "s", live == 1 ? "it" : "them", r->name);
}

int tenants_del(struct request *r)
{
	int64_t id = 0;
	int error = noun_subject(r, &noun_tenant, &id);

	if (!error)
		error = refuse_live_keys(r, id);
	return error ? error
		     : query_in_parts(r,
			       "DELETE FROM keys WHERE id IN"
			       " (SELECT id FROM keys WHERE tenant_id = ?1 LIMIT ?2)",
			       "DELETE FROM tenants WHERE id = ?1", id);
}
