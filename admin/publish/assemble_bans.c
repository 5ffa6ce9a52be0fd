#include "admin/publish/assemble_parts.h"
#include "admin/store/store.h"
#include "common/ban.h"
#include "common/clock.h"
#include "common/errtext.h"

#include <errno.h>
#include <stdlib.h>

static int read_ban(struct assemble *a, sqlite3_stmt *st, struct buffer *rows)
{
	struct snapshot_ban row = {.expires_ms = sqlite3_column_int64(st, 1)};

	if (cidr_parse(store_column(st, 0), &row.network) < 0)
		return errtext_set(a->e, -EBADMSG, "store: a ban has a malformed network");
	buffer_append(rows, &row, sizeof(row));
	return 0;
}

static int read_bans(struct assemble *a, struct buffer *rows)
{
	sqlite3_stmt *st = store_statement(a->store,
		"SELECT network, expires_ms FROM bans WHERE expires_ms = 0 OR expires_ms > ?1",
		a->e);
	int rc = -EIO;

	if (!st)
		return rc;
	sqlite3_bind_int64(st, 1, clock_wall_ms());
	while ((rc = store_step(a->store, st, a->e)) == 1) {
		rc = read_ban(a, st, rows);
		if (rc)
			break;
	}
	sqlite3_reset(st);
	if (!rc && buffer_error(rows))
		rc = errtext_set(a->e, -ENOMEM, "snapshot: out of memory");
	return rc;
}

int assemble_bans(struct assemble *a)
{
	struct buffer rows = {0};
	int error = read_bans(a, &rows);
	size_t count = rows.len / sizeof(struct snapshot_ban);

	if (!error && count)
		qsort(rows.data, count, sizeof(struct snapshot_ban), ban_order);
	for (size_t i = 0; !error && i < count; i++)
		snapshot_builder_add(
			a->builder, SNAPSHOT_BAN, rows.data + i * sizeof(struct snapshot_ban));
	buffer_fini(&rows);
	return error;
}
