#include "admin/store/tally.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_MIN 64

void tally_fini(struct tally *t)
{
	free(t->rows);
	*t = (struct tally){0};
}

/* The tenant's row, or the free one where it belongs. There is always a free one. */
static struct tally_row *find(struct tally_row *rows, size_t size, uint32_t tenant)
{
	size_t at = tenant * 2654435761u;

	while (rows[at & (size - 1)].tenant && rows[at & (size - 1)].tenant != tenant)
		at++;
	return &rows[at & (size - 1)];
}

static int grow(struct tally *t)
{
	size_t size = t->size ? t->size * 2 : SIZE_MIN;
	struct tally_row *rows = calloc(size, sizeof(*rows));

	if (!rows)
		return -ENOMEM;
	for (size_t i = 0; i < t->size; i++) {
		if (t->rows[i].tenant)
			*find(rows, size, t->rows[i].tenant) = t->rows[i];
	}
	free(t->rows);
	t->rows = rows;
	t->size = size;
	return 0;
}

static struct tally_row *row_of(struct tally *t, uint32_t tenant)
{
	if ((t->used + 1) * 2 > t->size && grow(t))
		return NULL;
	struct tally_row *row = find(t->rows, t->size, tenant);
	if (!row->tenant) {
		row->tenant = tenant;
		t->used++;
	}
	return row;
}

static int64_t at_least_zero(int64_t n)
{
	return n < 0 ? 0 : n;
}

int tally_add(struct tally *t, uint32_t tenant, int64_t rows)
{
	struct tally_row *row = tenant ? row_of(t, tenant) : NULL;

	if (tenant && !row)
		return -ENOMEM;
	if (row)
		row->rows = (uint32_t)at_least_zero(row->rows + rows);
	else
		t->nobody = (uint64_t)at_least_zero((int64_t)t->nobody + rows);
	t->total = (uint64_t)at_least_zero((int64_t)t->total + rows);
	return 0;
}

static bool fits(const struct tally *t, uint32_t level, uint64_t max)
{
	uint64_t kept = 0;

	for (size_t i = 0; i < t->size && kept <= max; i++)
		kept += t->rows[i].rows < level ? t->rows[i].rows : level;
	return kept <= max;
}

uint32_t tally_level(const struct tally *t, uint64_t max)
{
	uint32_t low = 0;
	uint32_t high = UINT32_MAX;

	if (t->total - t->nobody <= max)
		return UINT32_MAX;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2 + 1;
		if (fits(t, middle, max))
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}
