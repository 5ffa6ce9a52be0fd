/* Tells the agent of new accounts of resources, and forgets old ones (admin/store/resources.h). For a timer. */
#ifndef RELAY_ADMIN_UPKEEP_RESOURCES_UPKEEP_H
#define RELAY_ADMIN_UPKEEP_RESOURCES_UPKEEP_H

struct control;
struct history;

void resources_upkeep_poll(struct control *c, struct history *h);

#endif
