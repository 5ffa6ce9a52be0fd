#include "common/result.h"
#include "common/statefile.h"

#include <errno.h>
#include <stdbool.h>

typedef bool row_fn(const struct statefile *f, const void *row);

static uint32_t load(const _Atomic uint32_t *state)
{
	return atomic_load_explicit(state, memory_order_acquire);
}

static bool usage_is_sound(const struct statefile *f, const void *row)
{
	const struct statefile_usage *u = row;
	uint32_t kind = load(&u->state);

	(void)f;
	return kind == USAGE_FREE || (kind < USAGE_KIND_COUNT && u->id);
}

static bool lease_is_sound(const struct statefile *f, const void *row)
{
	const struct statefile_lease *l = row;
	uint32_t state = load(&l->state);

	(void)f;
	if (state == LEASE_FREE)
		return true;
	return state < LEASE_STATE_COUNT && l->tenant && l->key && l->account && l->decided_ms > 0;
}

static bool binding_is_sound(const struct statefile *f, const void *row)
{
	const struct statefile_binding *b = row;
	uint32_t state = load(&b->state) & BINDING_STATE_MASK;

	(void)f;
	if (state == BINDING_FREE)
		return true;
	return state < BINDING_STATE_COUNT && b->account && b->conversation &&
		b->used & BINDING_TIME_MASK &&
		b->used >> (BINDING_TENANT_SHIFT + BINDING_TENANT_BITS) == 0;
}

static bool health_is_sound(const struct statefile *f, const void *row)
{
	const struct statefile_health *h = row;
	uint32_t kind = load(&h->state);

	(void)f;
	if (kind == HEALTH_FREE)
		return true;
	return kind < HEALTH_KIND_COUNT && h->id && h->circuit < CIRCUIT_COUNT &&
		h->cool_class < RESULT_CLASS_COUNT;
}

static bool undo_is_sound(const struct statefile *f, const void *row)
{
	const struct statefile_undo *u = row;

	if (load(&u->state) == 0)
		return true;
	if (load(&u->state) != 1 || u->usages > STATEFILE_UNDO_USAGES ||
		u->lease > STATEFILE_LEASES)
		return false;
	for (uint32_t i = 0; i < u->usages; i++) {
		if (u->rows[i] >= f->usage_parts * STATEFILE_USAGES)
			return false;
	}
	return true;
}

static const struct table_check {
	const char *name;
	uint32_t row_size;
	row_fn *is_sound;
} checks[STATEFILE_TABLE_COUNT] = {
	[STATEFILE_USAGE] = {"usage", sizeof(struct statefile_usage), usage_is_sound},
	[STATEFILE_LEASE] = {"leases", sizeof(struct statefile_lease), lease_is_sound},
	[STATEFILE_STICKY] = {"bindings", sizeof(struct statefile_binding), binding_is_sound},
	[STATEFILE_HEALTH] = {"health", sizeof(struct statefile_health), health_is_sound},
	[STATEFILE_UNDO] = {"undo", sizeof(struct statefile_undo), undo_is_sound},
};

int statefile_check_rows(const struct statefile *f, struct errtext *e)
{
	for (size_t t = 0; t < STATEFILE_TABLE_COUNT; t++) {
		uint32_t rows;
		const char *table = statefile_table(f, (enum statefile_table)t, &rows);
		for (uint32_t i = 0; checks[t].is_sound && i < rows; i++) {
			if (!checks[t].is_sound(f, table + (size_t)i * checks[t].row_size))
				return errtext_set(e, -EBADMSG,
					"has a damaged row %u in its table of %s", i,
					checks[t].name);
		}
	}
	return 0;
}
