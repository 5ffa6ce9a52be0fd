/* Memory that passes from one program to the next: the board, and the snapshots. */
#ifndef RELAY_AGENT_KEEPER_KEPT_H
#define RELAY_AGENT_KEEPER_KEPT_H

#include "agent/keeper/handover.h"
#include "agent/keeper/inherited.h"
#include "agent/keeper/snapshots.h"

#include <stdbool.h>

/*
 * Takes what a keeper before has passed, if its formats are ours; else `ret_board_fd` is -1, and `s` as it was.
 * True: the board and a snapshot.
 */
bool kept_take(struct inherited *i, int *ret_board_fd, struct snapshots *s);
/* Of a keeper that passes them; their numbers may change. */
void kept_hand_over(int *board_fd, struct snapshots *s, struct handover *h);

#endif
