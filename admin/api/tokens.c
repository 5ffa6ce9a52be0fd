/* Relay keys: generated here, shown once, stored as a keyed hash. */
#include "admin/api/handlers.h"
#include "admin/api/usage.h"
#include "admin/store/secrets.h"
#include "admin/store/store.h"
#include "common/errtext.h"

#include "common/clock.h"
#include "common/num.h"
#include "common/relaykey.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PROBLEMS_NAMED 3

/* A key as it will be stored. */
struct draft {
	int64_t tenant_id;
	int64_t pool_id; /* 0 = the tenant's */
	const char *tenant;
	const char *pool; /* the one it will use; NULL = none */
	const char *name;
	struct slice allow_ip;
	int64_t rps, rpm, rph, concurrency, daily, monthly;
	int64_t family; /* id of the first key of its chain of rotations; 0 = the key itself */
	int64_t expires_ms;
};

static const char *state_of(int64_t revoked_ms, int64_t expires_ms, int64_t now)
{
	if (revoked_ms)
		return "revoked";
	return expires_ms && expires_ms <= now ? "expired" : "active";
}

static void describe(struct row *row, json_object *o)
{
	int64_t expires = row_number(row, "expires_ms");
	int64_t revoked = row_number(row, "revoked_ms");

	answer_number(o, "id", row_number(row, "id"));
	answer_number(o, "family", row_number(row, "family"));
	answer_slice(o, "tenant", row_text(row, "tenant"));
	answer_column(o, "pool", row, "pool");
	answer_slice(o, "name", row_text(row, "name"));
	answer_slice(o, "last4", row_text(row, "last4"));
	answer_text(o, "state", state_of(revoked, expires, clock_wall_ms()));
	answer_number(o, "rps", row_number(row, "rps"));
	answer_number(o, "rpm", row_number(row, "rpm"));
	answer_number(o, "rph", row_number(row, "rph"));
	answer_number(o, "concurrency", row_number(row, "concurrency"));
	answer_number(o, "daily", row_number(row, "daily"));
	answer_number(o, "monthly", row_number(row, "monthly"));
	answer_list(o, "allow_ip", row_text(row, "allow_ip"));
	answer_time(o, "created_at", row_number(row, "created_ms"));
	answer_time(o, "expires_at", expires);
	answer_time(o, "revoked_at", revoked);
	answer_time(o, "last_used_at", row_number(row, "used_ms"));
}

#define SELECT_KEYS                                                                                \
	"SELECT k.id, t.name AS tenant, coalesce(p.name, tp.name) AS pool, p.name AS own_pool,"    \
	" k.name, k.last4, k.allow_ip, k.rps, k.rpm, k.rph, k.concurrency, k.daily, k.monthly,"    \
	" coalesce(nullif(k.family, 0), k.id) AS family, k.created_ms, k.expires_ms,"              \
	" k.revoked_ms, k.used_ms, k.tenant_id, coalesce(k.pool_id, 0) AS pool_id"                 \
	" FROM keys k JOIN tenants t ON t.id = k.tenant_id LEFT JOIN pools p ON p.id = k.pool_id"  \
	" LEFT JOIN pools tp ON tp.id = t.pool_id"

/* Page by page; tenants in order of names, the keys of each by id. */
struct listing {
	json_object *items;
	bool one_tenant;
	int64_t tenant_id;
	char tenant[COMMAND_NAME_MAX + 1];
	int64_t last; /* id of the tenant's last key so far */
	int64_t room; /* rows of this page */
};

static int add_item(struct request *r, struct row *row, void *context)
{
	struct listing *l = context;
	json_object *o = json_object_new_object();

	(void)r;
	describe(row, o);
	l->last = row_number(row, "id");
	l->room--;
	json_object_array_add(l->items, o);
	return 0;
}

static int take_tenant(struct request *r, struct row *row, void *context)
{
	struct listing *l = context;

	(void)r;
	l->tenant_id = row_number(row, "id");
	row_copy(row, "name", l->tenant, sizeof(l->tenant));
	l->last = 0;
	return 0;
}

/* 1, or 0: there is none. */
static int next_tenant(struct request *r, struct listing *l)
{
	int64_t before = l->tenant_id;
	char after[sizeof(l->tenant)];

	snprintf(after, sizeof(after), "%s", l->tenant);
	int error = l->one_tenant ? 0
				  : query_each(r, take_tenant, l,
					    "SELECT id, name FROM tenants WHERE name > ?1"
					    " ORDER BY name LIMIT 1",
					    "t", after);

	return error ? error : l->tenant_id != before;
}

