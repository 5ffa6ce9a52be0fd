/*
 * Slots: how many requests each tenant, key family and account has in progress, with limits or
 * without. Counted in memory from the leases, so there is a row for whoever has a lease, and never
 * too few rows. All operations are O(1) and allocate nothing.
 */
#ifndef RELAY_AGENT_SLOTS_H
#define RELAY_AGENT_SLOTS_H

#include "common/statefile.h"

#include <stdint.h>

struct slots_row {
	uint32_t kind; /* enum usage_kind; USAGE_FREE = empty */
	uint32_t id;
	uint32_t in_use; /* never 0 in a row that is not empty */
};

struct slots {
	struct slots_row *rows; /* open addressing */
	uint32_t mask;
};

/* For this many leases. 0 or -ENOMEM. */
int slots_init(struct slots *s, uint32_t leases);
void slots_fini(struct slots *s);

uint32_t slots_in_use(const struct slots *s, enum usage_kind kind, uint32_t id);
void slots_enter(struct slots *s, enum usage_kind kind, uint32_t id);
void slots_leave(struct slots *s, enum usage_kind kind, uint32_t id);

/* The slots of tenant, family and account that a lease holds. */
void slots_enter_lease(struct slots *s, const struct statefile_lease *lease);
void slots_leave_lease(struct slots *s, const struct statefile_lease *lease);

#endif
