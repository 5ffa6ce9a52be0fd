/* The last decisions with their reasons, from the board's ring, joined by request id. */
#ifndef RELAY_ADMIN_API_REASONS_H
#define RELAY_ADMIN_API_REASONS_H

#include "common/board.h"

#include <stdbool.h>
#include <stdint.h>

struct reasons {
	struct board_why last;	 /* the newest decision, with all attempts; bounds are checked */
	int64_t waited_ms;	 /* -1 = it did not wait; so far, when it waits still */
	enum refusal waited_for; /* the limit it met first */
};

/* False when the ring has nothing of this id. */
bool reasons_find(const struct board *b, const uint8_t id[16], int64_t now_ms, struct reasons *ret);

#endif
