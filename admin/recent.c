#include "admin/recent.h"

#include "admin/control.h"
#include "admin/names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct directory {
	struct names tenants, accounts, egresses, upstreams;
};

static int directory_load(struct directory *d, struct store *s, struct errtext *e)
{
	int error = names_load(&d->tenants, s, "SELECT id, name, 0 FROM tenants ORDER BY id", e);

	if (!error)
		error = names_load(
			&d->accounts, s, "SELECT id, name, 0 FROM accounts ORDER BY id", e);
	if (!error)
		error = names_load(
			&d->egresses, s, "SELECT id, name, 0 FROM egresses ORDER BY id", e);
	if (!error)
		error = names_load(
			&d->upstreams, s, "SELECT id, name, 0 FROM upstreams ORDER BY id", e);
	return error;
}

static void directory_fini(struct directory *d)
{
	names_fini(&d->tenants);
	names_fini(&d->accounts);
	names_fini(&d->egresses);
	names_fini(&d->upstreams);
}

static void put_name(const struct names *n, uint32_t id, char out[RECENT_NAME_SIZE])
{
	const struct name_row *row = names_find(n, id);

	if (row)
		snprintf(out, RECENT_NAME_SIZE, "%s", row->name);
	else if (id)
		snprintf(out, RECENT_NAME_SIZE, "#%u", id);
	else
		out[0] = '\0';
}

static void fill_row(const struct directory *d, struct recent_row *row)
{
	put_name(&d->tenants, row->request.tenant, row->tenant);
	put_name(&d->accounts, row->request.account, row->account);
	put_name(&d->egresses, row->request.egress, row->egress);
	put_name(&d->upstreams, row->request.upstream, row->upstream);
}

static int find_tenant(struct store *s, const char *name, uint32_t *ret, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(s, "SELECT id FROM tenants WHERE name = ?1", e);

	if (!st)
		return -EIO;
	store_bind_text(st, 1, name);
	int rc = store_step(s, st, e);
	if (rc == 1)
		*ret = (uint32_t)sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	if (rc == 0)
		return errtext_set(e, -ENOENT, "there is no tenant %s", name);
	return rc < 0 ? rc : 0;
}

/* From the newest back to what the ring has overwritten. */
static size_t read_ring(const struct board *b, uint32_t tenant, struct recent_row *rows, size_t max)
{
	uint64_t n = atomic_load_explicit(&b->written, memory_order_acquire);
	size_t count = 0;

	for (; n > 0 && count < max; n--) {
		struct board_request *r = &rows[count].request;
		int error = board_read_request(b, n - 1, r);
		if (error == -ENOENT)
			break;
		if (!error && (!tenant || r->tenant == tenant))
			count++;
	}
	return count;
}

static int list(struct control *c, const struct directory *d, size_t max, uint32_t tenant,
	struct recent_row **ret_rows, size_t *ret_count, struct errtext *e)
{
	struct recent_row *rows = calloc(max + 1, sizeof(*rows));

	if (!rows)
		return errtext_set(e, -ENOMEM, "requests: out of memory");
	*ret_count = read_ring(c->board, tenant, rows, max);
	for (size_t i = 0; i < *ret_count; i++)
		fill_row(d, &rows[i]);
	*ret_rows = rows;
	return 0;
}

int recent_list(struct control *c, size_t max, const char *tenant, struct recent_row **ret_rows,
	size_t *ret_count, struct errtext *e)
{
	struct directory d = {0};
	uint32_t tenant_id = 0;
	int error = tenant ? find_tenant(c->store, tenant, &tenant_id, e) : 0;

	if (max > RECENT_MAX)
		max = RECENT_MAX;
	if (!error)
		error = directory_load(&d, c->store, e);
	if (!error)
		error = list(c, &d, max, tenant_id, ret_rows, ret_count, e);
	directory_fini(&d);
	return error;
}
