/* Finished requests, newest first, with names. */
#ifndef RELAY_ADMIN_API_RECENT_H
#define RELAY_ADMIN_API_RECENT_H

#include "admin/store/history_page.h"
#include "admin/store/names.h"
#include "common/board.h"
#include "common/errtext.h"

#include <stddef.h>
#include <stdint.h>

struct control;

#define RECENT_MAX 5000 /* rows of one page */

struct recent_row {
	struct board_request request;
	char tenant[NAMES_SIZE]; /* "#ID" when the store no longer has it, "" when there was none */
	char pool[NAMES_SIZE];
	char account[NAMES_SIZE];
	char egress[NAMES_SIZE];
	char upstream[NAMES_SIZE];
};

/* The names of a request, which has been filled in. */
struct labels;
void recent_name(struct labels *l, struct control *c, struct recent_row *row);

/*
 * A page of at most `max` requests as history_page() reads it. `ret_rows` is malloc'd. 0, -ENOMEM, -EIO.
 */
int recent_page(struct control *c, const struct history_filter *filter, uint64_t below, size_t max,
	struct recent_row **ret_rows, size_t *ret_count, uint64_t *ret_next, struct errtext *e);
/* The id of a name, for a filter. 0, -ENOENT (no such tenant, no such account), -EIO. */
int recent_tenant(struct control *c, const char *name, uint32_t *ret, struct errtext *e);
int recent_account(struct control *c, const char *name, uint32_t *ret, struct errtext *e);
/* The newest `max` requests, of `tenant` alone unless that is NULL. */
int recent_list(struct control *c, size_t max, const char *tenant, struct recent_row **ret_rows,
	size_t *ret_count, struct errtext *e);
/* 1: the finished request of this id, 0: none, negative: failed. */
int recent_find(
	struct control *c, const uint8_t id[16], struct board_request *ret, struct errtext *e);

#endif
