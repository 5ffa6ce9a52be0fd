#include "admin/api/handlers.h"
#include "admin/store/store.h"
#include "common/errtext.h"

#include "common/clock.h"

#include <errno.h>

static void describe(struct request *r, struct row *row, json_object *o)
{
	(void)r;
	answer_slice(o, "name", row_text(row, "name"));
	answer_slice(o, "upstream", row_text(row, "upstream"));
	answer_slice(o, "strategy", row_text(row, "strategy"));
	answer_slice(o, "sticky", row_text(row, "sticky"));
	answer_slice(o, "resources", row_text(row, "resources"));
	answer_flag(o, "resources_served", row_flag(row, "resources_served"));
	answer_duration(o, "wait", (uint64_t)row_number(row, "wait_ms"));
	answer_list(o, "accounts", row_text(row, "accounts"));
	answer_list(o, "tenants", row_text(row, "tenants"));
	answer_time(o, "created_at", row_number(row, "created_ms"));
}

static const struct noun_column columns[] = {
	{"strategy", "UPDATE pools SET strategy = ?1 WHERE id = ?2", NOUN_TEXT},
	{"sticky", "UPDATE pools SET sticky = ?1 WHERE id = ?2", NOUN_TEXT},
	{"resources", "UPDATE pools SET resources = ?1 WHERE id = ?2", NOUN_TEXT},
	{"wait", "UPDATE pools SET wait_ms = ?1 WHERE id = ?2", NOUN_DURATION},
	{NULL, NULL, NOUN_TEXT},
};

const struct noun noun_pool = {
	.what = "pool",
	.find = "SELECT id FROM pools WHERE name = ?1",
	.select =
		"SELECT p.name, u.name AS upstream, p.strategy, p.sticky, p.wait_ms, p.created_ms,"
		" p.resources, p.resources = 'shared' OR r.first IS r.last AS resources_served,"
		" (SELECT group_concat(name, ',') FROM (SELECT a.name FROM pool_members m"
		"  JOIN accounts a ON a.id = m.account_id WHERE m.pool_id = p.id"
		"  ORDER BY m.position)) AS accounts,"
		" (SELECT group_concat(name, ',') FROM (SELECT t.name FROM tenants t"
		"  WHERE t.pool_id = p.id ORDER BY t.name)) AS tenants"
		" FROM pools p JOIN upstreams u ON u.id = p.upstream_id"
		" LEFT JOIN pool_reach r ON r.pool_id = p.id " NOUN_PAGE("p.name"),
	.describe = describe,
	.columns = columns,
};

static const char *member_name(struct request *r, size_t i)
{
	return json_object_get_string(json_object_array_get_idx(request_value(r, "accounts"), i));
}

/* The first account says which upstream the pool is of. */
static int find_upstream(struct request *r, int64_t *ret_id)
{
	json_object *list = request_value(r, "accounts");
	int64_t account = 0;

	if (!list || json_object_array_length(list) == 0)
		return errtext_set(&r->error, -EINVAL, "accounts: at least one");
	int error = noun_reference(r, &noun_account, member_name(r, 0), &account);
	if (error)
		return error;
	return query_number(
		r, ret_id, "SELECT upstream_id FROM accounts WHERE id = ?1", "i", account);
}

int pool_insert(struct request *r, const char *name, int64_t *ret_id)
{
	int64_t upstream = 0;
	int error = find_upstream(r, &upstream);

	if (!error)
		error = query_run(r,
			"INSERT INTO pools (name, upstream_id, created_ms) VALUES (?1, ?2, ?3)",
			"tii", name, upstream, clock_wall_ms());
	if (!error)
		*ret_id = store_last_id(r->control->store);
	return noun_insert_error(r, &noun_pool, error);
}

static size_t members_given(const struct request *r)
{
	return json_object_array_length(request_value(r, "accounts"));
}

/* Behind the members that the pool has. -EEXIST without a text for one of them. */
static int add_member(struct request *r, int64_t pool, int64_t upstream, const char *name)
{
	int64_t account = 0;
	int64_t same = 0;
	int error = noun_reference(r, &noun_account, name, &account);

	if (!error)
		error = query_number(r, &same,
			"SELECT upstream_id = ?2 FROM accounts WHERE id = ?1", "ii", account,
			upstream);
	if (!error && !same)
		error = errtext_set(&r->error, -EINVAL,
			"accounts: a pool has one upstream, and \"%s\" is of another than the pool",
			name);
	return error
		? error
		: query_run(r,
			  "INSERT INTO pool_members (pool_id, account_id, position) VALUES (?1, ?2,"
			  " (SELECT coalesce(max(position) + 1, 0) FROM pool_members"
			  "  WHERE pool_id = ?1))",
			  "ii", pool, account);
}

static int check_count(struct request *r, int64_t id)
{
	int64_t n = 0;
	int error = query_number(
		r, &n, "SELECT count(*) FROM pool_members WHERE pool_id = ?1", "i", id);

	if (!error && n > COMMAND_MEMBERS_MAX)
		error = errtext_set(
			&r->error, -EINVAL, "accounts: a pool has at most %d", COMMAND_MEMBERS_MAX);
	return error;
}

