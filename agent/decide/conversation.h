/*
 * The conversation of a request: the account that it is bound to, and whether it may leave it
 * (docs/LIMITS.md, "Conversations").
 */
#ifndef RELAY_AGENT_DECIDE_CONVERSATION_H
#define RELAY_AGENT_DECIDE_CONVERSATION_H

#include "agent/decide/candidate.h"

/* A conversation with state at its account waits this long for it; then it moves. */
#define CONVERSATION_PATIENCE_MS 60000

enum conversation_stay {
	CONVERSATION_MOVES, /* at once, when its account is not usable */
	CONVERSATION_WAITS, /* while its account comes back within CONVERSATION_PATIENCE_MS */
	CONVERSATION_STAYS, /* always */
};

struct conversation {
	uint32_t account; /* that the pool's rules bind the request to; 0 = none */
	enum conversation_stay stay;
	bool new; /* no account has answered it yet, and its state will be at the one that does */
	bool alone; /* what the request is about may be at no other account than the one that is chosen */
};

/*
 * Only the body can name the conversation, and the name can matter: the body is asked for before
 * anything is counted.
 */
bool conversation_wants_body(const struct decide_context *c);
/* Sets the verdict's conversation and the account it is bound to. */
void conversation_look(struct decide_context *c, struct conversation *ret);
/*
 * Whether a conversation keeps its account, which is not usable for this reason until `free_ms`
 * (Unix time; 0 = unknown).
 */
bool conversation_keeps(const struct decide_context *c, const struct conversation *conversation,
	enum board_reason reason, int64_t free_ms);
/*
 * A request of the conversation goes to this account, or would: restarts the time to live of its
 * binding. 0 = there is none. A conversation named in the body is found by its first message too.
 */
void conversation_use(const struct decide_context *c, uint32_t account);

#endif
