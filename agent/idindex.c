#include "agent/idindex.h"

#include "common/staterow.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

struct row {
	_Atomic uint32_t state;
	uint32_t id;
};

static struct row *row_at(const struct idindex *x, uint32_t i)
{
	return (struct row *)(void *)(x->rows + (size_t)i * x->row_size);
}

static uint32_t kind_of(const struct row *row)
{
	return atomic_load_explicit(&row->state, memory_order_relaxed);
}

static uint32_t bucket_of(const struct idindex *x, uint32_t kind, uint32_t id)
{
	uint64_t n = ((uint64_t)kind << 32 | id) * 0x9e3779b97f4a7c15u;

	return (uint32_t)(n >> 32) & x->mask;
}

static bool is_row(const struct row *row, uint32_t kind, uint32_t id)
{
	return row->id == id && kind_of(row) == kind;
}

static uint32_t place_of(const struct idindex *x, uint32_t kind, uint32_t id)
{
	uint32_t at = bucket_of(x, kind, id);

	while (x->buckets[at] && !is_row(row_at(x, x->buckets[at] - 1), kind, id))
		at = (at + 1) & x->mask;
	return at;
}

static void insert(struct idindex *x, uint32_t i, uint32_t kind, uint32_t id)
{
	uint32_t at = bucket_of(x, kind, id);

	while (x->buckets[at])
		at = (at + 1) & x->mask;
	x->buckets[at] = i + 1;
}

/* Closes the hole: moves back entries that a look-up would no longer reach. No tombstones. */
static void take_out(struct idindex *x, uint32_t hole)
{
	for (uint32_t at = (hole + 1) & x->mask; x->buckets[at]; at = (at + 1) & x->mask) {
		const struct row *row = row_at(x, x->buckets[at] - 1);
		uint32_t home = bucket_of(x, kind_of(row), row->id);
		if (((at - home) & x->mask) < ((at - hole) & x->mask))
			continue;
		x->buckets[hole] = x->buckets[at];
		hole = at;
	}
	x->buckets[hole] = 0;
}

static void free_row(struct idindex *x, uint32_t i)
{
	struct row *row = row_at(x, i);

	atomic_store_explicit(&row->state, 0, memory_order_release);
	staterow_free(row, x->row_size);
	x->free_rows[x->free_count++] = i;
}

static uint32_t first_fresh(const struct idindex *x)
{
	uint32_t i = x->count;

	while (i > 0 && kind_of(row_at(x, i - 1)) == 0)
		i--;
	return i;
}

static void take_over_rows(struct idindex *x)
{
	x->fresh = first_fresh(x);
	for (uint32_t i = x->fresh; i-- > 0;) {
		const struct row *row = row_at(x, i);
		uint32_t kind = kind_of(row);
		bool twice = kind && idindex_find(x, kind, row->id) != IDINDEX_NONE;
		x->dropped += twice;
		if (!kind || twice) {
			free_row(x, i);
			continue;
		}
		insert(x, i, kind, row->id);
		x->used++;
	}
}

int idindex_init(struct idindex *x, void *rows, uint32_t row_size, uint32_t count, uint32_t max)
{
	uint32_t buckets = 8;

	while (buckets < max * 2)
		buckets *= 2;
	*x = (struct idindex){.rows = rows,
		.row_size = row_size,
		.count = count,
		.max = max,
		.mask = buckets - 1};
	x->buckets = calloc(buckets, sizeof(*x->buckets));
	x->free_rows = calloc(max, sizeof(*x->free_rows));
	if (!x->buckets || !x->free_rows) {
		idindex_fini(x);
		return -ENOMEM;
	}
	take_over_rows(x);
	return 0;
}

void idindex_grow(struct idindex *x, uint32_t count)
{
	if (count > x->count && count <= x->max)
		x->count = count;
}

void idindex_fini(struct idindex *x)
{
	free(x->buckets);
	free(x->free_rows);
	*x = (struct idindex){0};
}

uint32_t idindex_find(const struct idindex *x, uint32_t kind, uint32_t id)
{
	/* a missing row becomes IDINDEX_NONE */
	return x->buckets[place_of(x, kind, id)] - 1;
}

uint32_t idindex_next(const struct idindex *x)
{
	if (x->free_count)
		return x->free_rows[x->free_count - 1];
	return x->fresh < x->count ? x->fresh : IDINDEX_NONE;
}

void idindex_add(struct idindex *x, uint32_t i, uint32_t kind)
{
	struct row *row = row_at(x, i);

	atomic_store_explicit(&row->state, kind, memory_order_release);
	if (x->free_count)
		x->free_count--;
	else
		x->fresh++;
	x->used++;
	insert(x, i, kind, row->id);
}

void idindex_remove(struct idindex *x, uint32_t i)
{
	const struct row *row = row_at(x, i);

	take_out(x, place_of(x, kind_of(row), row->id));
	free_row(x, i);
	x->used--;
}
