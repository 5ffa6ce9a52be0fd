#include "admin/publish/assemble_parts.h"
#include "admin/store/store.h"
#include "common/ban.h"
#include "common/clock.h"
#include "common/errtext.h"

#include <errno.h>
#include <stdlib.h>

struct ban_rows {
	struct buffer rows; /* struct snapshot_ban */
	struct errtext *e;
};

static int read_ban(struct row *row, void *context)
{
	struct ban_rows *bans = context;
	struct snapshot_ban one = {.expires_ms = row_number(row, "expires_ms")};

	if (cidr_parse(row_text(row, "network"), &one.network) < 0)
		return errtext_set(bans->e, -EBADMSG, "store: a ban has a malformed network");
	buffer_append(&bans->rows, &one, sizeof(one));
	return 0;
}

static int read_bans(struct assemble *a, struct ban_rows *bans)
{
	int error = sql_each(a->store, a->e, read_ban, bans,
		"SELECT network, expires_ms FROM bans WHERE expires_ms = 0 OR expires_ms > ?1", "i",
		clock_wall_ms());

	if (!error && buffer_error(&bans->rows))
		error = errtext_set(a->e, -ENOMEM, "snapshot: out of memory");
	return error;
}

int assemble_bans(struct assemble *a)
{
	struct ban_rows bans = {.e = a->e};
	int error = read_bans(a, &bans);
	size_t count = bans.rows.len / sizeof(struct snapshot_ban);

	if (!error && count)
		qsort(bans.rows.data, count, sizeof(struct snapshot_ban), ban_order);
	for (size_t i = 0; !error && i < count; i++)
		snapshot_builder_add(
			a->builder, SNAPSHOT_BAN, bans.rows.data + i * sizeof(struct snapshot_ban));
	buffer_fini(&bans.rows);
	return error;
}
