/*
 * How far a ring of the board has been taken into the store: a number in the settings, kept in the
 * transaction that stored the rows, beside the time that tells one board from the next. A control
 * process that dies in between neither loses a row nor takes one twice.
 */
#ifndef RELAY_ADMIN_STORE_BOARDMARK_H
#define RELAY_ADMIN_STORE_BOARDMARK_H

#include "admin/store/store.h"
#include "common/board.h"
#include "common/errtext.h"

#include <stdint.h>

/* The number of the next row to take; 0 when the mark is of another board. */
int boardmark_get(struct store *s, const char *setting, const struct board *b, uint64_t *ret,
	struct errtext *e);
int boardmark_put(struct store *s, const char *setting, const struct board *b, uint64_t next,
	struct errtext *e);

#endif
