/* An attempt goes out: permits are taken, and what its record needs to be judged by is marked. */
#include "agent/decide/candidate.h"

static void enter(struct decide_context *c, struct statefile_health *row)
{
	if (!row)
		return;
	/* the last resort tries what is out, and changes nothing about that until it is answered */
	if (c->verdict->last_resort)
		row->last_used_ms = c->clock.now_ms;
	else
		health_enter(row, &c->snapshot->head->health, c->request->id, c->clock.now_ms);
}

void decide_enter(struct decide_context *c, uint32_t attempt)
{
	struct decide_verdict *v = c->verdict;
	struct health_subject account = health_subject_of_account(v->account);
	struct health_subject backend = health_subject_of_backend(c->snapshot, v->backend);
	struct statefile_health *account_row =
		health_of(c->state->healths, &account, c->clock.now_ms);
	struct statefile_health *backend_row =
		health_of(c->state->healths, &backend, c->clock.now_ms);

	enter(c, account_row);
	enter(c, backend_row);
	v->mark = (struct record_mark){
		.attempt = attempt,
		.account_generation = account_row ? account_row->generation : 0,
		.backend_generation = backend_row ? backend_row->generation : 0,
		.credential = account.credential,
		.is_probe = attempt == 0,
	};
}
