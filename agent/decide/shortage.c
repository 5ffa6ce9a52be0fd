#include "agent/decide/shortage.h"

/* Estimates for an end that is unknown; the row of the refusal has the same Retry-After. */
#define SLOT_MS 1000
#define TRIAL_MS 5000

/* A reason without a row does not keep the account from other requests like this one. */
static const enum shortage_cause causes[BOARD_REASON_COUNT] = {
	[BOARD_REASON_SUSPENDED] = SHORTAGE_PERSON,
	[BOARD_REASON_NO_CREDENTIAL] = SHORTAGE_PERSON,
	[BOARD_REASON_EXPIRED] = SHORTAGE_PERSON,
	[BOARD_REASON_LOGIN] = SHORTAGE_PERSON,
	[BOARD_REASON_UPSTREAM] = SHORTAGE_PERSON,
	[BOARD_REASON_EGRESS_SUSPENDED] = SHORTAGE_PERSON,
	[BOARD_REASON_HOUR] = SHORTAGE_WINDOW,
	[BOARD_REASON_WINDOW] = SHORTAGE_WINDOW,
	[BOARD_REASON_MINUTE] = SHORTAGE_LIMIT,
	[BOARD_REASON_SLOTS] = SHORTAGE_LIMIT,
	[BOARD_REASON_QUEUED] = SHORTAGE_LIMIT,
	[BOARD_REASON_BURST] = SHORTAGE_LIMIT,
	[BOARD_REASON_CIRCUIT] = SHORTAGE_CIRCUIT,
	[BOARD_REASON_HALF_OPEN] = SHORTAGE_CIRCUIT,
	[BOARD_REASON_COOLING] = SHORTAGE_CIRCUIT,
	[BOARD_REASON_REFRESH] = SHORTAGE_CIRCUIT,
	[BOARD_REASON_RENEWAL] = SHORTAGE_CIRCUIT,
	[BOARD_REASON_EGRESS] = SHORTAGE_CIRCUIT,
	[BOARD_REASON_EGRESS_FAILED] = SHORTAGE_CIRCUIT,
	/* the new HAProxy process knows it; an old one still takes connections during a reload */
	[BOARD_REASON_HEADER] = SHORTAGE_CIRCUIT,
	[BOARD_REASON_BACKEND] = SHORTAGE_CIRCUIT,
	[BOARD_REASON_REFUSED] = SHORTAGE_PROBE,
	[BOARD_REASON_TRIED] = SHORTAGE_BRAKE,
	[BOARD_REASON_BRAKED] = SHORTAGE_BRAKE,
};

enum shortage_cause shortage_cause(enum board_reason reason)
{
	return (size_t)reason < BOARD_REASON_COUNT ? causes[reason] : SHORTAGE_NONE;
}

void shortage_note(struct shortage *s, enum shortage_cause cause, int64_t end_ms, int64_t now_ms)
{
	int64_t unknown_ms = now_ms + (cause == SHORTAGE_LIMIT ? SLOT_MS : TRIAL_MS);
	int64_t end = end_ms ? end_ms : unknown_ms;

	s->counts[cause]++;
	if (cause == SHORTAGE_NONE || cause == SHORTAGE_PERSON)
		return;
	if (end_ms && (s->known_ms == 0 || end_ms < s->known_ms))
		s->known_ms = end_ms;
	if (end_ms == 0 && cause == SHORTAGE_LIMIT)
		s->any_time = true;
	if (s->first != SHORTAGE_NONE && s->end_ms <= end)
		return;
	s->first = cause;
	s->end_ms = end;
	s->exact = end_ms != 0;
}

bool shortage_is_limits_only(const struct shortage *s)
{
	return s->counts[SHORTAGE_PERSON] + s->counts[SHORTAGE_CIRCUIT] +
		s->counts[SHORTAGE_PROBE] + s->counts[SHORTAGE_BRAKE] ==
		0;
}

enum refusal shortage_refusal(const struct shortage *s, int64_t now_ms)
{
	bool is_limit = s->first == SHORTAGE_LIMIT || s->first == SHORTAGE_WINDOW;

	if (s->first == SHORTAGE_NONE)
		return REFUSAL_NO_ACCOUNT;
	if (s->end_ms <= now_ms + REFUSAL_WAIT_MS)
		return is_limit ? REFUSAL_ACCOUNTS_LIMITED : REFUSAL_CIRCUIT_OPEN;
	return s->counts[SHORTAGE_WINDOW] ? REFUSAL_ACCOUNTS_EXHAUSTED : REFUSAL_NO_ACCOUNT;
}
