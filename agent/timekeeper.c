#include "agent/timekeeper.h"

#include "agent/judge.h"
#include "common/log.h"

#include <string.h>
#include <zlib.h>

/* A step may also be seen in the middle of a request: no table is being changed then. */
static void shift_tables(struct agent *a, int64_t step_ms, int64_t now_ms)
{
	healths_shift(&a->healths, step_ms, now_ms);
	leases_shift(&a->leases, step_ms, now_ms);
	bindings_shift(&a->bindings, step_ms, now_ms);
	evidence_shift(&a->evidence, step_ms, now_ms);
	budgets_shift(&a->budgets, step_ms, now_ms);
	badkeys_shift(&a->badkeys, step_ms, now_ms);
	sharing_shift(&a->sharing, step_ms, now_ms);
	gone_shift(&a->gone, step_ms, now_ms);
	room_shift(&a->room, step_ms, now_ms);
}

/* --- what the next agent must know --- */

static uint32_t check_of(const struct statefile_clock *c)
{
	return (uint32_t)crc32(0, (const Bytef *)c, offsetof(struct statefile_clock, check));
}

static void keep(struct agent *a, struct clock_pair now)
{
	struct statefile_clock *c = statefile_clock(&a->statefile);

	memcpy(c->past.boot, a->boot, sizeof(c->past.boot));
	c->past.offset_ms = a->steps.offset_ms;
	c->past.wall_ms = now.wall_ms;
	c->retention_ms = a->usages.retention_ms = step_retention_ms(&a->retention, now);
	c->check = check_of(c);
}

/* A kill may leave it half written: then a step while no agent runs is not seen. */
static struct statefile_clock remember(const struct agent *a)
{
	const struct statefile_clock *c = statefile_clock(&a->statefile);
	const struct statefile_clock nothing = {.retention_ms = 0};

	return c->check == check_of(c) ? *c : nothing;
}

/* --- steps --- */

static void follow(struct agent *a, int64_t step_ms, struct clock_pair now)
{
	board_add(&a->board->counters[BOARD_CLOCK_STEPS], 1);
	board_set(&a->board->counters[BOARD_CLOCK_STEP_MS], (uint64_t)step_ms);
	board_set(&a->board->counters[BOARD_CLOCK_STEP_AT_MS], (uint64_t)now.wall_ms);
	step_settled_ms(&a->settled, now);
	a->state.unsettled_ms = a->settled.behind_ms;
	log_event(LOG_LEVEL_WARNING, "the clock of this machine was set",
		LOG_INT("step_ms", step_ms));
	shift_tables(a, step_ms, now.wall_ms);
	keep(a, now);
	judge_show_all(a, now.wall_ms);
}

/* The process may have been stopped between two readings: a second look decides. */
static int64_t look_again(struct agent *a)
{
	struct clock_pair now = clock_pair();
	int64_t step = step_look(&a->steps, now);

	if (step)
		follow(a, step, now);
	return now.wall_ms;
}

int64_t timekeeper_now(struct agent *a)
{
	struct clock_pair now = clock_pair_quick();

	return step_is_one(step_between(&a->steps, now)) ? look_again(a) : now.wall_ms;
}

void timekeeper_tick(struct agent *a)
{
	struct clock_pair now = clock_pair();
	int64_t step = step_look(&a->steps, now);

	if (step)
		follow(a, step, now);
	step_settled_ms(&a->settled, now);
	a->state.unsettled_ms = a->settled.behind_ms;
	keep(a, now);
}

void timekeeper_start(struct agent *a)
{
	const struct clock_pair now = clock_pair();
	const struct statefile_clock last = remember(a);

	clock_read_boot(a->boot);
	step_watch_start(&a->steps, now);
	step_settled_start(&a->settled, now);
	step_retention_start(&a->retention, last.retention_ms, now);
	int64_t step = step_since(&last.past, a->boot, now);
	if (step)
		follow(a, step, now);
	else
		shift_tables(a, 0, now.wall_ms); /* no end is later than its longest length */
	keep(a, now);
}
