/*
 * How many rows of the history each tenant has, in memory: beyond the maximum the tenants with the most
 * rows lose their oldest. O(1) for a row; finding the level costs a pass over the tenants.
 */
#ifndef RELAY_ADMIN_STORE_TALLY_H
#define RELAY_ADMIN_STORE_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tally_row {
	uint32_t tenant; /* 0 = free */
	uint32_t rows;
};

/* Zeroed, it is empty. */
struct tally {
	struct tally_row *rows; /* open addressing */
	size_t size;		/* a power of two, or 0 */
	size_t used;
	uint64_t nobody; /* rows without a tenant */
	uint64_t total;	 /* all rows */
};

void tally_fini(struct tally *t);
/* `rows` may be negative; a count never goes below 0. 0 or -ENOMEM. */
int tally_add(struct tally *t, uint32_t tenant, int64_t rows);
/*
 * How many rows a tenant may keep, so that all together have `max` at most: who has fewer keeps them all.
 * UINT32_MAX if no tenant has to lose any.
 */
uint32_t tally_level(const struct tally *t, uint64_t max);

#endif
