#include "agent/page.h"

#include "agent/decide/candidate.h"
#include "agent/judge.h"
#include "common/limittext.h"
#include "common/log.h"

static int64_t bounded(int64_t ms, int64_t now_ms)
{
	int64_t last_ms = now_ms + LIMITTEXT_AHEAD_MAX_MS;

	return ms < last_ms ? ms : last_ms;
}

void page_take(struct agent *a, const struct channel_usage *u, int64_t now_ms)
{
	const struct snapshot_account *account =
		a->snapshot ? snapshot_account_by_id(a->snapshot, u->account) : NULL;
	const struct health_usage usage = {
		.used = u->used,
		.used_until_ms = bounded(u->used_until_ms, now_ms),
		.until_ms = u->is_full ? bounded(u->until_ms, now_ms) : 0,
		.window_ms = u->window_ms,
	};

	if (!account || account->credential_generation != u->credential_generation)
		return;
	struct health_subject subject = health_subject_of_account(a->snapshot, account);
	struct statefile_health *row = health_of(&a->healths, &subject, now_ms);
	if (!row)
		return;
	bool changed = health_learn(row, &usage, now_ms);
	judge_show_account(a, account, now_ms);
	if (!changed)
		return;
	a->room_is_stale = true; /* requests may wait for this account */
	board_add(&a->board->counters[BOARD_HEALTH_CHANGES], 1);
	log_event(LOG_LEVEL_INFO,
		usage.until_ms ? "usage page: a limit of the account is reached"
			       : "usage page: no limit of the account is reached any more",
		LOG_SLICE("account", snapshot_text(a->snapshot, account->name)));
}
