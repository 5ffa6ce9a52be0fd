#include "agent/keeper/drain.h"

#define END_MS 3000  /* of an agent that has nothing left to wait for, and of one that is killed */
#define SAVE_MS 5000 /* longer than control takes to save at its end */

void drain_begin(struct drain *d, int64_t now_ms, int64_t patience_ms, bool can_save)
{
	*d = (struct drain){.step = DRAIN_AGENT,
		.until_ms = now_ms + patience_ms,
		.deadline_ms = now_ms + patience_ms + END_MS,
		.saves_left = can_save ? DRAIN_SAVES_MAX : 0};
}

void drain_hasten(struct drain *d, int64_t now_ms)
{
	d->is_hasty = true;
	d->until_ms = now_ms;
	d->deadline_ms = now_ms + END_MS;
	if (d->saves_left > 1)
		d->saves_left = 1;
}

bool drain_is_on(const struct drain *d)
{
	return d->step != DRAIN_NONE;
}

int64_t drain_left_ms(const struct drain *d, int64_t now_ms)
{
	return d->until_ms > now_ms ? d->until_ms - now_ms : 0;
}

bool drain_ends(struct drain *d, enum child_role role, bool done, bool hopeless, int64_t now_ms)
{
	switch (d->step) {
	case DRAIN_NONE:
		return false;
	case DRAIN_AGENT:
		if (hopeless && role == CHILD_CONTROL)
			d->saves_left = 0;
		return hopeless || d->is_hasty ||
			(role == CHILD_AGENT && (done || now_ms >= d->until_ms));
	case DRAIN_CONTROL:
	case DRAIN_SAVES:
		d->saved |= done && role == CHILD_CONTROL;
		return true;
	case DRAIN_OVER:
		break;
	}
	return true;
}

static void take_step(struct drain *d, enum drain_step step, int64_t now_ms)
{
	d->step = step;
	d->deadline_ms = now_ms + SAVE_MS;
	if (step == DRAIN_CONTROL)
		d->deadline_ms += drain_left_ms(d, now_ms);
}

bool drain_next(struct drain *d, bool agent_due, bool control_runs, int64_t now_ms)
{
	if (d->step == DRAIN_NONE || d->step == DRAIN_OVER)
		return false;
	if (d->step == DRAIN_AGENT ? agent_due : control_runs)
		return false;
	if (d->step == DRAIN_AGENT && control_runs) {
		take_step(d, DRAIN_CONTROL, now_ms);
	} else if (!d->saved && d->saves_left) {
		d->saves_left--;
		take_step(d, DRAIN_SAVES, now_ms);
	} else {
		take_step(d, DRAIN_OVER, now_ms);
	}
	return true;
}

int64_t drain_deadline(const struct drain *d)
{
	return d->step == DRAIN_NONE || d->step == DRAIN_OVER ? INT64_MAX : d->deadline_ms;
}

bool drain_overdue(struct drain *d, int64_t now_ms)
{
	if (now_ms < drain_deadline(d))
		return false;
	d->deadline_ms = now_ms + END_MS;
	return true;
}
