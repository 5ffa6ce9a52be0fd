#include "common/child.h"

const char *child_role_name(enum child_role r)
{
	static const char *const names[] = {"keeper", "control", "agent"};

	return (unsigned)r < CHILD_ROLE_COUNT ? names[r] : "?";
}
