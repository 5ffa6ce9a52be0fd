/*
 * The tables of a state file in shared memory without the file, and an agent's indexes over them.
 * tables_stop() ends an agent, tables_start() starts the next one, as agent/state.c does it.
 */
#ifndef RELAY_TESTS_AGENT_TABLES_H
#define RELAY_TESTS_AGENT_TABLES_H

#include "agent/decide/decide.h"

#define TABLES_HEALTHS 256

struct tables_size {
	uint32_t usages, leases, bindings;
};

struct tables {
	struct tables_size size;
	void *block; /* shared with children */
	size_t block_size;
	struct statefile_undo *undo_row;
	struct statefile_usage *usage_rows;
	struct statefile_lease *lease_rows;
	struct statefile_binding *binding_rows;
	struct statefile_health *health_rows;
	struct undo undo;
	struct healths healths;
	struct evidence evidence;
	struct usages usages;
	struct slots slots;
	struct budgets budgets;
	struct pooled pooled;
	struct leases leases;
	struct bindings bindings;
	struct decide_state state;
};

/* Empty, and started. */
void tables_init(struct tables *t, struct tables_size size);
void tables_fini(struct tables *t);
/* A new agent takes the rows over. */
void tables_start(struct tables *t);
/* Drops what an agent had in memory. */
void tables_stop(struct tables *t);
void tables_clear(struct tables *t);

#endif
