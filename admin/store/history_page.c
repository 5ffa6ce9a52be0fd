#include "admin/store/history_page.h"

#include "admin/store/history.h"
#include "admin/store/sql.h"
#include "common/clock.h"
#include "common/provider.h"

#include <errno.h>
#include <stdbool.h>

#define WINDOW 20000			/* numbers that one query covers */
#define PAGE_NS ((int64_t)15 * 1000000) /* no new query after this time */
#define DAY_MS ((int64_t)86400000)

/* A page while it is being read. */
struct page {
	const struct history_filter *filter;
	uint64_t below; /* numbers from here on have been read */
	size_t left;	/* rows that the page still takes */
	history_row_fn *fn;
	void *context;
};

static void give(struct page *p, const struct board_request *row)
{
	p->fn(p->context, row);
	p->left--;
}

/* --- rows of the store --- */

#define COLUMNS                                                                                    \
	"started_ms, tenant_id, key_id, account_id, egress_id, upstream_id, ttfb_ms, duration_ms," \
	" status, retries, bytes_in, bytes_out, id, termination, code, label, method, path,"       \
	" provider, region, pool_id, conversation, relay_ms, active, circuit, tries, attempts,"    \
	" upstream_request_id"

/* The rest of `out` is zero already. */
static void copy_column(struct row *row, const char *column, void *out, size_t size)
{
	struct slice s = slice_cut(row_text(row, column), size);

	memcpy(out, s.p, s.n);
}

/* Of board_request. A provider of a later version is not known. */
static uint8_t provider_place(struct slice name)
{
	const struct provider *p = provider_find(name);

	return p ? (uint8_t)(provider_index(p) + 1) : 0;
}

static void read_row(struct row *row, struct board_request *ret)
{
	*ret = (struct board_request){
		.started_ms = row_number(row, "started_ms"),
		.tenant = row_u32(row, "tenant_id"),
		.key = row_u32(row, "key_id"),
		.account = row_u32(row, "account_id"),
		.egress = row_u32(row, "egress_id"),
		.upstream = row_u32(row, "upstream_id"),
		.ttfb_ms = (int32_t)row_number(row, "ttfb_ms"),
		.duration_ms = (int32_t)row_number(row, "duration_ms"),
		.status = (uint16_t)row_number(row, "status"),
		.retries = (uint16_t)row_number(row, "retries"),
		.bytes_in = (uint64_t)row_number(row, "bytes_in"),
		.bytes_out = (uint64_t)row_number(row, "bytes_out"),
		.provider = provider_place(row_text(row, "provider")),
		.pool = row_u32(row, "pool_id"),
		.conversation = (uint64_t)row_number(row, "conversation"),
		.relay_ms = (int32_t)row_number(row, "relay_ms"),
		.active = row_u32(row, "active"),
		.circuit = (uint8_t)row_number(row, "circuit"),
		.tries = (uint8_t)row_number(row, "tries"),
	};
	copy_column(row, "id", ret->id, sizeof(ret->id));
	copy_column(row, "termination", ret->termination, sizeof(ret->termination));
	copy_column(row, "code", ret->code, sizeof(ret->code) - 1);
	copy_column(row, "label", ret->label, sizeof(ret->label) - 1);
	copy_column(row, "upstream_request_id", ret->answer, sizeof(ret->answer) - 1);
	copy_column(row, "method", ret->method, sizeof(ret->method) - 1);
	copy_column(row, "path", ret->path, sizeof(ret->path) - 1);
	copy_column(row, "region", ret->region, sizeof(ret->region) - 1);
	copy_column(row, "attempts", ret->attempts, sizeof(ret->attempts));
	size_t failed = row_text(row, "attempts").n / sizeof(ret->attempts[0]);
	ret->attempt_count = (uint8_t)(failed < BOARD_ATTEMPTS ? failed : BOARD_ATTEMPTS);
}

static int take_row(struct row *row, void *context)
{
	struct page *p = context;
	struct board_request one;

	read_row(row, &one);
	p->below = (uint64_t)row_number(row, "number");
	give(p, &one);
	return 0;
}

#define MATCHES                                                                                    \
	" number >= ?1 AND number < ?2 AND (?4 = 0 OR key_id = ?4)"                                \
	" AND (?5 = 0 OR account_id = ?5) AND (?7 = 0 OR status BETWEEN ?6 AND ?7)"                \
	" AND (?8 IS NULL OR code = ?8) AND started_ms >= ?9 AND started_ms < ?10"                 \
	" ORDER BY number DESC LIMIT ?11"

/* Two texts, so that the index of tenants serves the one that has a tenant. */
static int read_window(struct store *s, struct page *p, uint64_t from, struct errtext *e)
{
	const struct history_filter *f = p->filter;
	uint64_t end = p->below;

	int error = sql_each(s, e, take_row, p,
		f->tenant ? "SELECT number, " COLUMNS
			    " FROM requests WHERE tenant_id = ?3 AND" MATCHES
			  : "SELECT number, " COLUMNS " FROM requests WHERE ?3 = 0 AND" MATCHES,
		"iiiiiiitiii", (int64_t)from, (int64_t)end, (int64_t)f->tenant, (int64_t)f->key,
		(int64_t)f->account, (int64_t)f->status_min, (int64_t)f->status_max, f->code,
		f->since_ms, f->until_ms ? f->until_ms : INT64_MAX, (int64_t)p->left);
	if (!error && p->left)
		p->below = from;
	return error;
}

