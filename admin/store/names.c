#include "admin/store/names.h"

#include "common/search.h"

#include <errno.h>

int names_load(struct names *n, struct store *s, const char *sql, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(s, sql, e);
	int rc = -EIO;

	if (!st)
		return rc;
	while ((rc = store_step(s, st, e)) == 1) {
		struct slice name = slice_cut(store_column(st, 1), NAMES_SIZE - 1);
		struct name_row row = {.id = (uint32_t)sqlite3_column_int64(st, 0),
			.flags = (uint32_t)sqlite3_column_int64(st, 2)};
		memcpy(row.name, name.p, name.n);
		buffer_append(&n->rows, &row, sizeof(row));
	}
	return rc ? rc : buffer_error(&n->rows);
}

void names_fini(struct names *n)
{
	buffer_fini(&n->rows);
}

const struct name_row *names_rows(const struct names *n, size_t *ret_count)
{
	*ret_count = n->rows.len / sizeof(struct name_row);
	return (const struct name_row *)(const void *)n->rows.data;
}

const struct name_row *names_find(const struct names *n, uint32_t id)
{
	size_t count;
	const struct name_row *rows = names_rows(n, &count);

	return search_id(rows, count, sizeof(*rows), id);
}
