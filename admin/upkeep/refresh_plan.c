#include "admin/upkeep/refresh_plan.h"

#define SECOND ((int64_t)1000)
#define SHARE_MIN 600 /* of the lifetime, in thousandths */
#define SHARE_RANGE 151

const char *refresh_outcome_name(enum refresh_outcome o)
{
	static const char *const names[REFRESH_OUTCOME_COUNT] = {
#define X(id, label, text) [REFRESH_##id] = (label),
		REFRESH_OUTCOMES(X)
#undef X
	};

	return names[o];
}

const char *refresh_outcome_text(enum refresh_outcome o)
{
	static const char *const texts[REFRESH_OUTCOME_COUNT] = {
#define X(id, label, text) [REFRESH_##id] = (text),
		REFRESH_OUTCOMES(X)
#undef X
	};

	return texts[o];
}

int64_t refresh_repeat_pause_ms(uint32_t sends)
{
	static const int64_t first[] = {1 * SECOND, 3 * SECOND, 8 * SECOND};
	const uint32_t count = sizeof(first) / sizeof(first[0]);

	if (sends <= count)
		return first[sends ? sends - 1 : 0];
	return sends <= count + REFRESH_REPEATS_PER_MINUTE ? 60 * SECOND : REFRESH_REPEAT_MAX_MS;
}

static int64_t doubled_ms(int64_t ms, uint32_t times, int64_t max_ms)
{
	while (times-- && ms < max_ms)
		ms *= 2;
	return ms < max_ms ? ms : max_ms;
}

static int64_t backoff_ms(uint32_t retries)
{
	return doubled_ms(REFRESH_BACKOFF_MS, retries, REFRESH_BACKOFF_MAX_MS);
}

int64_t refresh_useless_pause_ms(int64_t first_ms, uint32_t useless)
{
	return doubled_ms(first_ms, useless, REFRESH_USELESS_MAX_MS);
}

struct refresh_action refresh_next(const struct refresh_state *s, enum refresh_outcome o)
{
	bool notice = s->failures + 1 == REFRESH_NOTICE_AFTER;

	if (s->superseded)
		return (struct refresh_action){.step = REFRESH_FORGET};
	if (s->refused_ms >= REFRESH_ENDLESS_MS)
		return (struct refresh_action){.step = REFRESH_LOGIN};
	switch (o) {
	case REFRESH_KEPT:
		return (struct refresh_action){REFRESH_COMMIT,
			refresh_useless_pause_ms(REFRESH_KEPT_PAUSE_MS, s->useless), true};
	case REFRESH_GRANTED:
		return (struct refresh_action){.step = REFRESH_COMMIT};
	case REFRESH_REJECTED:
		return (struct refresh_action){.step = REFRESH_LOGIN};
	case REFRESH_LOST:
		return (struct refresh_action){
			REFRESH_REPEAT, refresh_repeat_pause_ms(s->sends), notice};
	case REFRESH_NOT_SENT:
	case REFRESH_REFUSED:
	case REFRESH_OUTCOME_COUNT:
		break;
	}
	return (struct refresh_action){REFRESH_RETRY, backoff_ms(s->retries), notice};
}

/* The finishing steps of SplitMix64 spread neighbouring numbers. */
static uint64_t scatter(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

int64_t refresh_due_ms(int64_t updated_ms, int64_t expires_ms, int64_t account, int64_t generation)
{
	uint64_t seed = scatter((uint64_t)account) + (uint64_t)generation;
	int64_t share = SHARE_MIN + (int64_t)(scatter(seed) % SHARE_RANGE);
	int64_t lifetime = expires_ms ? expires_ms - updated_ms : REFRESH_ASSUMED_LIFETIME_MS;

	if (lifetime <= 0)
		return updated_ms;
	return updated_ms + lifetime / 1000 * share + lifetime % 1000 * share / 1000;
}
