/*
 * The state of an account. A state of the store comes first (suspended, needs_login, no_credential,
 * expired), then the standing that the agent has written on the board. The board's standing counts only
 * while its epoch is the store's epoch: a reset or a resume raises the epoch and so voids the standing.
 */
#ifndef RELAY_ADMIN_STORE_ACCOUNT_STATE_H
#define RELAY_ADMIN_STORE_ACCOUNT_STATE_H

#include "common/board.h"
#include "common/statefile.h"

#include <stdbool.h>
#include <stdint.h>

struct row;

#define ACCOUNT_SHARE_WHOLE 1000000 /* shares are in millionths */

/* The standings of the board, and after them the states that only the store has. */
enum account_state {
	ACCOUNT_OK = BOARD_STANDING_USABLE,
	ACCOUNT_SUSPENDED = BOARD_STANDING_SUSPENDED,
	ACCOUNT_NEEDS_LOGIN = BOARD_STANDING_COUNT,
	ACCOUNT_NO_CREDENTIAL,
	ACCOUNT_EXPIRED,
	ACCOUNT_STATE_COUNT,
};

/* What the store has of an account; `row` is its row on the board, NULL = none yet. */
struct account_facts {
	const struct board_account *row;
	uint32_t id;
	uint32_t epoch;
	bool suspended;
	bool needs_login;
	bool has_credential;
	bool expired;
};

/* Columns for account_facts_read(), of accounts `a` and their access token in credentials `c`. */
#define ACCOUNT_FACTS                                                                              \
	"c.expires_ms AS fact_expires_ms, a.id AS fact_id, a.epoch AS fact_epoch,"                 \
	" a.suspended AS fact_suspended, a.needs_login <> '' AS fact_needs_login"
#define ACCOUNT_FACTS_FROM                                                                         \
	" accounts a LEFT JOIN credentials c ON c.account_id = a.id AND c.field = 'access_token' "

/* From a row of a query that selects ACCOUNT_FACTS. */
struct account_facts account_facts_read(struct row *row, const struct board *b);

enum account_state account_state(const struct account_facts *f);
const char *account_state_name(enum account_state s);

/* The standing alone; usable when the board's row has another epoch. */
enum board_standing account_standing(const struct account_facts *f);
enum circuit account_circuit(const struct account_facts *f);
const char *account_circuit_name(enum circuit c);
/* In millionths. */
uint32_t account_risk(const struct account_facts *f);

#endif
