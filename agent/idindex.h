/*
 * Finds rows of the state file by kind and id. Rows begin with `_Atomic uint32_t state` (the kind;
 * 0 = free) and `uint32_t id`, and end with their check (common/staterow.h). The index lives in memory and is rebuilt from the rows; a stack
 * holds the free ones. All operations are O(1) and allocate nothing.
 */
#ifndef RELAY_AGENT_IDINDEX_H
#define RELAY_AGENT_IDINDEX_H

#include <stdint.h>

#define IDINDEX_NONE UINT32_MAX

struct idindex {
	char *rows;
	uint32_t row_size;
	uint32_t count; /* rows in all */
	uint32_t max;	/* rows that it can grow to */
	uint32_t used;
	uint32_t dropped;  /* rows that the file had twice */
	uint32_t *buckets; /* open addressing; row + 1, 0 = empty */
	uint32_t mask;
	uint32_t fresh;	     /* from this row on, no row was ever used */
	uint32_t *free_rows; /* a stack of free rows before that one */
	uint32_t free_count;
};

/* `max` (at least `count`): rows that `rows` has room for. 0 or -ENOMEM. */
int idindex_init(struct idindex *x, void *rows, uint32_t row_size, uint32_t count, uint32_t max);
/* `rows` has more rows now, all free, `count` in all, at most the `max` of the start. */
void idindex_grow(struct idindex *x, uint32_t count);
void idindex_fini(struct idindex *x);

/* Number of the row; IDINDEX_NONE when there is none. */
uint32_t idindex_find(const struct idindex *x, uint32_t kind, uint32_t id);
/* The free row that idindex_add() will take; IDINDEX_NONE when all are taken. */
uint32_t idindex_next(const struct idindex *x);
/* Adds the open row from idindex_next(), complete apart from its state. The caller seals it. */
void idindex_add(struct idindex *x, uint32_t i, uint32_t kind);
void idindex_remove(struct idindex *x, uint32_t i);

#endif
