#include "admin/api/account_describe.h"

#include "admin/api/request.h"
#include "common/board.h"
#include "common/clock.h"

#include <stdio.h>

static void put_share(json_object *o, const char *field, uint64_t millionths)
{
	char text[32];
	double share =
		(double)(millionths < ACCOUNT_SHARE_WHOLE ? millionths : ACCOUNT_SHARE_WHOLE) /
		ACCOUNT_SHARE_WHOLE;

	/* the value is exact to three digits; json-c would write seventeen */
	snprintf(text, sizeof(text), "%.3g", share);
	json_object_object_add(o, field, json_object_new_double_s(share, text));
}

/*
 * The time at which the state ends by itself, and the seconds until then. A state of the store has
 * no such end, whatever the standing beneath it.
 */
static void put_until(const struct account_facts *f, json_object *o)
{
	enum board_standing standing = account_standing(f);
	bool ends = standing != BOARD_STANDING_USABLE && (int)account_state(f) == (int)standing;
	int64_t until = ends ? (int64_t)board_get(&f->row->until_ms) : 0;
	int64_t left = until - clock_wall_ms();

	answer_time(o, "until", until);
	answer_known(o, "until_s", until, left > 0 ? (left + 999) / 1000 : 0);
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

/* --- probes --- */

static const char *evidence_name(uint64_t e)
{
	return e < BOARD_EVIDENCE_COUNT ? board_evidence_name((enum board_evidence)e) : NULL;
}

/* Control forgets its probes when it ends; the board keeps the time and the class of the last one. */
static void put_last(const struct board_account *row, const struct probe_view *v, json_object *o)
{
	int64_t judged_ms = row ? (int64_t)board_get(&row->probe_ms) : 0;
	bool answered = v->last_ms && !v->under_way;

	answer_time(o, "at", v->last_ms ? v->last_ms : judged_ms);
	answer_text(o, "reason", v->last_ms ? probe_reason_name(v->last_reason) : NULL);
	answer_flag(o, "under_way", v->under_way);
	json_object_object_add(o, "status",
		answered && v->status ? json_object_new_int((int32_t)v->status) : NULL);
	answer_text(o, "failure", answered ? v->failure : NULL);
	json_object_object_add(o, "took_ms", answered ? json_object_new_int64(v->took_ms) : NULL);
	answer_text(o, "class", judged_ms ? evidence_name(board_get(&row->probe_class)) : NULL);
}

static void put_next(const struct board_account *row, const struct probe_view *v, json_object *o)
{
	int64_t wanted_ms = row ? (int64_t)board_get(&row->wants_probe_ms) : 0;

	answer_time(o, "wanted_since", wanted_ms);
	answer_text(o, "wanted_for",
		wanted_ms ? evidence_name(board_get(&row->wants_probe_class)) : NULL);
	answer_time(o, "next_at", v->next_ms);
	answer_text(o, "next_reason", v->next_ms ? probe_reason_name(v->next_reason) : NULL);
	answer_text(o, "obstacle", v->obstacle);
}

void account_state_describe_evidence(
	const struct account_facts *f, const struct probe_view *v, json_object *o)
{
	const struct board_account *row = f->row;
	json_object *probe = json_object_new_object();

	answer_number(o, "witnesses", row ? (int64_t)board_get(&row->witnesses) : 0);
	answer_number(o, "brakes", row ? (int64_t)board_get(&row->brakes) : 0);
	answer_time(o, "window_until", row ? (int64_t)board_get(&row->window_ms) : 0);
	answer_time(o, "window_checked_at", v->page_ms);
	put_last(row, v, probe);
	put_next(row, v, probe);
	json_object_object_add(o, "probe", probe);
}