struct top {
	uint64_t number;
	int64_t ended_ms;
};

static int read_top(struct row *row, void *context)
{
	*(struct top *)context =
		(struct top){(uint64_t)row_number(row, "number"), row_number(row, "ended_ms")};
	return 0;
}

/* The newest row below: numbers have gaps. -ENOENT: there is none. */
static int find_top(struct store *s, const struct page *p, struct top *ret, struct errtext *e)
{
	return sql_one(s, e, read_top, ret,
		p->filter->tenant
			? "SELECT number, started_ms + max(duration_ms, 0) AS ended_ms FROM requests"
			  " WHERE tenant_id = ?1 AND number < ?2 ORDER BY number DESC LIMIT 1"
			: "SELECT number, started_ms + max(duration_ms, 0) AS ended_ms FROM requests"
			  " WHERE ?1 = 0 AND number < ?2 ORDER BY number DESC LIMIT 1",
		"ii", (int64_t)p->filter->tenant, (int64_t)p->below);
}

/*
 * Numbers rise with the end of requests: below a row that ended before `since_ms` none began after it.
 * A day more is read, in case that the clock was set back.
 */
static bool is_before(const struct page *p, const struct top *top)
{
	return p->filter->since_ms > DAY_MS && top->ended_ms < p->filter->since_ms - DAY_MS;
}

static int read_store(struct store *s, struct page *p, bool *ret_end, struct errtext *e)
{
	int64_t deadline = clock_monotonic_ns() + PAGE_NS;
	struct top top;
	int error = 0;

	while (p->left && !error && clock_monotonic_ns() < deadline) {
		error = find_top(s, p, &top, e);
		if (error == -ENOENT || (!error && is_before(p, &top))) {
			*ret_end = true;
			return 0;
		}
		if (error)
			break;
		p->below = top.number + 1;
		error = read_window(s, p, p->below > WINDOW ? p->below - WINDOW : 1, e);
		*ret_end = p->below <= 1;
		if (*ret_end)
			break;
	}
	return error;
}

/* --- rows of the ring --- */

static bool has_code(const struct board_request *q, const char *code)
{
	return !code ||
		slice_eq_str((struct slice){q->code, strnlen(q->code, sizeof(q->code))}, code);
}

static bool matches(const struct history_filter *f, const struct board_request *q)
{
	return q->tenant && (!f->tenant || q->tenant == f->tenant) &&
		(!f->key || q->key == f->key) && (!f->account || q->account == f->account) &&
		(!f->status_max || (q->status >= f->status_min && q->status <= f->status_max)) &&
		has_code(q, f->code) && q->started_ms >= f->since_ms &&
		(!f->until_ms || q->started_ms < f->until_ms);
}

/* Rows that wait to be stored are newer than all stored rows. */
static void read_ring(struct page *p, const struct board *b, uint64_t taken, uint64_t base)
{
	uint64_t n = atomic_load_explicit(&b->written, memory_order_acquire);
	struct board_request q;

	if (n + base > p->below)
		n = p->below > base ? p->below - base : 0;
	for (; n > taken && p->left; n--) {
		int error = board_read_request(b, n - 1, &q);
		if (error == -ENOENT)
			break; /* overwritten, and so are all before it */
		p->below = base + n - 1;
		if (!error && matches(p->filter, &q))
			give(p, &q);
	}
	if (p->left && p->below > base + taken)
		p->below = base + taken;
}

int history_page(struct store *s, const struct board *b, const struct history_filter *filter,
	struct history_part part, history_row_fn *fn, void *context, uint64_t *ret_next,
	struct errtext *e)
{
	struct page p = {filter, part.below ? part.below : INT64_MAX, part.max, fn, context};
	uint64_t taken = 0;
	uint64_t base = 0;
	bool end = false;
	int error = history_taken(s, b, &taken, e);

	if (!error)
		error = history_base(s, b, taken, &base, e);
	if (error)
		return error;
	read_ring(&p, b, taken, base);
	error = read_store(s, &p, &end, e);
	*ret_next = end ? 0 : p.below;
	return error;
}

/* --- one request --- */

static int take_found(struct row *row, void *context)
{
	read_row(row, context);
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

int history_find(struct store *s, const struct board *b, const uint8_t id[16],
	struct board_request *ret, struct errtext *e)
{
	struct slice key = {(const char *)id, 16};
	uint64_t taken = 0;
	int error = history_taken(s, b, &taken, e);

	if (error)
		return error;
	if (find_in_ring(b, taken, id, ret) == 0)
		return 1;
	error = sql_one(s, e, take_found, ret,
		"SELECT " COLUMNS " FROM requests WHERE id = ?1 ORDER BY number DESC LIMIT 1", "b",
		&key);
	if (error == -ENOENT)
		return 0;
	return error ? error : 1;
}
