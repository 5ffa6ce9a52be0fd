/*
 * The banned networks in the store, and the takeover of the agent's bans: the agent writes a ban on the
 * board and control stores it. The settings hold how many bans of a board were taken over. They change
 * in the transaction that stores the bans, so a crash of control neither loses a ban nor repeats one.
 */
#ifndef RELAY_ADMIN_STORE_BANLIST_H
#define RELAY_ADMIN_STORE_BANLIST_H

#include "admin/store/store.h"
#include "common/board.h"
#include "common/errtext.h"
#include "common/ip.h"

#include <stdbool.h>
#include <stdint.h>

/* No ban of the agent ends later than this. Inside a transaction. */
int banlist_bound(struct store *s, int64_t last_ms, struct errtext *e);
/* The clock was set: what is left of each ban stays the same. Inside a transaction. */
int banlist_shift(struct store *s, int64_t step_ms, struct errtext *e);
/* Deletes the expired ones. Inside a transaction. */
int banlist_purge(struct store *s, int64_t now_ms, struct errtext *e);
/* Whether BANS_MAX are there. */
int banlist_is_full(struct store *s, bool *ret, struct errtext *e);

/* How many bans of this board were taken over. */
int banlist_taken(struct store *s, const struct board *b, uint64_t *ret, struct errtext *e);
/* Stores the new ones. Inside a transaction. */
int banlist_take(struct store *s, const struct board *b, int64_t now_ms, struct errtext *e);

#endif
