/* Takes the bans that the agent has put on the board over into the store, and publishes them. */
#ifndef RELAY_ADMIN_UPKEEP_BANS_TAKEOVER_H
#define RELAY_ADMIN_UPKEEP_BANS_TAKEOVER_H

struct control;

/* For a timer. Errors are logged. */
void bans_takeover_poll(struct control *c);

#endif
