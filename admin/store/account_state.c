#include "admin/store/account_state.h"

#include "admin/store/sql.h"
#include "common/clock.h"

struct account_facts account_facts_read(struct row *row, const struct board *b)
{
	int64_t expires_ms = row_number(row, "fact_expires_ms");
	uint32_t id = row_u32(row, "fact_id");

	return (struct account_facts){
		.row = board_find_account(b, id),
		.id = id,
		.epoch = row_u32(row, "fact_epoch"),
		.suspended = row_flag(row, "fact_suspended"),
		.needs_login = row_flag(row, "fact_needs_login"),
		.has_credential = !row_is_null(row, "fact_expires_ms"),
		.expired = expires_ms && expires_ms <= clock_wall_ms(),
	};
}

/* --- state --- */

static bool is_current(const struct account_facts *f)
{
	return f->row && board_get(&f->row->epoch) == f->epoch;
}

enum board_standing account_standing(const struct account_facts *f)
{
	uint64_t standing = is_current(f) ? board_get(&f->row->standing) : BOARD_STANDING_USABLE;

	return standing < BOARD_STANDING_COUNT ? (enum board_standing)standing
					       : BOARD_STANDING_USABLE;
}

enum circuit account_circuit(const struct account_facts *f)
{
	uint64_t circuit = is_current(f) ? board_get(&f->row->circuit) : CIRCUIT_CLOSED;

	return circuit < CIRCUIT_COUNT ? (enum circuit)circuit : CIRCUIT_CLOSED;
}

uint32_t account_risk(const struct account_facts *f)
{
	uint64_t risk = f->row ? board_get(&f->row->risk) : 0;

	return risk < ACCOUNT_SHARE_WHOLE ? (uint32_t)risk : ACCOUNT_SHARE_WHOLE;
}

enum account_state account_state(const struct account_facts *f)
{
	if (f->suspended)
		return ACCOUNT_SUSPENDED;
	if (f->needs_login)
		return ACCOUNT_NEEDS_LOGIN;
	if (!f->has_credential)
		return ACCOUNT_NO_CREDENTIAL;
	return f->expired ? ACCOUNT_EXPIRED : (enum account_state)account_standing(f);
}

/* --- names --- */

const char *account_state_name(enum account_state s)
{
	static const char *const beyond[] = {
		[ACCOUNT_NEEDS_LOGIN - BOARD_STANDING_COUNT] = "needs_login",
		[ACCOUNT_NO_CREDENTIAL - BOARD_STANDING_COUNT] = "no_credential",
		[ACCOUNT_EXPIRED - BOARD_STANDING_COUNT] = "expired",
	};
	int i = (int)s;

	return i < BOARD_STANDING_COUNT ? board_standing_name((enum board_standing)i)
					: beyond[i - BOARD_STANDING_COUNT];
}

const char *account_circuit_name(enum circuit c)
{
	static const char *const names[CIRCUIT_COUNT] = {
		[CIRCUIT_CLOSED] = "closed",
		[CIRCUIT_HALF_OPEN] = "half_open",
		[CIRCUIT_OPEN] = "open",
	};

	return names[c];
}
