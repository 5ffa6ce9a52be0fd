#include "tables.h"

#include "common/staterow.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static void take_over_lease(void *context, const struct statefile_lease *lease)
{
	struct tables *t = context;

	slots_enter_lease(&t->slots, lease);
}

/* Every row in use has a valid check, or is open, after any kill. */
#define CHECK_TABLE(rows, count)                                                                   \
	for (uint32_t i = 0; i < (count); i++) {                                                   \
		if ((rows)[i].state && !staterow_is_sound(STATEROW(&(rows)[i])))                   \
			abort();                                                                   \
	}

static void check_rows(const struct tables *t)
{
	CHECK_TABLE(t->usage_rows, t->size.usages)
	CHECK_TABLE(t->lease_rows, t->size.leases)
	CHECK_TABLE(t->binding_rows, t->size.bindings)
	CHECK_TABLE(t->health_rows, TABLES_HEALTHS)
}

void tables_start(struct tables *t)
{
	struct statefile_damage damage = {{0}, {0}};

	t->undo = (struct undo){
		t->undo_row, t->usage_rows, t->lease_rows, t->size.usages, t->size.leases};
	undo_recover(&t->undo, &damage);
	check_rows(t);
	if (damage.dropped[STATEFILE_UNDO])
		abort();
	bindings_init(&t->bindings, t->binding_rows, t->size.bindings);
	if (usages_init(&t->usages, t->usage_rows, t->size.usages, t->size.usages) ||
		slots_init(&t->slots, t->size.leases) || budgets_init(&t->budgets) ||
		pooled_init(&t->pooled) ||
		leases_init(&t->leases, t->lease_rows, t->size.leases, take_over_lease, t) ||
		healths_init(&t->healths, t->health_rows, TABLES_HEALTHS) ||
		evidence_init(&t->evidence, TABLES_HEALTHS))
		abort();
	t->state = (struct decide_state){.leases = &t->leases,
		.usages = &t->usages,
		.bindings = &t->bindings,
		.undo = &t->undo,
		.healths = &t->healths,
		.evidence = &t->evidence,
		.slots = &t->slots,
		.budgets = &t->budgets,
		.pooled = &t->pooled};
}

void tables_stop(struct tables *t)
{
	healths_seal(&t->healths);
	if (t->undo_row->check == 0)
		check_rows(t);
	usages_fini(&t->usages);
	leases_fini(&t->leases);
	healths_fini(&t->healths);
	evidence_fini(&t->evidence);
	slots_fini(&t->slots);
	pooled_fini(&t->pooled);
	budgets_fini(&t->budgets);
}

void tables_init(struct tables *t, struct tables_size size)
{
	size_t usages = size.usages * sizeof(*t->usage_rows);
	size_t leases = size.leases * sizeof(*t->lease_rows);
	size_t bindings = size.bindings * sizeof(*t->binding_rows);

	*t = (struct tables){.size = size,
		.block_size = sizeof(*t->undo_row) + usages + leases + bindings +
			TABLES_HEALTHS * sizeof(*t->health_rows)};
	t->block = mmap(
		NULL, t->block_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (t->block == MAP_FAILED)
		abort();
	t->undo_row = t->block;
	t->usage_rows = (void *)(t->undo_row + 1);
	t->lease_rows = (void *)(t->usage_rows + size.usages);
	t->binding_rows = (void *)(t->lease_rows + size.leases);
	t->health_rows = (void *)(t->binding_rows + size.bindings);
	tables_start(t);
}

void tables_fini(struct tables *t)
{
	tables_stop(t);
	munmap(t->block, t->block_size);
}

void tables_clear(struct tables *t)
{
	tables_stop(t);
	memset(t->block, 0, t->block_size);
	tables_start(t);
}
