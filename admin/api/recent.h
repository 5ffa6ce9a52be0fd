/*
 * The last requests, with names: first the rows that still wait in the board's ring, then the rows
 * of the store.
 */
#ifndef RELAY_ADMIN_API_RECENT_H
#define RELAY_ADMIN_API_RECENT_H

#include "admin/store/names.h"
#include "common/board.h"
#include "common/errtext.h"

#include <stddef.h>
#include <stdint.h>

struct control;

#define RECENT_MAX 5000

struct recent_row {
	struct board_request request;
	char tenant[NAMES_SIZE]; /* "#ID" when the store no longer has it, "" when there was none */
	char account[NAMES_SIZE];
	char egress[NAMES_SIZE];
	char upstream[NAMES_SIZE];
};

/*
 * The newest `max` finished requests, newest first, of `tenant` alone unless that is NULL. `ret_rows`
 * is malloc'd. 0, -ENOENT (no such tenant), -ENOMEM, -EIO.
 */
int recent_list(struct control *c, size_t max, const char *tenant, struct recent_row **ret_rows,
	size_t *ret_count, struct errtext *e);
/* 1: the finished request of this id, 0: none, negative: failed. */
int recent_find(
	struct control *c, const uint8_t id[16], struct board_request *ret, struct errtext *e);

#endif
