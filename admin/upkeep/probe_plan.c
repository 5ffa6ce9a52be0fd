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

static bool is_failed(uint64_t class)
{
	return class == RESULT_BURST || class == RESULT_AUTH || class == RESULT_DENIED ||
		class == RESULT_OVERLOAD || class == RESULT_SERVER || class == RESULT_NETWORK;
}

/* After a failed probe. Two witnesses open a circuit too, although probes succeed: it keeps its time. */
static bool is_rest(const struct probe_account *a)
{
	return a->standing == BOARD_STANDING_COOLING ||
		(a->standing == BOARD_STANDING_OPEN && a->probe_failed);
}

/* The next early probe of a rest; 0 = none before its end. */
static int64_t next_early_ms(const struct probe_account *a, int64_t now_ms)
{
	int64_t left_ms = a->until_ms - now_ms;

	if (!is_rest(a))
		return 0;
	if (left_ms >= 2 * a->early_gap_ms)
		return now_ms + left_ms / 2;
	return left_ms > 2 * PROBE_EARLY_LAST_MS ? a->until_ms - PROBE_EARLY_LAST_MS : 0;
}

static void take_rest(struct probe_account *a, int64_t now_ms)
{
	a->early_gap_ms = a->until_ms - now_ms > PROBE_EARLY_LONG_MS ? PROBE_EARLY_GAP_LONG_MS
								     : PROBE_EARLY_GAP_MS;
	a->early_ms = next_early_ms(a, now_ms);
}

/* A fixed share of `span_ms` that differs from account to account. */
static int64_t share_of(const struct probe_account *a, int64_t span_ms)
{
	return (int64_t)(a->id * 2654435761u) % span_ms;
}

/* After a clock set back, no probe may be late. */
static void take_clock(struct probe_account *a, int64_t now_ms)
{
	a->began_ms = earlier_of(a->began_ms, now_ms);
	a->known_ms = a->known_ms ? earlier_of(a->known_ms, now_ms) : now_ms;
	a->asked_ms = earlier_of(a->asked_ms, now_ms);
	a->trial_ms = earlier_of(a->trial_ms, now_ms);
	a->pending_ms = earlier_of(a->pending_ms, now_ms);
	a->failing_ms = earlier_of(a->failing_ms, now_ms);
	a->not_before_ms = earlier_of(a->not_before_ms, now_ms + PROBE_GAP_MS);
}

/*
 * The first look is one gap after the window began. Control does not know when a window began that it finds
 * at its start: those looks are spread over one gap.
 */
static void take_window(struct probe_account *a, int64_t window_ms, bool is_new, int64_t now_ms)
{
	a->window_ms = window_ms > now_ms ? window_ms : 0;
	if (!a->window_ms)
		a->page_ms = 0;
	else if (!a->page_ms)
		a->page_ms = now_ms + (is_new ? share_of(a, PROBE_PAGE_GAP_MS) : PROBE_PAGE_GAP_MS);
	else
		a->page_ms = earlier_of(a->page_ms, now_ms + PROBE_PAGE_GAP_MS);
}

/* A probe shows nothing while a limit is reached, and rests have their own probes. */
static bool may_be_wanted(enum board_standing standing)
{
	return standing == BOARD_STANDING_USABLE || standing == BOARD_STANDING_SUSPECT;
}

/* Later failures do not move the account back in the line. */
static void take_wanted(struct probe_account *a, uint64_t wanted_ms)
{
	a->wanted_ms = (int64_t)wanted_ms;
	if (!a->wanted_ms || a->wanted_ms == a->answered_ms)
		a->pending_ms = 0;
	else if (!a->pending_ms)
		a->pending_ms = a->wanted_ms;
}

/* The operator's reset forgets failures, so the pauses between probes begin anew. */
static void take_epoch(struct probe_account *a, uint64_t epoch)
{
	if (a->epoch != epoch)
		a->wanted_count = 0;
	a->epoch = epoch;
}

void probe_observe(struct probe_account *a, const struct board_account *row, int64_t now_ms)
{
	enum board_standing standing =
		row ? (enum board_standing)board_get(&row->standing) : BOARD_STANDING_USABLE;
	int64_t until_ms = row ? (int64_t)board_get(&row->until_ms) : 0;
	bool changed = standing != a->standing || until_ms != a->until_ms;
	bool trial = standing == BOARD_STANDING_HALF_OPEN && until_ms == 0;
	bool is_new = a->known_ms == 0;

	take_clock(a, now_ms);
	take_epoch(a, row ? board_get(&row->epoch) : 0);
	a->standing = standing;
	a->until_ms = until_ms;
	a->probe_failed =
		row && board_get(&row->probe_ms) && is_failed(board_get(&row->probe_class));
	if (changed)
		take_rest(a, now_ms);
	take_window(a, row ? (int64_t)board_get(&row->window_ms) : 0, is_new, now_ms);
	a->trial_ms = !trial ? 0 : a->trial_ms ? a->trial_ms : now_ms;
	a->used_ms = row ? earlier_of((int64_t)board_get(&row->last_used_ms), now_ms) : 0;
	take_wanted(a, row && may_be_wanted(standing) ? board_get(&row->wants_probe_ms) : 0);
	/* many may wait since before the start of control */
	if (is_new && (a->wanted_ms || a->trial_ms))
		a->not_before_ms = now_ms + share_of(a, PROBE_SPREAD_MS);
}

