#include "admin/api/recent.h"

#include "admin/control.h"
#include "admin/store/labels.h"
#include "admin/store/sql.h"
#include "admin/store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void put_name(struct labels *l, struct control *c, enum label_kind kind, uint32_t id,
	char out[NAMES_SIZE])
{
	snprintf(out, NAMES_SIZE, "%s", labels_name(l, c->store, kind, id));
}

void recent_name(struct labels *l, struct control *c, struct recent_row *row)
{
	const struct board_request *q = &row->request;

	put_name(l, c, LABEL_TENANT, q->tenant, row->tenant);
	put_name(l, c, LABEL_POOL, q->pool, row->pool);
	put_name(l, c, LABEL_ACCOUNT, q->account, row->account);
	put_name(l, c, LABEL_EGRESS, q->egress, row->egress);
	put_name(l, c, LABEL_UPSTREAM, q->upstream, row->upstream);
}

static int find_id(struct control *c, const char *sql, const char *what, const char *name,
	uint32_t *ret, struct errtext *e)
{
	int64_t id = 0;
	int error = sql_number(c->store, e, &id, sql, "t", name);

	*ret = (uint32_t)id;
	return error == -ENOENT ? errtext_set(e, error, "there is no %s %s", what, name) : error;
}

int recent_tenant(struct control *c, const char *name, uint32_t *ret, struct errtext *e)
{
	return find_id(c, "SELECT id FROM tenants WHERE name = ?1", "tenant", name, ret, e);
}

int recent_account(struct control *c, const char *name, uint32_t *ret, struct errtext *e)
{
	return find_id(c, "SELECT id FROM accounts WHERE name = ?1", "account", name, ret, e);
}

struct list {
	struct recent_row *rows;
	size_t count;
};

static void add_row(void *context, const struct board_request *row)
{
	struct list *l = context;

	l->rows[l->count++].request = *row;
}

static int read_page(struct control *c, const struct history_filter *filter,
	struct history_part part, struct list *l, uint64_t *ret_next, struct errtext *e)
{
	struct labels *labels = calloc(1, sizeof(*labels));
	int error = labels ? history_page(c->store, c->board, filter, part, add_row, l, ret_next, e)
			   : errtext_set(e, -ENOMEM, "requests: out of memory");

	for (size_t i = 0; i < l->count && !error; i++)
		recent_name(labels, c, &l->rows[i]);
	free(labels);
	return error;
}

int recent_page(struct control *c, const struct history_filter *filter, uint64_t below, size_t max,
	struct recent_row **ret_rows, size_t *ret_count, uint64_t *ret_next, struct errtext *e)
{
	if (max == 0 || max > RECENT_MAX)
		max = RECENT_MAX;
	struct list l = {.rows = calloc(max, sizeof(*l.rows))};
	if (!l.rows)
		return errtext_set(e, -ENOMEM, "requests: out of memory");
	int error = read_page(c, filter, (struct history_part){below, max}, &l, ret_next, e);
	if (error) {
		free(l.rows);
		return error;
	}
	*ret_rows = l.rows;
	*ret_count = l.count;
	return 0;
}

int recent_list(struct control *c, size_t max, const char *tenant, struct recent_row **ret_rows,
	size_t *ret_count, struct errtext *e)
{
	struct history_filter filter = {0};
	uint64_t next = 0;
	int error = tenant ? recent_tenant(c, tenant, &filter.tenant, e) : 0;

	return error ? error : recent_page(c, &filter, 0, max, ret_rows, ret_count, &next, e);
}

int recent_find(
	struct control *c, const uint8_t id[16], struct board_request *ret, struct errtext *e)
{
	return history_find(c->store, c->board, id, ret, e);
}
