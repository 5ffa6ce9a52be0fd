/*
 * One tenant, one pool and a few accounts of one upstream with their egresses, which a test may
 * change before crowd_build(); and an agent's tables, which outlive a new build. For tests with
 * several accounts.
 */
#ifndef RELAY_TESTS_AGENT_CROWD_H
#define RELAY_TESTS_AGENT_CROWD_H

#include "tables.h"

#define CROWD_ACCOUNTS 4
#define CROWD_EGRESSES 3
#define CROWD_TTL_MS 3600000 /* of conversations */
#define CROWD_NOW_MS 1800000000000
#define CROWD_TENANT 4
#define CROWD_KEY 5
#define CROWD_POOL 6
#define CROWD_ACCOUNT 11 /* ids of account and egress: this + the index */
#define CROWD_BACKEND 21
#define CROWD_EGRESS 31
#define CROWD_CONVERSATION "c"

struct crowd_account {
	struct snapshot_account row;
	const char *region;
	uint32_t egresses[CROWD_EGRESSES]; /* indexes */
	uint32_t egress_count;
};

struct crowd_egress {
	struct snapshot_egress row;
	const char *region;
	uint64_t first_gen; /* of its backend */
};

struct crowd {
	struct snapshot_head head;
	struct snapshot_tenant tenant;
	struct snapshot_key key;
	struct snapshot_pool pool;
	const char *pool_name, *tenant_name;
	struct crowd_account accounts[CROWD_ACCOUNTS];
	uint32_t account_count;
	struct crowd_egress egresses[CROWD_EGRESSES];
	char key_text[RELAYKEY_LEN + 1];
	const char *provider; /* of the upstream */
	bool hard, sticky;    /* of the questions */
	const char *method, *path;
	uint32_t
		resources_at; /* id of the account that the store has for the key's resources; 0 = none */
	const char *body;   /* of the questions: JSON; NULL = none */
	bool read;	    /* HAProxy has sent it */
	const char *failed; /* of `again`: the answer that HAProxy took back */
	bool probed;	    /* control probes the accounts */
	int64_t now_ms;
	struct buffer block, base;
	struct snapshot snapshot;
	struct tables tables;
	struct decide_verdict v; /* the last one */
};

/*
 * Three accounts, each with the first egress; three attempts, a threshold of 2, one trial, ten
 * further attempts a second. Not built yet.
 */
void crowd_init(struct crowd *c);
void crowd_build(struct crowd *c);
void crowd_fini(struct crowd *c);

/*
 * Decides request `n`; true when it is allowed: crowd_account() then has the index of its account.
 */
bool crowd_decide(struct crowd *c, uint32_t n);
bool crowd_again(struct crowd *c, uint32_t n);
bool crowd_again2(struct crowd *c, uint32_t n);
bool crowd_probe(struct crowd *c, uint32_t n, uint32_t account);
/* Indexes, from the last verdict. */
uint32_t crowd_account(const struct crowd *c);
uint32_t crowd_egress(const struct crowd *c);
/* A crash, and a new agent. */
void crowd_restart(struct crowd *c);

struct statefile_lease *crowd_lease(struct crowd *c, uint32_t n);
/* The account of request `n` answers 2xx; it could not read the state of the conversation. */
bool crowd_answered(struct crowd *c, uint32_t n);
bool crowd_foreign(struct crowd *c, uint32_t n);
/* Ends request `n`. */
void crowd_end(struct crowd *c, uint32_t n);
uint32_t crowd_in_use(const struct crowd *c, enum usage_kind kind, uint32_t id);
/* Counted in this hour. */
uint32_t crowd_counted(const struct crowd *c, enum usage_kind kind, uint32_t id);
/* The sums over all accounts. */
uint32_t crowd_all_in_use(const struct crowd *c);
uint32_t crowd_all_counted(const struct crowd *c);

struct statefile_health *crowd_account_health(struct crowd *c, uint32_t i);
struct statefile_health *crowd_backend_health(struct crowd *c, uint32_t egress);
/* Two witnesses, or failed connections until the circuit opens. */
void crowd_break_account(struct crowd *c, uint32_t i);
void crowd_break_egress(struct crowd *c, uint32_t egress);
/* A result of this class: of a client for success, burst and window, else of a probe. */
void crowd_say(struct crowd *c, uint32_t i, enum result_class class, int64_t until_ms);

#endif
