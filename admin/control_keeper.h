/* Messages from the keeper. Reading only stores them; control acts on them between two events. */
#ifndef RELAY_ADMIN_CONTROL_KEEPER_H
#define RELAY_ADMIN_CONTROL_KEEPER_H

struct control;

/* Reads all pending messages. A new agent becomes the publisher's peer at once. */
void control_keeper_receive(struct control *c);
/* The program of this process is the one on disk: ends the notice that it is not. */
void control_keeper_replaced(struct control *c);

#endif
