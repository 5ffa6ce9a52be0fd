#include "admin/api/recent.h"

#include "admin/api/directory.h"
#include "admin/control.h"
#include "admin/store/history.h"
#include "admin/store/sql.h"
#include "admin/store/store.h"

#include <errno.h>
#include <stdlib.h>

static void fill_row(const struct directory *d, struct recent_row *row)
{
	directory_name(&d->tenants, row->request.tenant, row->tenant);
	directory_name(&d->accounts, row->request.account, row->account);
	directory_name(&d->egresses, row->request.egress, row->egress);
	directory_name(&d->upstreams, row->request.upstream, row->upstream);
}

static int find_tenant(struct store *s, const char *name, uint32_t *ret, struct errtext *e)
{
	int64_t id = 0;
	int error = sql_number(s, e, &id, "SELECT id FROM tenants WHERE name = ?1", "t", name);

	*ret = (uint32_t)id;
	return error == -ENOENT ? errtext_set(e, error, "there is no tenant %s", name) : error;
}

struct list {
	struct recent_row *rows;
	size_t count, max;
};

/* From the newest back to the rows that the store has or the ring has overwritten. */
static void read_ring(struct list *l, const struct board *b, uint64_t taken, uint32_t tenant)
{
	uint64_t n = atomic_load_explicit(&b->written, memory_order_acquire);

	for (; n > taken && l->count < l->max; n--) {
		struct board_request *r = &l->rows[l->count].request;
		int error = board_read_request(b, n - 1, r);
		if (error == -ENOENT)
			break;
		if (!error && (!tenant || r->tenant == tenant))
			l->count++;
	}
}

static void add_row(void *context, const struct board_request *row)
{
	struct list *l = context;

	if (l->count < l->max)
		l->rows[l->count++].request = *row;
}

/* Rows that wait to be stored are newer than all stored rows. */
static int read_rows(struct list *l, struct control *c, uint32_t tenant, struct errtext *e)
{
	uint64_t taken;
	int error = history_taken(c->store, c->board, &taken, e);

	if (error)
		return error;
	read_ring(l, c->board, taken, tenant);
	return history_each(c->store, tenant, l->max - l->count, add_row, l, e);
}

static int list(struct control *c, const struct directory *d, size_t max, uint32_t tenant,
	struct recent_row **ret_rows, size_t *ret_count, struct errtext *e)
{
	struct list l = {.rows = calloc(max + 1, sizeof(*l.rows)), .max = max};

	if (!l.rows)
		return errtext_set(e, -ENOMEM, "requests: out of memory");
	int error = read_rows(&l, c, tenant, e);
	if (error) {
		free(l.rows);
		return error;
	}
	for (size_t i = 0; i < l.count; i++)
		fill_row(d, &l.rows[i]);
	*ret_rows = l.rows;
	*ret_count = l.count;
	return 0;
}

/* 0, or -ENOENT without a text. */
static int find_in_ring(
	const struct board *b, uint64_t taken, const uint8_t id[16], struct board_request *ret)
{
	uint64_t n = atomic_load_explicit(&b->written, memory_order_acquire);

	for (; n > taken; n--) {
		int error = board_read_request(b, n - 1, ret);
		if (error == -ENOENT)
			break;
		if (!error && memcmp(ret->id, id, sizeof(ret->id)) == 0)
			return 0;
	}
	return -ENOENT;
}

int recent_find(
	struct control *c, const uint8_t id[16], struct board_request *ret, struct errtext *e)
{
	uint64_t taken;
	int error = history_taken(c->store, c->board, &taken, e);

	if (error)
		return error;
	if (find_in_ring(c->board, taken, id, ret) == 0)
		return 1;
	return history_find(c->store, id, ret, e);
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