static int list_page(struct request *r, void *state)
{
	struct listing *l = state;
	int rc = l->tenant_id ? 1 : next_tenant(r, l);

	for (l->room = QUERY_PAGE_ROWS; rc == 1 && l->room > 0;) {
		rc = query_each(r, add_item, l,
			SELECT_KEYS " WHERE k.tenant_id = ?1 AND k.id > ?2 ORDER BY k.id LIMIT ?3",
			"iii", l->tenant_id, l->last, l->room);
		if (rc)
			return rc;
		l->room--; /* a tenant without keys costs, too */
		rc = l->room > 0 ? next_tenant(r, l) : 1;
	}
	return rc;
}

int tokens_list(struct request *r)
{
	const char *tenant = request_text(r, "tenant");
	struct listing *l = calloc(1, sizeof(*l));

	if (!l)
		return errtext_set(&r->error, -ENOMEM, "out of memory");
	l->one_tenant = tenant != NULL;
	l->items = answer_items(r->answer);
	r->rest = (struct request_rest){list_page, free, l};
	return tenant ? noun_reference(r, &noun_tenant, tenant, &l->tenant_id) : 0;
}

static int subject_id(struct request *r, int64_t *ret)
{
	uint64_t id;

	if (num_parse_u64(slice_from_str(r->name), INT64_MAX, &id))
		return errtext_set(&r->error, -EINVAL, "\"%.64s\" is not the id of a key", r->name);
	*ret = (int64_t)id;
	return 0;
}

static int show_row(struct request *r, struct row *row, void *context)
{
	(void)context;
	describe(row, r->answer);
	return 0;
}

int token_show(struct request *r, int64_t id)
{
	int error = query_each(r, show_row, NULL, SELECT_KEYS " WHERE k.id = ?1", "i", id);

	if (!error && json_object_object_length(r->answer) == 0)
		error = errtext_set(&r->error, -ENOENT, "there is no key with id %" PRId64, id);
	return error;
}

int tokens_show(struct request *r)
{
	int64_t id = 0;
	int error = subject_id(r, &id);

	if (!error)
		error = token_show(r, id);
	if (!error)
		usage_describe(r->control, USAGE_KEY,
			(uint32_t)json_object_get_int64(
				json_object_object_get(r->answer, "family")),
			r->answer);
	return error;
}

/* --- issue --- */

/* Every account of the pool must have a credential that is valid now. */
static int check_pool(struct request *r, int64_t pool_id, const char *pool)
{
	struct buffer names = {0};
	int64_t members = 0;
	int error = query_number(
		r, &members, "SELECT count(*) FROM pool_members WHERE pool_id = ?1", "i", pool_id);

	if (error)
		return error;
	if (members == 0)
		return errtext_set(&r->error, -EINVAL, "pool \"%s\" has no account", pool);
	int bad = query_names(r, &names, PROBLEMS_NAMED,
		"SELECT a.name FROM pool_members m JOIN accounts a ON a.id = m.account_id"
		" WHERE m.pool_id = ?1 AND NOT EXISTS (SELECT 1 FROM credentials c"
		"  WHERE c.account_id = a.id AND c.field = 'access_token'"
		"  AND (c.expires_ms = 0 OR c.expires_ms > ?2)) ORDER BY a.name",
		"ii", pool_id, clock_wall_ms());
	if (bad > 0)
		bad = errtext_set(&r->error, -EINVAL,
			"pool \"%s\" has no usable credential for %s: missing or expired", pool,
			buffer_str(&names));
	buffer_fini(&names);
	return bad;
}

struct pool_choice {
	int64_t id;
	char name[COMMAND_NAME_MAX + 1];
};

static int take_pool(struct request *r, struct row *row, void *context)
{
	struct pool_choice *pool = context;

	(void)r;
	pool->id = row_number(row, "id");
	row_copy(row, "name", pool->name, sizeof(pool->name));
	return 0;
}

/* The key's own pool, else the tenant's. */
static int choose_pool(struct request *r, struct draft *d, struct pool_choice *pool)
{
	const char *own = d->pool;
	int error = own ? noun_reference(r, &noun_pool, own, &d->pool_id) : 0;

	if (!error)
		error = query_each(r, take_pool, pool,
			"SELECT p.id, p.name FROM pools p WHERE p.id = CASE WHEN ?1 > 0 THEN ?1 ELSE"
			" (SELECT t.pool_id FROM tenants t WHERE t.id = ?2) END",
			"ii", d->pool_id, d->tenant_id);
	if (error)
		return error;
	if (pool->id == 0)
		return errtext_set(&r->error, -EINVAL,
			"tenant \"%s\" has no pool and none was given: use --pool, or relayadm tenants "
			"set %s --pool POOL",
			d->tenant, d->tenant);
	d->pool = pool->name;
	return check_pool(r, pool->id, pool->name);
}

