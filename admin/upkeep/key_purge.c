#include "admin/upkeep/key_purge.h"

#include "admin/control.h"
#include "admin/store/sql.h"
#include "admin/store/store.h"
#include "common/log.h"

#include <errno.h>

/* As the index keys_by_end (schema.c) has it. */
#define ENDED_BEFORE                                                                               \
	" (revoked_ms > 0 OR expires_ms > 0)"                                                      \
	" AND CASE WHEN revoked_ms > 0 THEN revoked_ms ELSE expires_ms END < ?1"

/* The agent need not know: it refuses these keys already. */
static int delete_keys(struct store *s, int64_t bound_ms, struct errtext *e)
{
	int error = store_begin(s, e);

	if (error)
		return error;
	error = sql_run(s, e,
		"DELETE FROM keys WHERE id IN"
		" (SELECT id FROM keys WHERE" ENDED_BEFORE " LIMIT ?2)",
		"ii", bound_ms, (int64_t)KEY_PURGE_MAX);
	const int64_t deleted = store_changed_rows(s);
	if (error)
		store_rollback(s);
	else
		error = store_commit(s, e);
	if (!error)
		log_event(LOG_LEVEL_INFO, "keys that ended 30 days ago were deleted",
			LOG_INT("count", deleted));
	return error;
}

int key_purge_step(struct control *c, int64_t now_ms, struct errtext *e)
{
	const int64_t bound_ms = now_ms - KEY_PURGE_AFTER_MS;
	int64_t one = 0;
	int error = sql_number(c->store, e, &one,
		"SELECT 1 FROM keys WHERE" ENDED_BEFORE " LIMIT 1", "i", bound_ms);

	if (error)
		return error == -ENOENT ? 0 : error;
	return delete_keys(c->store, bound_ms, e);
}

void key_purge_poll(struct control *c)
{
	struct errtext e = {""};

	if (key_purge_step(c, c->clock.retention.now_ms, &e))
		log_event(LOG_LEVEL_ERROR, "cannot delete old keys", LOG_STR("reason", e.text));
}