/* --- due times --- */

static int64_t wanted_gap_ms(const struct probe_account *a)
{
	int64_t gap = PROBE_WANTED_GAP_MS;

	for (uint32_t n = 1; n < a->wanted_count && gap < PROBE_WANTED_GAP_MAX_MS; n++)
		gap *= 2;
	return a->wanted_count ? earlier_of(gap, PROBE_WANTED_GAP_MAX_MS) : 0;
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
		return a->pending_ms ? later_of(a->pending_ms, a->failing_ms + wanted_gap_ms(a))
				     : NEVER;
	case PROBE_TRIAL:
		return a->trial_ms ? later_of(a->trial_ms, after(a, PROBE_TRIAL_GAP_MS)) : NEVER;
	case PROBE_EARLY:
		return a->early_ms ? later_of(a->early_ms, after(a, PROBE_EARLY_LAST_MS)) : NEVER;
	case PROBE_WINDOW:
		return a->has_page && a->page_ms && a->page_ms < a->window_ms ? a->page_ms : NEVER;
	case PROBE_IDLE:
		return idle_due_ms(a, pace);
	case PROBE_REASON_COUNT:
		break;
	}
	return NEVER;
}

enum lane { LANE_ASKED, LANE_URGENT, LANE_PACED, LANE_COUNT };

static enum lane lane_of(enum probe_reason reason)
{
	static const enum lane lanes[PROBE_REASON_COUNT] = {
		[PROBE_ASKED] = LANE_ASKED,
		[PROBE_SUSPECT] = LANE_URGENT,
		[PROBE_TRIAL] = LANE_URGENT,
		[PROBE_EARLY] = LANE_URGENT,
		[PROBE_WINDOW] = LANE_PACED,
		[PROBE_IDLE] = LANE_PACED,
	};

	return lanes[reason];
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
	const struct probe_pace *pace, enum lane lane)
{
	struct choice best = {.due_ms = NEVER};

	for (size_t i = 0; i < count; i++) {
		if (accounts[i]->under_way)
			continue;
		for (int n = 0; n < PROBE_REASON_COUNT; n++) {
			if (lane_of((enum probe_reason)n) == lane)
				consider(accounts[i], i, pace, (enum probe_reason)n, &best);
		}
	}
	return best;
}

static bool has_place(struct probe_account *const *accounts, size_t count, enum lane lane)
{
	static const size_t places[LANE_COUNT] = {
		PROBE_ASKED_MAX, PROBE_URGENT_MAX, PROBE_PACED_MAX};
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		n += accounts[i]->under_way && lane_of(accounts[i]->reason) == lane;
	return n < places[lane];
}

static bool may_begin(const struct probe_pace *pace, enum lane lane, int64_t now_ms)
{
	int64_t since_ms = now_ms - pace->last_ms;

	return lane != LANE_PACED || since_ms < 0 || since_ms >= pace->pause_ms;
}

bool probe_next(struct probe_account *const *accounts, size_t count, const struct probe_pace *pace,
	int64_t now_ms, size_t *ret_at, enum probe_reason *ret_reason)
{
	for (int n = 0; n < LANE_COUNT; n++) {
		enum lane lane = (enum lane)n;
		if (!may_begin(pace, lane, now_ms) || !has_place(accounts, count, lane))
			continue;
		struct choice best = choose(accounts, count, pace, lane);
		if (best.due_ms > now_ms)
			continue;
		*ret_at = best.at;
		*ret_reason = best.reason;
		return true;
	}
	return false;
}

bool probe_outlook(const struct probe_account *a, const struct probe_pace *pace,
	int64_t *ret_due_ms, enum probe_reason *ret_reason)
{
	struct choice best = {.due_ms = NEVER};

	for (int n = 0; n < PROBE_REASON_COUNT; n++)
		consider(a, 0, pace, (enum probe_reason)n, &best);
	if (best.due_ms == NEVER)
		return false;
	*ret_due_ms = best.due_ms;
	*ret_reason = best.reason;
	return true;
}

/* --- begin and end --- */

void probe_begin(struct probe_account *a, struct probe_pace *pace, enum probe_reason reason,
	int64_t now_ms, uint64_t random)
{
	if (reason == PROBE_SUSPECT) {
		a->wanted_count =
			now_ms - a->failing_ms > PROBE_WANTED_CALM_MS ? 1 : a->wanted_count + 1;
		a->failing_ms = now_ms;
	}
	a->under_way = true;
	a->reason = reason;
	a->began_ms = now_ms;
	a->jitter_ms = (int64_t)(random % (uint64_t)(pace->idle_ms / 8 + 1));
	a->answered_ms = a->wanted_ms;
	a->pending_ms = 0;
	if (reason == PROBE_ASKED)
		a->asked_ms = 0;
	if (a->early_ms && a->early_ms <= now_ms)
		a->early_ms = next_early_ms(a, now_ms);
	if (a->page_ms)
		a->page_ms = now_ms + PROBE_PAGE_GAP_MS;
	if (lane_of(reason) == LANE_PACED)
		pace->last_ms = now_ms;
}

void probe_end(struct probe_account *a, enum probe_outcome outcome)
{
	a->under_way = false;
	if (outcome == PROBE_UNSENT)
		a->answered_ms = 0;
	/* the account rests now; when it is back, the pauses begin anew */
	if (outcome == PROBE_FAILED && a->wanted_count)
		a->wanted_count = 1;
}
