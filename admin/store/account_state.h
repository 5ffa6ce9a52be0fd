/*
 * How an account stands: what the store says comes first (suspended, needs_login, no_credential,
 * expired), else the standing that the agent has put on the board. What the board says of a standing
 * counts only while it is of the epoch that the store has: after a reset or resume the agent's old
 * word is void.
 */
#ifndef RELAY_ADMIN_STORE_ACCOUNT_STATE_H
#define RELAY_ADMIN_STORE_ACCOUNT_STATE_H

#include "common/board.h"
#include "common/statefile.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#define ACCOUNT_SHARE_WHOLE 1000000 /* shares are in millionths */

/* The standings, and beyond them what only the store knows. */
enum account_state {
	ACCOUNT_OK = BOARD_STANDING_USABLE,
	ACCOUNT_SUSPENDED = BOARD_STANDING_SUSPENDED,
	ACCOUNT_NEEDS_LOGIN = BOARD_STANDING_COUNT,
	ACCOUNT_NO_CREDENTIAL,
	ACCOUNT_EXPIRED,
	ACCOUNT_STATE_COUNT,
};

/* What the store knows of it; `row` is its row on the board, NULL = the agent has none. */
struct account_facts {
	const struct board_account *row;
	uint32_t id;
	uint32_t epoch;
	bool suspended;
	bool needs_login;
	bool has_credential;
	bool expired;
};

/* Columns of account_facts_read(), of accounts `a` and their access token in credentials `c`. */
#define ACCOUNT_FACTS "a.id, a.epoch, a.suspended, a.needs_login <> '', c.expires_ms"
#define ACCOUNT_FACTS_FROM                                                                         \
	" accounts a LEFT JOIN credentials c ON c.account_id = a.id AND c.field = 'access_token' "

/* From a row of a query in which ACCOUNT_FACTS begin at `column`. */
struct account_facts account_facts_read(sqlite3_stmt *st, int column, const struct board *b);

enum account_state account_state(const struct account_facts *f);
const char *account_state_name(enum account_state s);

/* The standing alone; usable when the board's word is of another epoch. */
enum board_standing account_standing(const struct account_facts *f);
enum circuit account_circuit(const struct account_facts *f);
const char *account_circuit_name(enum circuit c);
/* In millionths. */
uint32_t account_risk(const struct account_facts *f);

#endif
