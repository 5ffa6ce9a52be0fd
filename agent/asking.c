#include "agent/asking.h"

#include "agent/decision.h"
#include "agent/timekeeper.h"
#include "common/clock.h"
#include "common/seam.h"

static bool is_wait(struct slice name)
{
	return slice_eq_str(name, SEAM_MSG_WAIT) || slice_eq_str(name, SEAM_MSG_WAIT2);
}

static bool is_again(struct slice name)
{
	return slice_eq_str(name, SEAM_MSG_AGAIN) || slice_eq_str(name, SEAM_MSG_AGAIN2);
}

static bool is_bodied(struct slice name)
{
	return slice_eq_str(name, SEAM_MSG_BODIED);
}

static bool is_decide(struct slice name)
{
	return slice_eq_str(name, SEAM_MSG_DECIDE) || slice_eq_str(name, SEAM_MSG_DECIDE2) ||
		is_bodied(name) || is_wait(name);
}

bool asking_is_known(struct slice name)
{
	return is_decide(name) || is_again(name) || slice_eq_str(name, SEAM_MSG_RESPOND) ||
		slice_eq_str(name, SEAM_MSG_PROBE);
}

void asking_read(const struct agent *a, struct slice name, struct spoe_notify_walk *walk,
	size_t frame_max, struct question *ret)
{
	question_read(walk, is_decide(name), a->snapshot, frame_max, ret);
	ret->request.was_read = is_bodied(name) || is_wait(name);
	if (ret->request.since_ms)
		ret->request.since_ms = timekeeper_from_boot(a, ret->request.since_ms);
}

/* A question is proof that a process of its generation runs. */
static void note_generation(struct agent *a, const struct decide_request *r)
{
	if (r->gen && r->gen < a->generations.oldest)
		generations_asked(&a->generations, r->gen, clock_monotonic_ms());
}

static void note_worker(struct agent *a, const struct decide_request *r)
{
	if (healer_meet(&a->healer, gauge_worker(r->worker)))
		a->wants_reading = true;
}

bool asking_answer(struct agent *a, struct slice name, const struct question *q,
	const struct room_seat *seat, struct spoe_ack *ack)
{
	note_generation(a, &q->request);
	note_worker(a, &q->request);
	if (is_decide(name))
		return agent_answer(a, &q->request, is_wait(name) ? seat : NULL, ack);
	if (is_again(name))
		agent_answer_again(a, q, slice_eq_str(name, SEAM_MSG_AGAIN2), ack);
	else if (slice_eq_str(name, SEAM_MSG_PROBE))
		agent_answer_probe(a, q, ack);
	else
		agent_hear_head(a, q, ack);
	return true;
}
