#include "admin/api/reasons.h"

#include <errno.h>
#include <string.h>

/* The agent is not trusted with the bounds of its rows. */
static void bound(struct board_why *w)
{
	if (w->limit_count > BOARD_LIMITS)
		w->limit_count = BOARD_LIMITS;
	if (w->candidate_count > BOARD_CANDIDATES)
		w->candidate_count = BOARD_CANDIDATES;
	if (w->refusal >= REFUSAL_COUNT)
		w->refusal = REFUSAL_NONE;
	if (w->attempt_count > BOARD_ATTEMPTS)
		w->attempt_count = BOARD_ATTEMPTS;
	for (size_t i = 0; i < w->attempt_count; i++) {
		if (w->attempts[i].class >= BOARD_EVIDENCE_COUNT)
			w->attempts[i].class = BOARD_EVIDENCE_UNSEEN;
		if (w->attempts[i].verdict >= BOARD_VERDICT_COUNT)
			w->attempts[i].verdict = BOARD_VERDICT_NONE;
	}
}

struct search {
	struct board_why *last;
	bool found;
	bool ended; /* `end` has all attempts of the finished request */
	struct board_why end;
	int64_t wait_began; /* 0 = the request did not wait */
	int64_t wait_ended;
	enum refusal waited_for;
};

/* Rows come from the newest to the oldest: the wait ends with the decision right after it. */
static void take(struct search *s, const struct board_why *w)
{
	if (w->action == BOARD_ACTION_ENDED) {
		s->end = *w;
		s->ended = true;
		return;
	}
	if (!s->found)
		*s->last = *w;
	s->found = true;
	if (w->action == BOARD_ACTION_WAITED) {
		s->wait_began = w->decided_ms;
		s->waited_for = (enum refusal)w->refusal;
	} else if (!s->wait_began) {
		s->wait_ended = w->decided_ms;
	}
}

bool reasons_find(const struct board *b, const uint8_t id[16], int64_t end_ms, struct reasons *ret)
{
	uint64_t n = atomic_load_explicit(&b->whys_written, memory_order_acquire);
	struct search s = {.last = &ret->last, .wait_ended = end_ms};
	struct board_why w;

	for (; n > 0; n--) {
		int error = board_read_why(b, n - 1, &w);
		if (error == -ENOENT)
			break;
		if (error || memcmp(w.id, id, sizeof(w.id)) != 0)
			continue;
		bound(&w);
		take(&s, &w);
	}
	if (!s.found)
		return false;
	if (s.ended) {
		ret->last.attempt_count = s.end.attempt_count;
		memcpy(ret->last.attempts, s.end.attempts, sizeof(ret->last.attempts));
	}
	ret->waited_ms = s.wait_began ? s.wait_ended - s.wait_began : -1;
	ret->waited_for = s.wait_began ? s.waited_for : REFUSAL_NONE;
	return true;
}
