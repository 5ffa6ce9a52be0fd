/*
 * Request metadata in the store. The agent writes finished requests to the board's ring; control
 * moves them to the store and deletes rows that are too old or too many: of tenants with the most rows the
 * oldest. All happens in transactions of bounded length, so that no command waits long. A request that
 * belongs to no tenant (without a valid key, or a health check) is not stored.
 */
#ifndef RELAY_ADMIN_STORE_HISTORY_H
#define RELAY_ADMIN_STORE_HISTORY_H

#include "admin/store/store.h"
#include "admin/store/tally.h"
#include "common/board.h"
#include "common/config.h"
#include "common/errtext.h"
#include "common/step.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed and with its first four members set, it is ready. Owns none of them. The caller ends it. */
struct history {
	struct store *store;
	const struct board *board;
	const struct config *config;
	const struct step_retention *retention; /* NULL = the wall clock (tests) */
	uint64_t unsaved; /* requests that the ring overwrote too early, since control started */
	int64_t next_ns; /* when the next step for a few rows or after a failure is due; monotonic */
	struct tally tally;
	bool counted;		/* the tally is true */
	size_t turn;		/* place in the tally where pruning goes on */
	bool gap_told;		/* historygap.h */
	bool failed;		/* the last step failed; logged once */
	bool resources_changed; /* the agent must learn of it (resources.h) */
};

/*
 * One transaction: moves rows and deletes old ones. `ret_more`: it stopped at a bound, not at the end.
 * Not inside a transaction.
 */
int history_step(struct history *h, bool *ret_more, struct errtext *e);
/* For the loop: a step when one is due. Errors are logged. Returns whether more is waiting. */
bool history_poll(struct history *h);
/* Now, whenever a step is due: moves the rows of the ring, for two seconds at most. */
void history_flush(struct history *h);

/* Requests that the store does not have yet or that the ring has overwritten since the last step. */
uint64_t history_waiting(const struct history *h);

void history_fini(struct history *h);

/* The place in the ring of the first request that the store does not have. */
int history_taken(struct store *s, const struct board *b, uint64_t *ret, struct errtext *e);
/* The request at place n of the ring has, or will have, the number base + n. */
int history_base(
	struct store *s, const struct board *b, uint64_t taken, uint64_t *ret, struct errtext *e);

#endif
