/* Copies bans that the agent put on the board into the store, and publishes them. */
#ifndef RELAY_ADMIN_UPKEEP_BANS_TAKEOVER_H
#define RELAY_ADMIN_UPKEEP_BANS_TAKEOVER_H

struct control;

/* Timer callback. Errors are logged. */
void bans_takeover_poll(struct control *c);

#endif
