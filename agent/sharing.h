/*
 * Which addresses several tenants use at a time: an office, a provider's NAT, a balancer. A ban for bad keys
 * would hit them all. A table of fixed size, pure: time is an argument. IPv6 counts by /64, as bans do. If the
 * table is too small, an address is forgotten and counts as not shared.
 */
#ifndef RELAY_AGENT_SHARING_H
#define RELAY_AGENT_SHARING_H

#include "common/ip.h"
#include "common/siphash.h"

#include <stdbool.h>
#include <stdint.h>

#define SHARING_SOURCES 8192
#define SHARING_WAYS 4
#define SHARING_WINDOW_S 3600 /* two tenants within this time share an address */

/* The two tenants seen last. */
struct sharing_source {
	uint64_t hash;	    /* of the network */
	uint32_t tenant[2]; /* id; 0 = none */
	uint32_t used_s[2]; /* Unix time; the greater one is the row's age */
};

struct sharing {
	uint8_t seed[SIPHASH_KEY_LEN];
	struct sharing_source *sources;
};

/* 0 or -ENOMEM. */
int sharing_init(struct sharing *s, const uint8_t seed[SIPHASH_KEY_LEN]);
void sharing_fini(struct sharing *s);

/* The wall clock has moved by `step_ms`: all times move with it. */
void sharing_shift(struct sharing *s, int64_t step_ms, int64_t now_ms);

/* A request with a good key of this tenant came from the network. */
void sharing_note(struct sharing *s, const struct cidr *network, uint32_t tenant, int64_t now_ms);
bool sharing_is_shared(const struct sharing *s, const struct cidr *network, int64_t now_ms);

#endif
