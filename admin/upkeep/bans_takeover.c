#include "admin/upkeep/bans_takeover.h"

#include "admin/control.h"
#include "admin/publish/change.h"
#include "admin/store/banlist.h"
#include "admin/store/store.h"
#include "common/board.h"
#include "common/clock.h"
#include "common/errtext.h"
#include "common/log.h"

static int take_and_publish(struct control *c, struct errtext *e)
{
	const int64_t now_ms = clock_wall_ms();
	int error = store_begin(c->store, e);

	if (error)
		return error;
	error = store_bump_version(c->store, e);
	if (!error)
		error = banlist_take(c->store, c->board, now_ms, e);
	/* the agent may have made one just before the clock was set back */
	if (!error && c->clock.settled.behind_ms)
		error = banlist_bound(c->store, now_ms + (int64_t)c->config.ban_ms, e);
	if (error)
		store_rollback(c->store);
	else
		error = store_commit(c->store, e);
	return error ? error : change_publish(c, CHANGE_AGENT, NULL, NULL);
}

void bans_takeover_poll(struct control *c)
{
	struct errtext e = {""};
	uint64_t taken = 0;
	int error = banlist_taken(c->store, c->board, &taken, &e);

	if (!error && taken < atomic_load_explicit(&c->board->bans_written, memory_order_acquire))
		error = take_and_publish(c, &e);
	if (error)
		log_event(LOG_LEVEL_ERROR, "cannot store the agent's bans",
			LOG_STR("reason", e.text));
}
