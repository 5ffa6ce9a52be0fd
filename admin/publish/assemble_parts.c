#include "admin/publish/assemble_parts.h"

#include "common/search.h"

void idmap_add(struct idmap *m, int64_t id)
{
	buffer_append(&m->ids, &id, sizeof(id));
}

static bool is_before(const void *row, const void *key)
{
	return *(const int64_t *)row < *(const int64_t *)key;
}

int64_t idmap_find(const struct idmap *m, int64_t id)
{
	const int64_t *ids = (const int64_t *)(const void *)m->ids.data;
	size_t count = m->ids.len / sizeof(*ids);
	size_t at = search_rows(ids, count, sizeof(*ids), is_before, &id);

	return at < count && ids[at] == id ? (int64_t)at : -1;
}

struct snapshot_text assemble_text(struct assemble *a, struct row *row, const char *column)
{
	return snapshot_builder_text(a->builder, row_text(row, column));
}
