#include "admin/upkeep/clockwatch.h"

#include "admin/control.h"
#include "admin/publish/change.h"
#include "admin/store/banlist.h"
#include "admin/store/notices.h"
#include "admin/store/store.h"
#include "common/board.h"
#include "common/errtext.h"
#include "common/log.h"
#include "common/num.h"
#include "common/record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SETTING "clock"
#define SETTING_SIZE 128
#define SAVE_MS 600000 /* how often it is stored; the store then writes to the disk */

/* --- what the next control process must know --- */

static int save(struct control *c, struct clock_pair now, struct errtext *e)
{
	const struct control_clock *clock = &c->clock;
	char boot[RECORD_ID_TEXT_SIZE];
	char text[SETTING_SIZE];

	snprintf(text, sizeof(text), "%s %" PRId64 " %" PRId64 " %" PRId64,
		record_format_id(clock->boot, boot), step_offset(now), now.wall_ms,
		clock->retention.now_ms);
	return store_set_setting(c->store, SETTING, text, e);
}

/* A malformed setting tells nothing. */
static void parse(const char *text, struct step_past *ret, int64_t *ret_retention_ms)
{
	struct step_past past = {.wall_ms = 0};
	struct slice rest = slice_from_str(text);
	int64_t retention_ms = 0;
	struct slice boot, offset, wall;

	if (slice_next(&rest, ' ', &boot) && slice_next(&rest, ' ', &offset) &&
		slice_next(&rest, ' ', &wall) && record_parse_id(boot, past.boot) == 0 &&
		num_parse_i64(offset, &past.offset_ms) == 0 &&
		num_parse_i64(wall, &past.wall_ms) == 0 &&
		num_parse_i64(rest, &retention_ms) == 0) {
		*ret = past;
		*ret_retention_ms = retention_ms;
	}
}

static void load(struct control *c, struct step_past *ret, int64_t *ret_retention_ms)
{
	struct errtext e = {""};
	char *text = NULL;

	*ret = (struct step_past){.wall_ms = 0};
	*ret_retention_ms = 0;
	if (store_get_setting(c->store, SETTING, &text, &e))
		log_event(LOG_LEVEL_ERROR, "the last known time cannot be read",
			LOG_STR("reason", e.text));
	c->clock.was_known = text != NULL;
	if (text)
		parse(text, ret, ret_retention_ms);
	free(text);
}

/* --- steps --- */

static int tell(struct control *c, int64_t step_ms, struct errtext *e)
{
	char message[NOTICES_MESSAGE_MAX];
	uint64_t ms = step_ms < 0 ? 0 - (uint64_t)step_ms : (uint64_t)step_ms;

	snprintf(message, sizeof(message),
		"the clock of this machine was set %s by %" PRIu64 " s. Limits count in the "
		"windows that it shows now; circuits, bans and waits last as long as before. If "
		"nobody meant it: timedatectl timesync-status",
		step_ms < 0 ? "back" : "ahead", (ms + 500) / 1000);
	return notices_raise(c->store, NOTICE_CLOCK_STEP, "clock", message, e);
}

/* Together with the time, so that no step is applied twice. */
static int apply(struct control *c, int64_t step_ms, struct clock_pair now, struct errtext *e)
{
	int error = store_begin(c->store, e);

	if (error)
		return error;
	error = store_bump_version(c->store, e);
	if (!error)
		error = banlist_shift(c->store, step_ms, e);
	if (!error)
		error = banlist_bound(c->store, now.wall_ms + (int64_t)c->config.ban_ms, e);
	if (!error)
		error = tell(c, step_ms, e);
	if (!error)
		error = save(c, now, e);
	if (!error)
		return store_commit(c->store, e);
	store_rollback(c->store);
	return error;
}

/* What the store did not take is tried again at the next look. */
static int follow(struct control *c, struct clock_pair now, struct errtext *e)
{
	struct control_clock *clock = &c->clock;
	int error = apply(c, clock->pending_ms, now, e);

	if (error)
		return error;
	clock->pending_ms = 0;
	clock->saved_ms = now.boot_ms;
	return 0;
}

static void note_step(struct control_clock *clock, int64_t step_ms, struct clock_pair now)
{
	if (!step_ms)
		return;
	clock->steps++;
	clock->step_ms = step_ms;
	clock->step_at_ms = now.wall_ms;
	clock->pending_ms += step_ms;
}

/* Once, however long the store takes nothing. */
static void complain(struct control_clock *clock, int error, const struct errtext *e)
{
	if (error && !clock->failed)
		log_event(LOG_LEVEL_ERROR, "the time cannot be stored", LOG_STR("reason", e->text));
	clock->failed = error != 0;
}

void clockwatch_poll(struct control *c)
{
	struct control_clock *clock = &c->clock;
	const struct clock_pair now = clock_pair();
	struct errtext e = {""};
	int error = 0;

	note_step(clock, step_look(&clock->watch, now), now);
	step_settled_ms(&clock->settled, now);
	step_retention_ms(&clock->retention, now);
	if (clock->pending_ms) {
		error = follow(c, now, &e);
		if (!error)
			error = change_publish(c, CHANGE_AGENT, NULL, NULL);
	} else if (now.boot_ms - clock->saved_ms >= SAVE_MS) {
		error = save(c, now, &e);
		clock->saved_ms = now.boot_ms;
	}
	if (error || clock->saved_ms == now.boot_ms)
		complain(clock, error, &e);
}

void clockwatch_start(struct control *c)
{
	struct control_clock *clock = &c->clock;
	const struct clock_pair now = clock_pair();
	struct step_past past;
	int64_t retention_ms;
	struct errtext e = {""};

	load(c, &past, &retention_ms);
	clock_read_boot(clock->boot);
	step_watch_start(&clock->watch, now);
	step_settled_start(&clock->settled, now);
	step_retention_start(&clock->retention, retention_ms, now);
	note_step(clock, step_since(&past, clock->boot, now), now);
	complain(clock, clock->pending_ms ? follow(c, now, &e) : save(c, now, &e), &e);
	clock->saved_ms = now.boot_ms;
}

/* --- shown --- */

uint64_t clockwatch_steps(const struct control *c)
{
	uint64_t steps = board_get(&c->board->counters[BOARD_CLOCK_STEPS]);

	return steps > c->clock.steps ? steps : c->clock.steps;
}

int64_t clockwatch_last(const struct control *c, int64_t *ret_at_ms)
{
	const struct board *b = c->board;
	int64_t at_ms = (int64_t)board_get(&b->counters[BOARD_CLOCK_STEP_AT_MS]);

	if (at_ms) {
		*ret_at_ms = at_ms;
		return (int64_t)board_get(&b->counters[BOARD_CLOCK_STEP_MS]);
	}
	*ret_at_ms = c->clock.step_at_ms;
	return c->clock.step_ms;
}
