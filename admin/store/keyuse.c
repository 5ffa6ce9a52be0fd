#include "admin/store/keyuse.h"

#include "admin/store/sql.h"

/* A time in the future was written under a wrong clock. */
int keyuse_note(struct store *s, uint32_t key, int64_t started_ms, struct errtext *e)
{
	int64_t hour_ms = started_ms - started_ms % KEYUSE_STEP_MS;

	if (!key || started_ms <= 0)
		return 0;
	return sql_run(s, e,
		"UPDATE keys SET used_ms = ?1 WHERE id = ?2 AND (used_ms < ?1 OR used_ms > ?3)",
		"iii", hour_ms, (int64_t)key, hour_ms + 24 * KEYUSE_STEP_MS);
}
