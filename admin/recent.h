/* The last requests, from the board's ring, with the store's names. */
#ifndef RELAY_ADMIN_RECENT_H
#define RELAY_ADMIN_RECENT_H

#include "common/board.h"
#include "common/errtext.h"

#include <stddef.h>
#include <stdint.h>

struct control;

#define RECENT_NAME_SIZE 64
#define RECENT_MAX 8192

struct recent_row {
	struct board_request request;
	char tenant
		[RECENT_NAME_SIZE]; /* "#ID" when it is gone from the store, "" when there was none */
	char account[RECENT_NAME_SIZE];
	char egress[RECENT_NAME_SIZE];
	char upstream[RECENT_NAME_SIZE];
};

/*
 * The newest `max` finished requests, newest first, of `tenant` alone unless that is NULL. `ret_rows`
 * is malloc'd. 0, -ENOENT (no such tenant), -ENOMEM, -EIO.
 */
int recent_list(struct control *c, size_t max, const char *tenant, struct recent_row **ret_rows,
	size_t *ret_count, struct errtext *e);

#endif
