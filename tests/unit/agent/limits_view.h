/*
 * The state that a question meets in the model of limits; between limits_decide.c and
 * limits_again.c.
 */
#ifndef RELAY_TESTS_AGENT_LIMITS_VIEW_H
#define RELAY_TESTS_AGENT_LIMITS_VIEW_H

#include "limits_model.h"

struct limits_view {
	struct limits_request *q;
	const struct snapshot_key *key;
	const struct snapshot_tenant *tenant;
	const struct snapshot_pool *pool;
	struct limits_subject *tenant_subject, *key_subject;
	bool repeated;
	bool window_full, slots_full; /* of tenant or key */
	bool usable[LIMITS_ACCOUNTS];
	uint32_t usable_count;
	uint32_t fixed_count;	/* accounts that are usable apart from limits */
	uint32_t unknown_count; /* members that this HAProxy process does not know yet */
	struct limits_binding *binding;
	bool is_live;	/* the binding counts */
	bool stays;	/* the conversation never leaves its account */
	bool waits;	/* nor does this one, while the account is out for less than a minute */
	bool stuck;	/* so it is refused: its account is not usable */
	uint32_t bound; /* id of the account that this request should get; 0 = none */
};

/* Finds the binding of the conversation, and what the pool's rules make of it. */
void limits_look_at_binding(struct limits_model *m, struct limits_view *v);
/* The conversation is refused rather than moved: its account is not usable. */
bool limits_is_stuck(const struct limits_model *m, const struct limits_view *v, uint32_t gen);
/* The request was admitted to this account (id). */
void limits_bind(struct limits_model *m, const struct limits_view *v, uint32_t account);

/* `repeated`: it was admitted before, and its account's limits do not count. */
void limits_look(struct limits_model *m, struct limits_request *q, uint32_t gen, bool repeated,
	struct limits_view *v);
/* Whether the present question may reuse a pool's row. */
bool limits_is_forgettable(const struct limits_model *m, uint32_t pool_id);
/* After a question: rows of old months may have been reused, others have moved to this month. */
void limits_keep_house(struct limits_model *m, const struct limits_view *v,
	const struct decide_verdict *verdict, bool forgettable);
/* What HAProxy is told about other accounts when this many are usable. */
bool limits_check_alt(struct limits_model *m, const struct limits_view *v, uint32_t usable,
	const struct decide_verdict *verdict);
bool limits_count_window(struct limits_model *m, struct limits_subject *s, enum usage_window w);

#endif
