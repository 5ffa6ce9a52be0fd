/* What the keeper tells control. Reading only notes it; control acts on it between two events. */
#ifndef RELAY_ADMIN_CONTROL_KEEPER_H
#define RELAY_ADMIN_CONTROL_KEEPER_H

struct control;

/* Reads all messages that are there. A new agent becomes the publisher's peer at once. */
void control_keeper_receive(struct control *c);

#endif
