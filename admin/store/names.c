#include "admin/store/names.h"

#include "admin/store/sql.h"
#include "common/search.h"

static int add_row(struct row *row, void *context)
{
	struct names *n = context;
	struct name_row one = {.id = row_u32(row, "id")};

	row_copy(row, "name", one.name, sizeof(one.name));
	buffer_append(&n->rows, &one, sizeof(one));
	return 0;
}

int names_load(struct names *n, struct store *s, const char *sql, struct errtext *e)
{
	int error = sql_each(s, e, add_row, n, sql, "");

	return error ? error : buffer_error(&n->rows);
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
