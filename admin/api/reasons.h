/* The last decisions with their reasons, from the board's ring, joined by request id. */
#ifndef RELAY_ADMIN_API_REASONS_H
#define RELAY_ADMIN_API_REASONS_H

#include "common/board.h"

#include <stdbool.h>
#include <stdint.h>

struct reasons {
	struct board_why last; /* the newest decision, with all attempts; bounds are checked */
	int64_t waited_ms; /* -1 = it did not wait; until its end, or so far, when no decision came */
	enum refusal waited_for; /* the limit it met first */
};

/* False when the ring has nothing of this id. `end_ms`: the end of the request, or now. */
bool reasons_find(const struct board *b, const uint8_t id[16], int64_t end_ms, struct reasons *ret);

#endif
