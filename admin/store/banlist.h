/*
 * The banned networks in the store (T5), and the takeover of those that the agent has banned by
 * itself: it writes them on the board, control keeps them. How many of a board's bans have been
 * consumed stands in the settings, in the transaction that stored them, so that a control process
 * that died in between loses none and takes none twice.
 */
#ifndef RELAY_ADMIN_STORE_BANLIST_H
#define RELAY_ADMIN_STORE_BANLIST_H

#include "admin/store/store.h"
#include "common/board.h"
#include "common/errtext.h"
#include "common/ip.h"

#include <stdbool.h>
#include <stdint.h>

/* Deletes the expired ones. Inside a transaction. */
int banlist_purge(struct store *s, int64_t now_ms, struct errtext *e);
/* Whether BANS_MAX are there. */
int banlist_is_full(struct store *s, bool *ret, struct errtext *e);

/* How many bans of this board the store answers for. */
int banlist_taken(struct store *s, const struct board *b, uint64_t *ret, struct errtext *e);
/* Takes the new ones over. Inside a transaction. */
int banlist_take(struct store *s, const struct board *b, int64_t now_ms, struct errtext *e);

#endif
