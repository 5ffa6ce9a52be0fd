/* What a question sees in the model of limits; between limits_decide.c and limits_again.c. */
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
	uint32_t fixed_count; /* those that could be used without limits */
	struct limits_binding *binding;
	uint32_t bound; /* account's id that the conversation minds; 0 = none */
};

/* `repeated`: it is admitted already, and its account's limits do not count. */
void limits_look(struct limits_model *m, struct limits_request *q, uint32_t gen, bool repeated,
	struct limits_view *v);
/* Whether a pool's row may be forgotten by the question that comes now. */
bool limits_is_forgettable(const struct limits_model *m, uint32_t pool_id);
/* After a question: rows of old months may have given way, others have reached this month. */
void limits_keep_house(struct limits_model *m, const struct limits_view *v,
	const struct decide_verdict *verdict, bool forgettable);
/* What HAProxy is told of alternatives, where so many accounts are usable. */
bool limits_check_alt(struct limits_model *m, const struct limits_view *v, uint32_t usable,
	const struct decide_verdict *verdict);
bool limits_count_window(struct limits_model *m, struct limits_subject *s, enum usage_window w,
	uint32_t *ret_number);

#endif