static int insert_key(struct request *r, const struct draft *d, json_object *o)
{
	char token[RELAYKEY_LEN + 1];
	uint8_t hash[RELAYKEY_HASH_LEN];
	struct slice hash_bytes = {(const char *)hash, sizeof(hash)};
	struct slice last4 = {token + RELAYKEY_LEN - 4, 4};
	struct slice allow_ip = d->allow_ip;

	if (relaykey_generate(token))
		return errtext_set(&r->error, -EIO, "no randomness to make a key with");
	relaykey_hash(&r->control->secrets->hasher, (struct slice){token, RELAYKEY_LEN}, hash);
	int error = query_run(r,
		"INSERT INTO keys (tenant_id, pool_id, name, hash, last4, allow_ip, rps, rpm, rph,"
		" concurrency, daily, monthly, family, created_ms, expires_ms, version)"
		" VALUES (?1, nullif(?2, 0), ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14,"
		" ?15, ?16)",
		"iitbssiiiiiiiiii", d->tenant_id, d->pool_id, d->name, &hash_bytes, &last4,
		&allow_ip, d->rps, d->rpm, d->rph, d->concurrency, d->daily, d->monthly, d->family,
		clock_wall_ms(), d->expires_ms, (int64_t)store_version(r->control->store));
	if (!error) {
		answer_number(o, "id", store_last_id(r->control->store));
		answer_text(o, "token", token);
		answer_text(o, "tenant", d->tenant);
		answer_text(o, "pool", d->pool);
		answer_time(o, "expires_at", d->expires_ms);
	}
	explicit_bzero(token, sizeof(token));
	return error;
}

/* Keys that are still to be made. */
struct issue {
	struct draft draft;
	struct pool_choice pool;
	struct buffer networks;
	json_object *items; /* of the answer */
	int64_t left;
};

static void free_issue(void *state)
{
	struct issue *i = state;

	buffer_fini(&i->networks);
	free(i);
}

static int issue_one(struct request *r, void *state)
{
	struct issue *i = state;
	json_object *o = json_object_new_object();
	int error = insert_key(r, &i->draft, o);

	json_object_array_add(i->items, o);
	return error ? error : --i->left > 0;
}

static void issue_many(struct request *r, struct issue *i)
{
	i->left = request_number(r, "count", 0);
	i->items = answer_items(r->answer);
	r->rest = (struct request_rest){issue_one, free_issue, i};
}

static void join_networks(json_object *list, struct buffer *out)
{
	size_t n = list ? json_object_array_length(list) : 0;

	for (size_t i = 0; i < n; i++)
		buffer_printf(out, "%s%s", i ? "," : "",
			json_object_get_string(json_object_array_get_idx(list, i)));
}

static struct draft draft_of(struct request *r)
{
	const char *name = request_text(r, "name");
	uint64_t ttl = request_duration(r, "ttl", 0);

	return (struct draft){
		.tenant = request_text(r, "tenant"),
		.pool = request_text(r, "pool"),
		.name = name ? name : "",
		.rps = request_number(r, "rps", 0),
		.rpm = request_number(r, "rpm", (int64_t)r->control->config.limit_key_rpm),
		.rph = request_number(r, "rph", 0),
		.concurrency = request_number(r, "concurrency", 0),
		.daily = request_number(r, "daily", 0),
		.monthly = request_number(r, "monthly", 0),
		.expires_ms = ttl ? clock_wall_ms() + (int64_t)ttl : 0,
	};
}

int tokens_issue(struct request *r)
{
	struct issue *i = calloc(1, sizeof(*i));

	if (!i)
		return errtext_set(&r->error, -ENOMEM, "out of memory");
	i->draft = draft_of(r);
	join_networks(request_value(r, "allow_ip"), &i->networks);
	i->draft.allow_ip = buffer_slice(&i->networks);
	int error = noun_reference(r, &noun_tenant, i->draft.tenant, &i->draft.tenant_id);
	if (!error)
		error = choose_pool(r, &i->draft, &i->pool);
	if (!error && request_has(r, "count")) {
		issue_many(r, i);
		return 0;
	}
	if (!error)
		error = insert_key(r, &i->draft, r->answer);
	free_issue(i);
	return error;
}

/* --- revoke, rotate --- */

static int touch_key(struct request *r, int64_t id, int64_t revoked_ms, int64_t expires_ms)
{
	return query_run(r,
		"UPDATE keys SET revoked_ms = ?1, expires_ms = ?2, version = ?3 WHERE id = ?4",
		"iiii", revoked_ms, expires_ms, (int64_t)store_version(r->control->store), id);
}

