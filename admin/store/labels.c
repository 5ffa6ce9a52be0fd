#include "admin/store/labels.h"

#include "admin/store/sql.h"

#include <stdio.h>
#include <string.h>

static const char *query_of(enum label_kind kind)
{
	static const char *const queries[LABEL_KIND_COUNT] = {
		[LABEL_TENANT] = "SELECT name FROM tenants WHERE id = ?1",
		[LABEL_POOL] = "SELECT name FROM pools WHERE id = ?1",
		[LABEL_ACCOUNT] = "SELECT name FROM accounts WHERE id = ?1",
		[LABEL_EGRESS] = "SELECT name FROM egresses WHERE id = ?1",
		[LABEL_UPSTREAM] = "SELECT name FROM upstreams WHERE id = ?1",
	};

	return queries[kind];
}

static int take_name(struct row *row, void *context)
{
	row_copy(row, "name", context, NAMES_SIZE);
	return 0;
}

static void look_up(struct name_row *row, struct store *s, enum label_kind kind, uint32_t id)
{
	row->id = id;
	if (sql_one(s, NULL, take_name, row->name, query_of(kind), "i", (int64_t)id)) {
		snprintf(row->name, sizeof(row->name), "#%u", id);
		row->id = 0; /* not kept: it may be there the next time */
	}
}

const char *labels_name(struct labels *l, struct store *s, enum label_kind kind, uint32_t id)
{
	struct name_row *row = &l->rows[kind][id % LABELS_KEPT];

	if (id == 0)
		return "";
	if (l->version != store_version(s)) {
		memset(l, 0, sizeof(*l));
		l->version = store_version(s);
	}
	if (row->id != id)
		look_up(row, s, kind, id);
	return row->name;
}
