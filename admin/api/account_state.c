#include "admin/api/account_state.h"

#include "admin/api/request.h"
#include "common/clock.h"

#include <stdio.h>

#define WHOLE 1000000 /* a share of 1, in millionths */

struct account_facts account_facts_read(sqlite3_stmt *st, int column, const struct board *b)
{
	int64_t expires_ms = sqlite3_column_int64(st, column + 4);
	uint32_t id = (uint32_t)sqlite3_column_int64(st, column);

	return (struct account_facts){
		.row = board_find_account(b, id),
		.id = id,
		.epoch = (uint32_t)sqlite3_column_int64(st, column + 1),
		.suspended = sqlite3_column_int(st, column + 2) != 0,
		.needs_login = sqlite3_column_int(st, column + 3) != 0,
		.has_credential = sqlite3_column_type(st, column + 4) != SQLITE_NULL,
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

	return risk < WHOLE ? (uint32_t)risk : WHOLE;
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

/* --- describing --- */

static void put_share(json_object *o, const char *field, uint64_t millionths)
{
	char text[32];
	double share = (double)(millionths < WHOLE ? millionths : WHOLE) / WHOLE;

	/* three digits are as exact as it is; json-c would write all seventeen */
	snprintf(text, sizeof(text), "%.3g", share);
	json_object_object_add(o, field, json_object_new_double_s(share, text));
}

/*
 * The time at which the state ends by itself, and how many seconds that is from now. What the store says
 * has no end, whatever the standing beneath it.
 */
static void put_until(const struct account_facts *f, json_object *o)
{
	enum board_standing standing = account_standing(f);
	bool ends = standing != BOARD_STANDING_USABLE && (int)account_state(f) == (int)standing;
	int64_t until = ends ? (int64_t)board_get(&f->row->until_ms) : 0;
	int64_t left = until - clock_wall_ms();

	answer_time(o, "until", until);
	if (until)
		answer_number(o, "until_s", left > 0 ? (left + 999) / 1000 : 0);
	else
		json_object_object_add(o, "until_s", NULL);
}

void account_state_describe(const struct account_facts *f, json_object *o)
{
	const struct board_account *row = f->row;

	answer_text(o, "state", account_state_name(account_state(f)));
	answer_text(o, "standing", board_standing_name(account_standing(f)));
	put_until(f, o);
	answer_text(o, "circuit", account_circuit_name(account_circuit(f)));
	answer_number(o, "in_use", row ? (int64_t)board_get(&row->active) : 0);
	put_share(o, "risk", account_risk(f));
	put_share(o, "used", row ? board_get(&row->used) : 0);
	answer_time(o, "last_used_at", row ? (int64_t)board_get(&row->last_used_ms) : 0);
	answer_time(o, "last_success_at", row ? (int64_t)board_get(&row->last_success_ms) : 0);
}

void account_state_describe_results(const struct account_facts *f, json_object *o)
{
	json_object *results = json_object_new_object();

	for (int i = 0; i < RESULT_CLASS_COUNT; i++)
		answer_number(results, result_class_name((enum result_class)i),
			f->row ? (int64_t)board_get(&f->row->results[i]) : 0);
	json_object_object_add(o, "results", results);
}
