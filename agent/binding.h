/*
 * Bindings: the account of each conversation. The table of the state file is itself a hash table: a
 * conversation may use STATEFILE_BINDING_WAYS rows, and a new one replaces the least recently used.
 * A binding that was not used for the time to live does not count. Conversations are kept as keyed
 * hashes.
 */
#ifndef RELAY_AGENT_BINDING_H
#define RELAY_AGENT_BINDING_H

#include "common/statefile.h"

#include <stdint.h>

struct bindings {
	struct statefile_binding *rows; /* of the state file */
	uint32_t buckets;		/* rows / STATEFILE_BINDING_WAYS */
};

void bindings_init(struct bindings *b, struct statefile_binding *rows, uint32_t count);
/* The account; 0 = none. */
uint32_t binding_find(
	const struct bindings *b, uint64_t conversation, int64_t now_ms, uint64_t ttl_ms);
/* Sets the account of a conversation and restarts its time to live. */
void binding_set(struct bindings *b, uint64_t conversation, uint32_t account, int64_t now_ms);

#endif
