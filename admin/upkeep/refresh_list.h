/*
 * The accounts that are refreshed, as control remembers them between two looks at the store: when each
 * is due, what is under way, how often it failed. What must survive a crash is in the journal.
 */
#ifndef RELAY_ADMIN_UPKEEP_REFRESH_LIST_H
#define RELAY_ADMIN_UPKEEP_REFRESH_LIST_H

#include "admin/store/store.h"
#include "common/board.h"
#include "common/buffer.h"

#include <stdbool.h>
#include <stdint.h>

#define REFRESH_NAME_SIZE 64
/* An access token that was refused right after a refresh: the next refresh would not mend it. */
#define REFRESH_REFUSED_PAUSE_MS ((int64_t)30 * 1000)

struct refresh;
struct outbound_call;

/* Times are monotonic milliseconds. */
struct refresh_item {
	struct refresh *owner;
	int64_t account;
	char name[REFRESH_NAME_SIZE];
	uint64_t client;    /* hash of the client id */
	int64_t generation; /* of the refresh token; -1 = whatever it is at the next look */
	int64_t wanted_ms;  /* by the store and the agent */
	int64_t not_before_ms;
	int64_t renewed_ms; /* last refresh of this process; 0 = none */
	uint32_t failures;  /* in a row */
	uint32_t retries;   /* as in struct refresh_state */
	bool has_reply;	    /* the journal has one that was not acted on yet */
	bool repeats;	    /* the journal has an intent of unknown outcome */
	bool asked;	    /* by a person: at once */
	/* under way */
	struct outbound_call *call; /* NULL = nothing */
	int64_t parent;
	uint64_t gate; /* the client id's, while it is held */
	/* the store did not take the reply yet, and nobody else has it */
	unsigned unsaved_status; /* 0 = none */
	struct buffer unsaved;
};

struct refresh_list {
	struct refresh_item **items; /* in order of accounts */
	size_t count;
};

struct refresh_clock {
	int64_t wall_ms;
	int64_t now_ms; /* monotonic */
};

/*
 * Looks at the store and the board. Items of accounts that are not refreshed any more go, unless
 * something is under way. 0 or negative; then all is as before.
 */
int refresh_list_scan(struct refresh_list *l, struct refresh *owner, struct store *s,
	const struct board *b, struct refresh_clock at, struct errtext *e);
struct refresh_item *refresh_list_find(const struct refresh_list *l, int64_t account);
/* The items that are due and have nothing under way, the longest due first; malloc'd, NULL = none. */
struct refresh_item **refresh_list_due(
	const struct refresh_list *l, int64_t now_ms, size_t *ret_count);
/* When the next one is due; INT64_MAX = none. */
int64_t refresh_list_next_ms(const struct refresh_list *l);
/* What was under way must have been cancelled. */
void refresh_list_fini(struct refresh_list *l);

#endif