static int replace_members(struct request *r, int64_t id)
{
	size_t n = members_given(r);
	int64_t upstream = 0;
	int error = find_upstream(r, &upstream);

	if (!error)
		error = query_run(r, "DELETE FROM pool_members WHERE pool_id = ?1", "i", id);
	if (!error)
		error = query_run(
			r, "UPDATE pools SET upstream_id = ?1 WHERE id = ?2", "ii", upstream, id);
	for (size_t i = 0; i < n && !error; i++)
		error = add_member(r, id, upstream, member_name(r, i));
	return error ? error : check_count(r, id);
}

int pool_update(struct request *r, int64_t id)
{
	int error = noun_update(r, &noun_pool, id);

	if (!error && request_has(r, "accounts"))
		error = replace_members(r, id);
	return error;
}

int pools_set(struct request *r)
{
	int64_t id = 0;
	int error = noun_find(r, &noun_pool, r->name, &id);

	if (error)
		return error;
	if (!id)
		error = pool_insert(r, r->name, &id);
	if (!error)
		error = pool_update(r, id);
	return error ? error : noun_show(r, &noun_pool, r->name, r->answer);
}

/* An account that is in the pool already keeps its place. */
static int add_members(struct request *r, int64_t id)
{
	size_t n = members_given(r);
	int64_t upstream = 0;
	int error =
		query_number(r, &upstream, "SELECT upstream_id FROM pools WHERE id = ?1", "i", id);

	r->unchanged = true;
	for (size_t i = 0; i < n && !error; i++) {
		error = add_member(r, id, upstream, member_name(r, i));
		if (!error)
			r->unchanged = false;
		else if (error == -EEXIST)
			error = 0;
	}
	return error ? error : check_count(r, id);
}

static int remove_member(struct request *r, int64_t id, const char *name)
{
	int64_t account = 0;
	int error = noun_reference(r, &noun_account, name, &account);

	if (!error)
		error = query_run(r,
			"DELETE FROM pool_members WHERE pool_id = ?1 AND account_id = ?2", "ii", id,
			account);
	if (!error && store_changed_rows(r->control->store) == 0)
		error = errtext_set(&r->error, -EINVAL, "accounts: \"%s\" is not in pool \"%s\"",
			name, r->name);
	return error;
}

static int remove_members(struct request *r, int64_t id)
{
	size_t n = members_given(r);
	int64_t left = 0;
	int error = 0;

	for (size_t i = 0; i < n && !error; i++)
		error = remove_member(r, id, member_name(r, i));
	if (!error)
		error = query_number(
			r, &left, "SELECT count(*) FROM pool_members WHERE pool_id = ?1", "i", id);
	if (!error && left == 0)
		error = errtext_set(&r->error, -EBUSY,
			"pool \"%s\" would have no account left: relayadm pools del %s deletes it",
			r->name, r->name);
	return error;
}

static int change_members(struct request *r, int (*change)(struct request *r, int64_t id))
{
	int64_t id = 0;
	int error = noun_subject(r, &noun_pool, &id);

	if (!error)
		error = change(r, id);
	return error ? error : noun_show(r, &noun_pool, r->name, r->answer);
}

int pools_add(struct request *r)
{
	return change_members(r, add_members);
}

int pools_remove(struct request *r)
{
	return change_members(r, remove_members);
}

int pools_list(struct request *r)
{
	return noun_list_pages(r, &noun_pool);
}

int pools_show(struct request *r)
{
	return noun_show(r, &noun_pool, r->name, r->answer);
}

/* A dead key loses its pool, a live key holds it. */
static int refuse_live_keys(struct request *r, int64_t id)
{
	int64_t live = 0;
	int error = query_number(r, &live,
		"SELECT count(*) FROM keys WHERE pool_id = ?1 AND revoked_ms = 0"
		" AND (expires_ms = 0 OR expires_ms > ?2)",
		"ii", id, clock_wall_ms());

	if (!error && live)
		return errtext_set(&r->error, -EBUSY, "pool \"%s\" is in use by %lld live key%s",
			r->name, (long long)live, live == 1 ? "" : "s");
	return error;
}

int pools_del(struct request *r)
{
	int64_t id = 0;
	int error = noun_subject(r, &noun_pool, &id);

	if (!error)
		error = noun_refuse_if_used(r, &noun_pool, "tenant",
			"SELECT name FROM tenants WHERE pool_id = ?1 ORDER BY name", id);
	if (!error)
		error = refuse_live_keys(r, id);
	return error ? error
		     : query_in_parts(r,
			       "UPDATE keys SET pool_id = NULL WHERE id IN"
			       " (SELECT id FROM keys WHERE pool_id = ?1 LIMIT ?2)",
			       "DELETE FROM pools WHERE id = ?1", id);
}
