/*
 * Request metadata in the store. The agent writes finished requests to the board's ring; control
 * moves them to the store and deletes rows that are too old or too many. Both happen in
 * transactions of bounded length, so that no command waits long.
 */
#ifndef RELAY_ADMIN_STORE_HISTORY_H
#define RELAY_ADMIN_STORE_HISTORY_H

#include "admin/store/store.h"
#include "common/board.h"
#include "common/config.h"
#include "common/errtext.h"
#include "common/step.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed and with its first four members set, it is ready. Owns none of them. */
struct history {
	struct store *store;
	const struct board *board;
	const struct config *config;
	const struct step_retention *retention; /* NULL = the wall clock (tests) */
	uint64_t unsaved; /* requests that the ring overwrote too early, since control started */
	int64_t next_ns; /* when the next step for a few rows or after a failure is due; monotonic */
	bool failed;	 /* the last step failed; logged once */
};

/*
 * One transaction: moves rows and deletes old ones. `ret_more`: it stopped at a bound, not at the end.
 * Not inside a transaction.
 */
int history_step(struct history *h, bool *ret_more, struct errtext *e);
/* For the loop: a step when one is due. Errors are logged. Returns whether more is waiting. */
bool history_poll(struct history *h);
/* At the end of control: moves the rows of the ring, for two seconds at most. */
void history_flush(struct history *h);

/* The number in the ring of the first request that the store does not have. */
int history_taken(struct store *s, const struct board *b, uint64_t *ret, struct errtext *e);
/* The newest `max` rows of the store, newest first, of `tenant` alone unless that is 0. */
typedef void history_row_fn(void *context, const struct board_request *row);
int history_each(struct store *s, uint32_t tenant, size_t max, history_row_fn *fn, void *context,
	struct errtext *e);
/* 1: the newest row of this id, 0: none, negative: failed. */
int history_find(
	struct store *s, const uint8_t id[16], struct board_request *ret, struct errtext *e);

#endif
