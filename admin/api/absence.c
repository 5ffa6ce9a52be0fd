#include "admin/api/absence.h"

#include "common/refusal.h"
#include "common/statefile.h"

#include <stdio.h>
#include <string.h>

#define WAIT_MAX_MS (12 * 60 * (int64_t)1000) /* the longest wait is about 10 minutes */

/* Refusals that HAProxy makes without a decision, or after the agent has allowed the request. */
static bool is_of_haproxy(const char *code)
{
	switch (refusal_find(slice_from_str(code))) {
	case REFUSAL_REQUEST_TIMEOUT:
	case REFUSAL_AGENT_UNAVAILABLE:
		return true;
	default:
		return false;
	}
}

/* The time of the oldest decision that is kept: what is younger would be there. */
static int64_t kept_since(const struct board *b)
{
	uint64_t n = atomic_load_explicit(&b->whys_written, memory_order_acquire);
	struct board_why oldest;

	if (n <= BOARD_WHYS)
		return b->created_ms;
	for (uint64_t i = n - BOARD_WHYS; i < n; i++) {
		if (board_read_why(b, i, &oldest) == 0)
			return oldest.decided_ms;
	}
	return INT64_MAX;
}

const char *absence_of_reasons(
	const struct board *b, const struct board_request *finished, char out[ABSENCE_SIZE])
{
	/* GET /relay/health answers 503, too */
	bool is_answer = !finished->code[0] && !finished->account && finished->status >= 200;

	if (is_of_haproxy(finished->code))
		snprintf(out, ABSENCE_SIZE,
			"HAProxy refused it by itself: the agent decided nothing");
	else if (is_answer)
		snprintf(out, ABSENCE_SIZE,
			"the relay answered it by itself: nothing was to choose");
	else if (finished->started_ms >= kept_since(b))
		snprintf(out, ABSENCE_SIZE, "it ended before the agent had decided");
	else if (finished->started_ms < b->created_ms)
		snprintf(out, ABSENCE_SIZE,
			"its reasons are gone: the relay was restarted after it");
	else
		snprintf(out, ABSENCE_SIZE,
			"its reasons are gone: they are kept for the last %d decisions",
			BOARD_WHYS);
	return out;
}

static bool is_in_progress(const struct control *c, const uint8_t id[16])
{
	uint32_t count = 0;
	const struct statefile_lease *rows =
		c->statefile.block ? statefile_table(&c->statefile, STATEFILE_LEASE, &count) : NULL;

	for (uint32_t i = 0; i < count; i++) {
		if (atomic_load_explicit(&rows[i].state, memory_order_acquire) != LEASE_FREE &&
			memcmp(rows[i].id, id, sizeof(rows[i].id)) == 0)
			return true;
	}
	return false;
}

const char *absence_of_end(const struct control *c, const uint8_t id[16],
	const struct reasons *reasons, int64_t now_ms)
{
	const struct board_why *last = &reasons->last;

	switch ((enum board_action)last->action) {
	case BOARD_ACTION_ALLOWED:
		return is_in_progress(c, id) ? "not finished yet"
					     : "HAProxy has not reported how it ended";
	case BOARD_ACTION_WAITED:
		return now_ms - last->decided_ms < WAIT_MAX_MS
			? "it waits, or its client has left"
			: "HAProxy has not reported how it ended";
	case BOARD_ACTION_DENIED:
	case BOARD_ACTION_ENDED:
		break;
	}
	return NULL;
}
