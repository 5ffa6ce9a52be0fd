#include "common/result.h"
#include "common/statefile.h"
#include "common/staterow.h"

#define STATES 8 /* more than a table has, without the parts of a binding's */

/* A row in use that is sealed, or open, can have been written by an agent. */
typedef bool row_fn(const struct statefile *f, const void *row);

static bool usage_is_sound(const struct statefile *f, const void *row)
{
	const struct statefile_usage *u = row;

	(void)f;
	return u->state < USAGE_KIND_COUNT && u->id;
}

static bool lease_is_sound(const struct statefile *f, const void *row)
{
	const struct statefile_lease *l = row;

	(void)f;
	return l->state < LEASE_STATE_COUNT && l->tenant && l->key && l->account &&
		l->decided_ms > 0;
}

/* In its own bucket, too. */
static bool binding_is_sound(const struct statefile *f, const void *row)
{
	const struct statefile_binding *b = row;
	uint32_t rows;
	const struct statefile_binding *table = statefile_table(f, STATEFILE_STICKY, &rows);

	return (b->state & BINDING_STATE_MASK) < BINDING_STATE_COUNT && b->account &&
		b->conversation && b->used & BINDING_TIME_MASK &&
		b->used >> (BINDING_TENANT_SHIFT + BINDING_TENANT_BITS) == 0 &&
		(uint64_t)(b - table) / STATEFILE_BINDING_WAYS ==
		b->conversation % (rows / STATEFILE_BINDING_WAYS);
}

static bool health_is_sound(const struct statefile *f, const void *row)
{
	const struct statefile_health *h = row;

	(void)f;
	return h->state < HEALTH_KIND_COUNT && h->id && h->circuit < CIRCUIT_COUNT &&
		h->cool_class < RESULT_CLASS_COUNT;
}

/* The row of undo has gone when rows are checked. */
static const struct table_check {
	const char *name;
	uint32_t row_size;
	row_fn *is_sound;
} checks[STATEFILE_TABLE_COUNT] = {
	[STATEFILE_USAGE] = {"usage", sizeof(struct statefile_usage), usage_is_sound},
	[STATEFILE_LEASE] = {"leases", sizeof(struct statefile_lease), lease_is_sound},
	[STATEFILE_STICKY] = {"bindings", sizeof(struct statefile_binding), binding_is_sound},
	[STATEFILE_HEALTH] = {"health", sizeof(struct statefile_health), health_is_sound},
	[STATEFILE_UNDO] = {"undo", sizeof(struct statefile_undo), NULL},
};

const char *statefile_table_name(enum statefile_table t)
{
	return checks[t].name;
}

uint32_t undo_sum(const struct statefile_undo *u)
{
	struct statefile_undo set;
	const size_t size = offsetof(struct statefile_undo, before);

	memcpy(&set, u, size);
	set.state = 1;
	return staterow_sum(&set, size);
}

struct checking {
	const struct statefile *file;
	const struct table_check *check;
	uint32_t mends; /* searches that are left */
};

/* A flipped bit of a row in use is searched and found. */
static bool mend(struct checking *c, void *row)
{
	if (c->mends == 0)
		return false;
	c->mends--;
	return staterow_mend(row, c->check->row_size) && staterow_state(row);
}

/* Only its state is 0: it was damaged, or an agent was killed while it freed the row. */
static bool revive(struct checking *c, void *row)
{
	for (uint32_t state = 1; state < STATES; state++) {
		memcpy(row, &state, sizeof(state));
		if (staterow_check(row, c->check->row_size) ==
			staterow_sum(row, c->check->row_size))
			return true;
	}
	return false;
}

/* True: it is whole now, and in use. */
static bool restore(struct checking *c, void *row, uint32_t *mended)
{
	const size_t size = c->check->row_size;

	if (!staterow_state(row))
		return revive(c, row);
	if (staterow_is_sound(row, size))
		return true;
	bool is_mended = mend(c, row);
	*mended += is_mended;
	return is_mended;
}

static void check_row(struct checking *c, void *row, uint32_t *mended, uint32_t *dropped)
{
	const size_t size = c->check->row_size;
	const uint32_t check = staterow_check(row, size);

	if (!staterow_state(row) && check == 0)
		return;
	if (!staterow_state(row) && check == STATEROW_OPEN) {
		staterow_free(row, size);
		return;
	}
	if (!restore(c, row, mended) || !c->check->is_sound(c->file, row)) {
		memset(row, 0, size);
		(*dropped)++;
		return;
	}
	if (check == STATEROW_OPEN)
		staterow_seal(row, size);
}

void statefile_check_rows(const struct statefile *f, struct statefile_damage *damage)
{
	struct checking c = {.file = f, .mends = STATEFILE_MENDS};

	for (size_t t = 0; t < STATEFILE_UNDO; t++) {
		uint32_t rows;
		char *table = statefile_table(f, (enum statefile_table)t, &rows);
		c.check = &checks[t];
		for (uint32_t i = 0; i < rows; i++)
			check_row(&c, table + (size_t)i * c.check->row_size, &damage->mended[t],
				&damage->dropped[t]);
	}
}
