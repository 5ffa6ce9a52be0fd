#include "admin/store/resources.h"

#include "admin/store/store.h"

#include <errno.h>

#define PRUNE_MAX 512

/* Those of the key's tenant that were not used for the longest time go. */
static int bound(struct store *s, uint32_t key, struct errtext *e)
{
	return sql_run(s, e,
		"DELETE FROM resource_bindings WHERE (family, pool_id) IN"
		" (SELECT family, pool_id FROM resource_bindings WHERE tenant_id ="
		"  (SELECT tenant_id FROM keys WHERE id = ?1)"
		"  ORDER BY used_ms DESC, family LIMIT -1 OFFSET ?2)",
		"ii", (int64_t)key, (int64_t)RESOURCES_TENANT_MAX);
}

/* Only an answer of success shows that the account has something of the key. */
static bool is_of_interest(const struct board_request *q)
{
	return q->resources && q->account && q->key && q->pool && q->status >= 200 &&
		q->status < 300 && q->started_ms > 0;
}

int resources_note(struct store *s, const struct board_request *q, bool *changed, struct errtext *e)
{
	int64_t hour_ms = q->started_ms - q->started_ms % RESOURCES_STEP_MS;

	if (!is_of_interest(q))
		return 0;
	/* a time in the future was written under a wrong clock */
	int error = sql_run(s, e,
		"UPDATE resource_bindings SET used_ms = ?1 WHERE pool_id = ?2 AND account_id = ?3"
		" AND family = (SELECT iif(family, family, id) FROM keys WHERE id = ?4)"
		" AND (used_ms < ?1 OR used_ms > ?5)",
		"iiiii", hour_ms, (int64_t)q->pool, (int64_t)q->account, (int64_t)q->key,
		hour_ms + 24 * RESOURCES_STEP_MS);
	if (error || store_changed_rows(s))
		return error;
	error = sql_run(s, e,
		"INSERT INTO resource_bindings (family, pool_id, tenant_id, account_id, used_ms)"
		" SELECT iif(k.family, k.family, k.id), p.id, k.tenant_id, a.id, ?1"
		"  FROM keys k, pools p, accounts a WHERE k.id = ?4 AND p.id = ?2 AND a.id = ?3"
		" ON CONFLICT DO UPDATE SET account_id = excluded.account_id, used_ms = excluded.used_ms"
		"  WHERE account_id <> excluded.account_id",
		"iiii", hour_ms, (int64_t)q->pool, (int64_t)q->account, (int64_t)q->key);
	if (error || !store_changed_rows(s))
		return error;
	*changed = true;
	return bound(s, q->key, e);
}

int resources_each(struct store *s, struct errtext *e, sql_row_fn *each, void *context)
{
	return sql_each(s, e, each, context,
		"SELECT b.family, b.pool_id, b.account_id FROM resource_bindings b"
		" JOIN pool_members m ON m.pool_id = b.pool_id AND m.account_id = b.account_id"
		" ORDER BY b.family, b.pool_id",
		"");
}

int resources_prune(struct store *s, int64_t now_ms, struct errtext *e)
{
	int64_t one = 0;
	int error =
		sql_number(s, e, &one, "SELECT 1 FROM resource_bindings WHERE used_ms < ?1 LIMIT 1",
			"i", now_ms - RESOURCES_LIFE_MS);

	if (error)
		return error == -ENOENT ? 0 : error;
	return sql_run(s, e,
		"DELETE FROM resource_bindings WHERE (family, pool_id) IN (SELECT family, pool_id"
		" FROM resource_bindings WHERE used_ms < ?1 ORDER BY used_ms LIMIT ?2)",
		"ii", now_ms - RESOURCES_LIFE_MS, (int64_t)PRUNE_MAX);
}
