/*
 * Bindings: the account of each conversation. The table of the state file is itself a hash table: a
 * conversation may use STATEFILE_BINDING_WAYS rows. In a full bucket a new conversation replaces the
 * least recently used one of the tenant that has most rows there. A binding that was not used for the
 * time to live does not count. Conversations are kept as keyed hashes.
 *
 * A conversation is bound when its first request is decided. Only an account that answered takes a
 * binding over, and nothing takes over a pinned one.
 */
#ifndef RELAY_AGENT_BINDING_H
#define RELAY_AGENT_BINDING_H

#include "common/statefile.h"

#include <stdbool.h>
#include <stdint.h>

struct bindings {
	struct statefile_binding *rows; /* of the state file */
	uint32_t buckets;		/* rows / STATEFILE_BINDING_WAYS */
};

/* A conversation, and the time of the question about it. */
struct binding_key {
	uint64_t conversation; /* keyed hash */
	uint32_t tenant;       /* id */
	int64_t now_ms;
	uint64_t ttl_ms;
};

struct binding {
	uint32_t account; /* 0 = none */
	bool answered;	  /* the account has answered a request of the conversation */
	bool pinned;	  /* the conversation never leaves it */
	uint16_t before;  /* lower half of the id of the account before; 0 = none */
};

void bindings_init(struct bindings *b, struct statefile_binding *rows, uint32_t count);
/* The wall clock has moved by `step_ms` to `now_ms`: so does each last use, and none is in the future. */
void bindings_shift(struct bindings *b, int64_t step_ms, int64_t now_ms);
struct binding binding_find(const struct bindings *b, const struct binding_key *key);
/*
 * A request of the conversation goes to this account: binds the conversation if it is not bound.
 * Restarts its time to live.
 */
void binding_use(struct bindings *b, const struct binding_key *key, uint32_t account);
/*
 * Another name of a conversation that is at this account now: it leads there, until an account has
 * answered a request of this name.
 */
void binding_follow(struct bindings *b, const struct binding_key *key, uint32_t account);
/*
 * `account` answered a request of a conversation that was bound to `from` (0 = to none): binds it to
 * the account, unless another answer came first. True if it moved from an account that had answered.
 */
bool binding_answered(
	struct bindings *b, const struct binding_key *key, uint32_t from, uint32_t account);
void binding_pin(struct bindings *b, const struct binding_key *key, uint32_t account);

#endif
