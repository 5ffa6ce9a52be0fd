#include "agent/keeper/supervise.h"

void supervise_init(struct supervise *s, int64_t now_ms)
{
	*s = (struct supervise){.tokens = SUPERVISE_BURST, .refilled_ms = now_ms};
}

static void refill(struct supervise *s, int64_t now_ms)
{
	int64_t earned = (now_ms - s->refilled_ms) / SUPERVISE_REFILL_MS;

	if (earned <= 0)
		return;
	s->refilled_ms += earned * SUPERVISE_REFILL_MS;
	s->tokens = earned > SUPERVISE_BURST - s->tokens ? SUPERVISE_BURST
							 : s->tokens + (uint32_t)earned;
}

int64_t supervise_delay_ms(struct supervise *s, bool served, int64_t now_ms)
{
	int64_t delay = SUPERVISE_DELAY_MIN_MS;

	refill(s, now_ms);
	if (!served) {
		for (uint32_t i = 0; i < s->failed_starts && delay < SUPERVISE_DELAY_MAX_MS; i++)
			delay *= 2;
		s->failed_starts++;
		return delay < SUPERVISE_DELAY_MAX_MS ? delay : SUPERVISE_DELAY_MAX_MS;
	}
	s->failed_starts = 0;
	if (s->tokens == 0)
		return SUPERVISE_REFILL_MS;
	s->tokens--;
	return 0;
}
