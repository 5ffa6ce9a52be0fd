/*
 * Finished requests, newest first, page by page: those that wait in the board's ring, then those of the
 * store. Each has a number, which never changes, so pages stay in step while new requests come.
 */
#ifndef RELAY_ADMIN_STORE_HISTORY_PAGE_H
#define RELAY_ADMIN_STORE_HISTORY_PAGE_H

#include "admin/store/store.h"
#include "common/board.h"
#include "common/errtext.h"

#include <stddef.h>
#include <stdint.h>

/* What a request must have; 0 and NULL = anything. */
struct history_filter {
	uint32_t tenant, key, account;
	unsigned status_min, status_max; /* both or none */
	const char *code;		 /* of a refusal */
	int64_t since_ms, until_ms;	 /* its start, Unix time; `until_ms` is not included */
};

/* Which part of them: at most `max` whose numbers are below `below`; 0 = from the newest on. */
struct history_part {
	uint64_t below;
	size_t max;
};

typedef void history_row_fn(void *context, const struct board_request *row);

/*
 * A search that finds little stops after a few milliseconds: `ret_next` is where the next page begins, 0 =
 * there is no more.
 */
int history_page(struct store *s, const struct board *b, const struct history_filter *filter,
	struct history_part part, history_row_fn *fn, void *context, uint64_t *ret_next,
	struct errtext *e);
/* 1: the newest row of this id, 0: none, negative: failed. */
int history_find(struct store *s, const struct board *b, const uint8_t id[16],
	struct board_request *ret, struct errtext *e);

#endif
