/*
 * The retry budget: a tenant earns a share of a further attempt with each request, and a fixed
 * number of attempts per second. Requests in flight may overdraw it; then no request gets a further
 * attempt until the debt is paid. That is the back-off.
 *
 * Budgets live in the agent's memory: a hash table of buckets, in which a new budget replaces the
 * one that was credited longest ago.
 */
#ifndef RELAY_AGENT_BUDGET_H
#define RELAY_AGENT_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#define BUDGETS 65536
#define BUDGET_WAYS 8

#define BUDGET_UNIT 100		       /* one attempt */
#define BUDGET_STEP (BUDGET_UNIT / 10) /* smaller gains are not credited yet */
#define BUDGET_MAX (200 * BUDGET_UNIT) /* most that can be saved up beyond two seconds' worth */

struct budget {
	int64_t level; /* in 1/BUDGET_UNIT of an attempt */
	int64_t at_ms; /* Unix time up to which seconds were credited; 0 = new */
};

struct budget_row {
	uint32_t tenant; /* id; 0 = empty */
	uint32_t pad;
	struct budget budget;
};

struct budgets {
	struct budget_row *rows;
};

/* 0 or -ENOMEM. */
int budgets_init(struct budgets *b);
void budgets_fini(struct budgets *b);
/* Made if missing. Valid until the next call. */
struct budget *budget_of(struct budgets *b, uint32_t tenant);

/* The wall clock has moved by `step_ms`: all times move with it. */
void budgets_shift(struct budgets *b, int64_t step_ms, int64_t now_ms);

static inline void budget_credit(struct budget *b, uint32_t per_second, int64_t now_ms)
{
	int64_t worth = (int64_t)per_second * BUDGET_UNIT;

	if (b->at_ms == 0)
		*b = (struct budget){worth, now_ms};
	if (now_ms <= b->at_ms)
		return;
	int64_t ms = now_ms - b->at_ms;
	int64_t gain = ms < 60000 ? ms * worth / 1000 : 60 * worth;
	if (gain < BUDGET_STEP)
		return;
	/* the rest counts next time */
	b->at_ms = ms < 60000 ? b->at_ms + (gain * 1000 + worth - 1) / worth : now_ms;
	if (b->level < 2 * worth)
		b->level = b->level + gain < 2 * worth ? b->level + gain : 2 * worth;
}

static inline void budget_earn(struct budget *b, uint32_t percent)
{
	if (b->level < BUDGET_MAX)
		b->level += percent;
}

static inline bool budget_has(const struct budget *b)
{
	return b->level >= BUDGET_UNIT;
}

static inline void budget_spend(struct budget *b)
{
	if (b->level > -BUDGET_MAX)
		b->level -= BUDGET_UNIT;
}

#endif
