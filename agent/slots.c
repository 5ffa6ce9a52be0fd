#include "agent/slots.h"

#include <errno.h>
#include <stdlib.h>

#define SUBJECTS 3 /* of a lease */

int slots_init(struct slots *s, uint32_t leases)
{
	uint32_t rows = 8;

	while (rows < leases * SUBJECTS * 2)
		rows *= 2;
	*s = (struct slots){calloc(rows, sizeof(*s->rows)), rows - 1};
	return s->rows ? 0 : -ENOMEM;
}

void slots_fini(struct slots *s)
{
	free(s->rows);
	*s = (struct slots){0};
}

static uint32_t home_of(const struct slots *s, uint32_t kind, uint32_t id)
{
	uint64_t n = ((uint64_t)kind << 32 | id) * 0x9e3779b97f4a7c15u;

	return (uint32_t)(n >> 32) & s->mask;
}

/* The row, or the empty one for it. */
static uint32_t place_of(const struct slots *s, uint32_t kind, uint32_t id)
{
	uint32_t at = home_of(s, kind, id);

	while (s->rows[at].kind && (s->rows[at].kind != kind || s->rows[at].id != id))
		at = (at + 1) & s->mask;
	return at;
}

/* Closes the hole: moves back rows that a look-up would no longer reach. No tombstones. */
static void take_out(struct slots *s, uint32_t hole)
{
	for (uint32_t at = (hole + 1) & s->mask; s->rows[at].kind; at = (at + 1) & s->mask) {
		uint32_t home = home_of(s, s->rows[at].kind, s->rows[at].id);
		if (((at - home) & s->mask) < ((at - hole) & s->mask))
			continue;
		s->rows[hole] = s->rows[at];
		hole = at;
	}
	s->rows[hole] = (struct slots_row){.kind = USAGE_FREE};
}

uint32_t slots_in_use(const struct slots *s, enum usage_kind kind, uint32_t id)
{
	return s->rows[place_of(s, kind, id)].in_use;
}

void slots_enter(struct slots *s, enum usage_kind kind, uint32_t id)
{
	struct slots_row *row = &s->rows[place_of(s, kind, id)];

	row->kind = kind;
	row->id = id;
	row->in_use++;
}

void slots_leave(struct slots *s, enum usage_kind kind, uint32_t id)
{
	uint32_t at = place_of(s, kind, id);

	if (s->rows[at].in_use > 1)
		s->rows[at].in_use--;
	else if (s->rows[at].in_use)
		take_out(s, at);
}

void slots_enter_lease(struct slots *s, const struct statefile_lease *lease)
{
	slots_enter(s, USAGE_TENANT, lease->tenant);
	slots_enter(s, USAGE_KEY, lease_family(lease));
	slots_enter(s, USAGE_ACCOUNT, lease->account);
}

void slots_leave_lease(struct slots *s, const struct statefile_lease *lease)
{
	slots_leave(s, USAGE_TENANT, lease->tenant);
	slots_leave(s, USAGE_KEY, lease_family(lease));
	slots_leave(s, USAGE_ACCOUNT, lease->account);
}
