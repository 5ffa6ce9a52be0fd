/*
 * Answers relayadm in control's place while control cannot. Every connection gets the same refusal and is closed;
 * nothing is read. Connections wait for control first, because most restarts are over at once.
 */
#ifndef RELAY_AGENT_KEEPER_STANDIN_H
#define RELAY_AGENT_KEEPER_STANDIN_H

#define STANDIN_AFTER_MS 1000 /* without control; relayadm promises a reason within 2 s */
#define STANDIN_EVERY_MS 250

/* Accepts what waits on the non-blocking `listener` and tells `reason`, one sentence without a full stop. */
void standin_answer(int listener, const char *reason);

#endif
