#include "common/child.h"

const char *child_role_name(enum child_role r)
{
	static const char *const names[] = {"keeper", "control", "agent"};

	return (unsigned)r < CHILD_ROLE_COUNT ? names[r] : "?";
}

const char *child_end_name(enum child_end e)
{
	static const char *const names[] = {"crash", "killed", "exit", "hung", "start"};

	return (unsigned)e < CHILD_END_COUNT ? names[e] : "?";
}

const char *child_state_name(enum child_state s)
{
	static const char *const names[] = {"down", "starting", "serving", "hung"};

	return (unsigned)s < CHILD_STATE_COUNT ? names[s] : "?";
}
