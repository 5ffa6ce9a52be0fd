#include "agent/unproven.h"

#include <stddef.h>

void unproven_add(struct unproven_list *l, struct unproven *u, int fd)
{
	*u = (struct unproven){.previous = l->newest, .origin = origin_of(fd), .is_listed = true};
	if (l->newest)
		l->newest->next = u;
	else
		l->oldest = u;
	l->newest = u;
}

void unproven_remove(struct unproven_list *l, struct unproven *u)
{
	if (!u->is_listed)
		return;
	if (u->previous)
		u->previous->next = u->next;
	else
		l->oldest = u->next;
	if (u->next)
		u->next->previous = u->previous;
	else
		l->newest = u->previous;
	*u = (struct unproven){.is_listed = false};
}

struct unproven *unproven_excess(const struct unproven_list *l, const struct unproven *u)
{
	struct unproven *oldest = NULL;
	unsigned count = 0;

	for (struct unproven *other = l->newest; other; other = other->previous) {
		if (!origin_is(&other->origin, &u->origin))
			continue;
		oldest = other;
		count++;
	}
	return count > UNPROVEN_PER_PEER ? oldest : NULL;
}
