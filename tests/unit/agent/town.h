/*
 * A pool of some accounts that several tenants share, each with some keys, and an agent's tables: for
 * tests of what the requests of one key do to the others.
 */
#ifndef RELAY_TESTS_AGENT_TOWN_H
#define RELAY_TESTS_AGENT_TOWN_H

#include "agent/decide/charge.h"
#include "tables.h"

#define TOWN_ACCOUNTS 3
#define TOWN_TENANTS 6
#define TOWN_KEYS 8
#define TOWN_POOL 1
#define TOWN_NOW_MS 1800000000000

struct town {
	uint32_t accounts, keys; /* in use */
	bool shared;		 /* key `i` belongs to tenant `i`; else all to one tenant */
	bool probed;
	uint32_t epochs[TOWN_ACCOUNTS];
	struct snapshot_options options;
	char key_texts[TOWN_KEYS][RELAYKEY_LEN + 1];
	struct snapshot_key key_rows[TOWN_KEYS];
	struct buffer block, base;
	struct snapshot snapshot;
	struct tables tables;
	int64_t now_ms;
	uint64_t rng;
	uint32_t asked; /* requests so far */
};

/* A request in progress. */
struct town_request {
	struct decide_request request;
	uint32_t key; /* index */
	uint32_t account;
	struct record_mark mark;
	bool alt, watch;
};

/* Defaults: three accounts, shared and probed. town_start() builds what the fields say. */
void town_init(struct town *t, uint64_t seed);
void town_start(struct town *t);
/* A new snapshot, with the tables as they are. */
void town_build(struct town *t);
void town_stop(struct town *t);
uint32_t town_below(struct town *t, uint32_t n);

/* Ids of accounts, and of tenants and keys, are the index + 1. */
struct evidence_requester town_requester(const struct town *t, uint32_t key);
struct health_subject town_subject(const struct town *t, uint32_t account);
struct health_look town_look(const struct town *t, uint32_t account);
const struct statefile_health *town_health(const struct town *t, uint32_t account);
/* NULL: nothing is known of it. */
const struct evidence_account *town_memory(struct town *t, uint32_t account);

/* True: the request is on its way. */
bool town_decide(struct town *t, uint32_t key, struct slice path, struct town_request *ret,
	struct decide_verdict *v);
/* HAProxy took its answer back; `failed` = what it saw of it. True: it is on its way again. */
bool town_again(
	struct town *t, struct town_request *q, struct slice failed, struct decide_verdict *v);
/* The answer that the client gets. */
void town_answer(struct town *t, const struct town_request *q, const struct charge_answer *a);
/* Its stream broke after the head of a good answer. */
void town_broken(struct town *t, const struct town_request *q);
void town_end(struct town *t, const struct town_request *q);
/* False: it cannot be sent. */
bool town_probe(struct town *t, uint32_t account, struct town_request *ret);
void town_probed(struct town *t, const struct town_request *q, enum result_class class);

#endif
