/*
 * Request metadata in the store (O4): what the agent has put in the board's ring is moved there, row
 * by row, in transactions of bounded length, and what is older or more than configured is deleted the
 * same way, so that no command waits long for either.
 */
#ifndef RELAY_ADMIN_STORE_HISTORY_H
#define RELAY_ADMIN_STORE_HISTORY_H

#include "admin/store/store.h"
#include "common/board.h"
#include "common/config.h"
#include "common/errtext.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed and with its first three members set, it is ready. Owns none of them. */
struct history {
	struct store *store;
	const struct board *board;
	const struct config *config;
	uint64_t unsaved; /* the ring had overwritten them; since this control process started */
	int64_t next_ns;  /* when a step is due for little or after a failure; monotonic */
	bool failed;	  /* the last step; told once */
};

/*
 * One transaction: moves rows and deletes old ones. `ret_more`: it stopped at a bound, not at the end.
 * Not inside a transaction.
 */
int history_step(struct history *h, bool *ret_more, struct errtext *e);
/* For a timer: a step when one is due. Errors are logged. Returns whether more is waiting. */
bool history_poll(struct history *h);
/* At the end: moves what the ring has, for two seconds at most. */
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
