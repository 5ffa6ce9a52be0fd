/*
 * How many rows of a ring of the board were taken into the store: a number in the settings, beside
 * the creation time of the board, which tells one board from the next. It changes in the
 * transaction that stores the rows, so a crash of control neither loses a row nor takes one twice.
 */
#ifndef RELAY_ADMIN_STORE_BOARDMARK_H
#define RELAY_ADMIN_STORE_BOARDMARK_H

#include "admin/store/store.h"
#include "common/board.h"
#include "common/errtext.h"

#include <stdint.h>

/* The number of the next row to take; 0 when the mark belongs to another board. */
int boardmark_get(struct store *s, const char *setting, const struct board *b, uint64_t *ret,
	struct errtext *e);
int boardmark_put(struct store *s, const char *setting, const struct board *b, uint64_t next,
	struct errtext *e);

#endif
