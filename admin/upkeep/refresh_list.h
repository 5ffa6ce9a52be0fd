/*
 * The accounts that are refreshed, kept between two scans of the store: due time, refresh in
 * progress, failures. State that must survive a crash is in the journal.
 */
#ifndef RELAY_ADMIN_UPKEEP_REFRESH_LIST_H
#define RELAY_ADMIN_UPKEEP_REFRESH_LIST_H

#include "admin/store/store.h"
#include "admin/upkeep/outbound.h"
#include "common/board.h"
#include "common/buffer.h"

#include <stdbool.h>
#include <stdint.h>

#define REFRESH_NAME_SIZE 64
/* If the upstream refuses a fresh access token, another refresh right away would not help. */
#define REFRESH_REFUSED_PAUSE_MS ((int64_t)30 * 1000)

struct refresh;

/* Times are monotonic milliseconds. */
struct refresh_item {
	struct refresh *owner;
	int64_t account;
	char name[REFRESH_NAME_SIZE];
	uint64_t client;    /* hash of the client id */
	int64_t generation; /* of the refresh token; -1 = set by the next scan */
	int64_t wanted_ms;  /* due time from the store and the agent */
	int64_t not_before_ms;
	int64_t renewed_ms; /* last refresh of this process; 0 = none */
	uint32_t failures;  /* in a row */
	uint32_t retries;   /* as in struct refresh_state */
	uint32_t useless;   /* as in struct refresh_state */
	bool owed;	/* the last grant had no access token of use: the next one comes at once */
	bool has_reply; /* the journal has a reply to handle */
	bool repeats;	/* the journal has an intent of unknown outcome */
	int64_t asked_ms; /* when a command requested it: immediate; 0 = not */
	/* in progress */
	struct outbound_call *call; /* NULL = nothing */
	int64_t parent;
	uint64_t gate; /* of the client id, while it is held */
	/* the only copy of a reply that the store has not taken yet */
	unsigned unsaved_status; /* 0 = none */
	int64_t alarm_ms; /* monotonic: when the next line about `unsaved` is due; 0 = none yet */
	struct buffer unsaved;
	char unsaved_encoding[OUTBOUND_ENCODING_SIZE];
	int64_t unsaved_ms; /* its arrival, Unix time */
};

struct refresh_list {
	struct refresh_item **items; /* sorted by account */
	size_t count;
};

struct refresh_clock {
	int64_t wall_ms;
	int64_t now_ms; /* monotonic */
};

/*
 * Scans the store and the board. Items of accounts that are no longer refreshed are freed, unless
 * they are in progress. 0 or negative; on error, the list is unchanged.
 */
int refresh_list_scan(struct refresh_list *l, struct refresh *owner, struct store *s,
	const struct board *b, struct refresh_clock at, struct errtext *e);
struct refresh_item *refresh_list_find(const struct refresh_list *l, int64_t account);
/* Due items that are not in progress, earliest due time first; malloc'd, NULL = none. */
struct refresh_item **refresh_list_due(
	const struct refresh_list *l, int64_t now_ms, size_t *ret_count);
/* Due time of the next item; INT64_MAX = none. */
int64_t refresh_list_next_ms(const struct refresh_list *l);
/* The caller has cancelled all calls in progress. */
void refresh_list_fini(struct refresh_list *l);

#endif