struct found_key {
	int64_t id;
	int64_t created_ms, expires_ms, revoked_ms;
	struct draft draft;
	struct buffer texts[4]; /* tenant, own pool, label, networks */
};

static const char *keep_column(struct buffer *to, struct slice text)
{
	buffer_append_slice(to, text);
	return buffer_str(to);
}

static int take_key(struct request *r, struct row *row, void *context)
{
	struct found_key *k = context;
	struct draft *d = &k->draft;

	(void)r;
	k->id = row_number(row, "id");
	k->created_ms = row_number(row, "created_ms");
	k->expires_ms = row_number(row, "expires_ms");
	k->revoked_ms = row_number(row, "revoked_ms");
	d->tenant = keep_column(&k->texts[0], row_text(row, "tenant"));
	d->name = keep_column(&k->texts[2], row_text(row, "name"));
	keep_column(&k->texts[3], row_text(row, "allow_ip"));
	d->allow_ip = buffer_slice(&k->texts[3]);
	if (!row_is_null(row, "own_pool"))
		d->pool = keep_column(&k->texts[1], row_text(row, "own_pool"));
	d->rps = row_number(row, "rps");
	d->rpm = row_number(row, "rpm");
	d->rph = row_number(row, "rph");
	d->concurrency = row_number(row, "concurrency");
	d->daily = row_number(row, "daily");
	d->monthly = row_number(row, "monthly");
	d->family = row_number(row, "family");
	d->tenant_id = row_number(row, "tenant_id");
	d->pool_id = row_number(row, "pool_id");
	return 0;
}

static int find_key(struct request *r, struct found_key *ret)
{
	int64_t id = 0;
	int error = subject_id(r, &id);

	if (!error)
		error = query_each(r, take_key, ret, SELECT_KEYS " WHERE k.id = ?1", "i", id);
	if (!error && ret->id == 0)
		error = errtext_set(&r->error, -ENOENT, "there is no key with id %" PRId64, id);
	return error;
}

static void forget_key(struct found_key *k)
{
	for (size_t i = 0; i < sizeof(k->texts) / sizeof(k->texts[0]); i++)
		buffer_fini(&k->texts[i]);
}

int tokens_revoke(struct request *r)
{
	struct found_key k = {0};
	int error = find_key(r, &k);

	if (!error && k.revoked_ms)
		r->unchanged = true;
	else if (!error)
		error = touch_key(r, k.id, clock_wall_ms(), k.expires_ms);
	if (!error)
		error = token_show(r, k.id);
	forget_key(&k);
	return error;
}

/* The old key ends at once or after the grace, and never later than its expiry. */
static int retire_key(struct request *r, const struct found_key *k, int64_t now)
{
	int64_t grace = (int64_t)request_duration(r, "grace", 0);
	int64_t end = now + grace;

	if (grace == 0)
		return touch_key(r, k->id, now, k->expires_ms);
	if (k->expires_ms && k->expires_ms < end)
		end = k->expires_ms;
	return touch_key(r, k->id, 0, end);
}

static int rotate_key(struct request *r, const struct found_key *k)
{
	int64_t now = clock_wall_ms();
	const char *state = state_of(k->revoked_ms, k->expires_ms, now);
	struct pool_choice pool = {0};
	struct draft d = k->draft;

	if (strcmp(state, "active") != 0)
		return errtext_set(&r->error, -EBUSY,
			"key %" PRId64 " is %s: issue a new one in its place", k->id, state);
	if (k->expires_ms)
		d.expires_ms = now + (k->expires_ms - k->created_ms);
	int error = choose_pool(r, &d, &pool);
	if (!error)
		error = retire_key(r, k, now);
	return error ? error : insert_key(r, &d, r->answer);
}

int tokens_rotate(struct request *r)
{
	struct found_key k = {0};
	int error = find_key(r, &k);

	if (!error)
		error = rotate_key(r, &k);
	forget_key(&k);
	return error;
}

/* --- del --- */

static int delete_key(struct request *r, const struct found_key *k)
{
	const char *state = state_of(k->revoked_ms, k->expires_ms, clock_wall_ms());

	if (strcmp(state, "active") == 0)
		return errtext_set(&r->error, -EBUSY,
			"key %" PRId64
			" is active: revoke it first (relayadm tokens revoke %" PRId64 ")",
			k->id, k->id);
	return query_run(r, "DELETE FROM keys WHERE id = ?1", "i", k->id);
}

int tokens_del(struct request *r)
{
	struct found_key k = {0};
	int error = find_key(r, &k);

	if (!error)
		error = delete_key(r, &k);
	forget_key(&k);
	return error;
}
