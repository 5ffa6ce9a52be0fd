#include "agent/budget.h"

#include "common/step.h"

#include <errno.h>
#include <stdlib.h>

int budgets_init(struct budgets *b)
{
	b->rows = calloc(BUDGETS, sizeof(*b->rows));
	return b->rows ? 0 : -ENOMEM;
}

void budgets_fini(struct budgets *b)
{
	free(b->rows);
	b->rows = NULL;
}

struct budget *budget_of(struct budgets *b, uint32_t tenant)
{
	uint64_t hash = tenant * 0x9e3779b97f4a7c15u;
	struct budget_row *bucket =
		b->rows + (uint32_t)(hash >> 32) % (BUDGETS / BUDGET_WAYS) * BUDGET_WAYS;
	struct budget_row *oldest = bucket;

	for (uint32_t i = 0; i < BUDGET_WAYS; i++) {
		if (bucket[i].tenant == tenant)
			return &bucket[i].budget;
		if (bucket[i].budget.at_ms < oldest->budget.at_ms)
			oldest = &bucket[i];
	}
	*oldest = (struct budget_row){.tenant = tenant};
	return &oldest->budget;
}

void budgets_shift(struct budgets *b, int64_t step_ms, int64_t now_ms)
{
	for (uint32_t i = 0; i < BUDGETS; i++) {
		struct budget *budget = &b->rows[i].budget;
		budget->at_ms = step_move(budget->at_ms, step_ms, now_ms);
	}
}
