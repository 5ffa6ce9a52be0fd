#include "admin/upkeep/probe_plan.h"

#define NEVER INT64_MAX

const char *probe_reason_name(enum probe_reason r)
{
	static const char *const names[PROBE_REASON_COUNT] = {
#define X(id, label) [PROBE_##id] = (label),
		PROBE_REASONS(X)
#undef X
	};

	return names[r];
}

static int64_t later_of(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t earlier_of(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* --- observations --- */

static bool is_long(const struct probe_account *a, int64_t now_ms)
{
	return a->standing == BOARD_STANDING_COOLING && a->until_ms - now_ms > PROBE_EARLY_MIN_MS;
}

static int64_t halfway_ms(const struct probe_account *a, int64_t now_ms)
{
	return is_long(a, now_ms) ? now_ms + (a->until_ms - now_ms) / 2 : 0;
}

/* After a clock set back, no probe may be late. */
static void take_clock(struct probe_account *a, int64_t now_ms)
{
	a->began_ms = earlier_of(a->began_ms, now_ms);
	a->known_ms = a->known_ms ? earlier_of(a->known_ms, now_ms) : now_ms;
	a->asked_ms = earlier_of(a->asked_ms, now_ms);
	a->trial_ms = earlier_of(a->trial_ms, now_ms);
	a->not_before_ms = earlier_of(a->not_before_ms, now_ms + PROBE_GAP_MS);
}

void probe_observe(struct probe_account *a, const struct board_account *row, int64_t now_ms)
{
	enum board_standing standing =
		row ? (enum board_standing)board_get(&row->standing) : BOARD_STANDING_USABLE;
	int64_t until_ms = row ? (int64_t)board_get(&row->until_ms) : 0;
	bool changed = standing != a->standing || until_ms != a->until_ms;
	bool trial = standing == BOARD_STANDING_HALF_OPEN && until_ms == 0;

	take_clock(a, now_ms);
	a->standing = standing;
	a->until_ms = until_ms;
	if (changed)
		a->early_ms = halfway_ms(a, now_ms);
	a->trial_ms = !trial ? 0 : a->trial_ms ? a->trial_ms : now_ms;
	a->used_ms = row ? earlier_of((int64_t)board_get(&row->last_used_ms), now_ms) : 0;
	a->suspect_ms = row && standing == BOARD_STANDING_SUSPECT
		? (int64_t)board_get(&row->wants_probe_ms)
		: 0;
}

/* --- due times --- */

static int64_t suspect_gap_ms(const struct probe_account *a)
{
	int64_t gap = PROBE_SUSPECT_GAP_MS;

	for (uint32_t n = 0; n < a->suspicions && gap < PROBE_SUSPECT_GAP_MAX_MS; n++)
		gap *= 2;
	return earlier_of(gap, PROBE_SUSPECT_GAP_MAX_MS);
}

static int64_t after(const struct probe_account *a, int64_t gap_ms)
{
	return a->began_ms ? a->began_ms + gap_ms : 0;
}

static int64_t idle_due_ms(const struct probe_account *a, const struct probe_pace *pace)
{
	/* never used: count from the time control first saw it */
	int64_t last = later_of(a->used_ms ? a->used_ms : a->known_ms, a->began_ms);

	if (!pace->idle_ms || a->standing != BOARD_STANDING_USABLE)
		return NEVER;
	return later_of(last + pace->idle_ms + a->jitter_ms,
		later_of(pace->start_ms, after(a, PROBE_GAP_MS)));
}

static int64_t due_ms(
	const struct probe_account *a, const struct probe_pace *pace, enum probe_reason reason)
{
	switch (reason) {
	case PROBE_ASKED:
		return a->asked_ms ? a->asked_ms : NEVER;
	case PROBE_SUSPECT:
		return a->suspect_ms && a->suspect_ms != a->answered_ms
			? later_of(a->suspect_ms, after(a, suspect_gap_ms(a)))
			: NEVER;
	case PROBE_TRIAL:
		return a->trial_ms ? later_of(a->trial_ms, after(a, PROBE_TRIAL_GAP_MS)) : NEVER;
	case PROBE_EARLY:
		return a->early_ms
			? later_of(a->early_ms, later_of(pace->start_ms, after(a, PROBE_GAP_MS)))
			: NEVER;
	case PROBE_IDLE:
		return idle_due_ms(a, pace);
	case PROBE_REASON_COUNT:
		break;
	}
	return NEVER;
}

static bool is_urgent(enum probe_reason reason)
{
	return reason == PROBE_ASKED || reason == PROBE_SUSPECT;
}

struct choice {
	int64_t due_ms;
	size_t at;
	enum probe_reason reason;
};

static void consider(const struct probe_account *a, size_t at, const struct probe_pace *pace,
	enum probe_reason reason, struct choice *best)
{
	int64_t due = due_ms(a, pace, reason);

	if (reason != PROBE_ASKED && !a->wanted)
		return;
	if (reason != PROBE_ASKED && due != NEVER)
		due = later_of(due, a->not_before_ms);
	if (due < best->due_ms)
		*best = (struct choice){due, at, reason};
}

/* Earliest due time first, so that no account starves. */
static struct choice choose(struct probe_account *const *accounts, size_t count,
	const struct probe_pace *pace, bool urgent)
{
	struct choice best = {.due_ms = NEVER};

	for (size_t i = 0; i < count; i++) {
		if (accounts[i]->under_way)
			continue;
		for (int n = 0; n < PROBE_REASON_COUNT; n++) {
			if (is_urgent((enum probe_reason)n) == urgent)
				consider(accounts[i], i, pace, (enum probe_reason)n, &best);
		}
	}
	return best;
}

static size_t count_under_way(struct probe_account *const *accounts, size_t count, bool urgent)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		n += accounts[i]->under_way && is_urgent(accounts[i]->reason) == urgent;
	return n;
}

bool probe_next(struct probe_account *const *accounts, size_t count, const struct probe_pace *pace,
	int64_t now_ms, size_t *ret_at, enum probe_reason *ret_reason)
{
	struct choice best = {.due_ms = NEVER};
	int64_t since_ms = now_ms - pace->last_ms;
	bool rests = since_ms >= 0 && since_ms < pace->pause_ms;

	if (count_under_way(accounts, count, true) < PROBE_URGENT_MAX)
		best = choose(accounts, count, pace, true);
	if (best.due_ms > now_ms && !rests &&
		count_under_way(accounts, count, false) < PROBE_PACED_MAX)
		best = choose(accounts, count, pace, false);
	if (best.due_ms > now_ms)
		return false;
	*ret_at = best.at;
	*ret_reason = best.reason;
	return true;
}

/* --- begin and end --- */

void probe_begin(struct probe_account *a, struct probe_pace *pace, enum probe_reason reason,
	int64_t now_ms, uint64_t random)
{
	if (reason == PROBE_SUSPECT)
		a->suspicions =
			now_ms - a->began_ms > PROBE_SUSPECT_CALM_MS ? 0 : a->suspicions + 1;
	a->under_way = true;
	a->reason = reason;
	a->began_ms = now_ms;
	a->jitter_ms = (int64_t)(random % (uint64_t)(pace->idle_ms / 8 + 1));
	a->answered_ms = a->suspect_ms;
	if (reason == PROBE_ASKED)
		a->asked_ms = 0;
	if (a->early_ms && a->early_ms <= now_ms)
		a->early_ms = a->until_ms - now_ms >= 2 * PROBE_GAP_MS ? halfway_ms(a, now_ms) : 0;
	if (!is_urgent(reason))
		pace->last_ms = now_ms;
}

void probe_end(struct probe_account *a, bool heard)
{
	a->under_way = false;
	if (!heard)
		a->answered_ms = 0;
}
