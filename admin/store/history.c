#include "admin/store/history.h"

#include "admin/store/boardmark.h"
#include "admin/store/keyuse.h"
#include "admin/store/sql.h"
#include "common/clock.h"
#include "common/log.h"

#include <errno.h>

#define SETTING "requests_taken"
#define MS ((int64_t)1000000) /* in ns */
#define WORK_NS (6 * MS) /* for moving and again for pruning; the commit takes as much and more */
#define MOVE_MAX 2048	 /* rows of the ring looked at in one step; more would save no time */
#define PRUNE_MAX 4096	 /* rows deleted in one step */
#define PRUNE_CHUNK 512	 /* of them in one statement */
#define FUTURE_MS 86400000
#define CLOCK_ROWS 32	      /* rows between two looks at the clock */
#define FEW MOVE_MAX	      /* fewer waiting rows than this do not cause a disk sync at once */
#define IDLE_NS (1000 * MS)   /* the longest wait of few rows */
#define FAILED_NS (5000 * MS) /* the pause after a failure of the store */
#define FLUSH_NS (2000 * MS)

/* --- moving --- */

static struct slice fixed_text(const char *text, size_t size)
{
	return (struct slice){text, strnlen(text, size)};
}

static int insert(struct store *s, const struct board_request *q, struct errtext *e)
{
	struct slice id = {(const char *)q->id, sizeof(q->id)};
	struct slice termination = fixed_text(q->termination, sizeof(q->termination));
	struct slice code = fixed_text(q->code, sizeof(q->code));
	struct slice label = fixed_text(q->label, sizeof(q->label));

	return sql_run(s, e,
		"INSERT INTO requests (id, started_ms, tenant_id, key_id, account_id, egress_id,"
		" upstream_id, ttfb_ms, duration_ms, status, retries, bytes_in, bytes_out,"
		" termination, code, label)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
		"biiiiiiiiiiiisss", &id, (int64_t)q->started_ms, (int64_t)q->tenant,
		(int64_t)q->key, (int64_t)q->account, (int64_t)q->egress, (int64_t)q->upstream,
		(int64_t)q->ttfb_ms, (int64_t)q->duration_ms, (int64_t)q->status,
		(int64_t)q->retries, (int64_t)q->bytes_in, (int64_t)q->bytes_out, &termination,
		&code, &label);
}

static int take_request(struct store *s, const struct board_request *q, struct errtext *e)
{
	int error = insert(s, q, e);

	return error ? error : keyuse_note(s, q->key, q->started_ms, e);
}

struct move {
	uint64_t taken;
	uint64_t written;
	uint64_t lost;
};

int history_taken(struct store *s, const struct board *b, uint64_t *ret, struct errtext *e)
{
	return boardmark_get(s, SETTING, b, ret, e);
}

static int move_begin(struct history *h, struct move *m, struct errtext *e)
{
	*m = (struct move){
		.written = atomic_load_explicit(&h->board->written, memory_order_acquire)};
	return history_taken(h->store, h->board, &m->taken, e);
}

static bool is_due(int64_t deadline_ns, size_t n)
{
	return n % CLOCK_ROWS == 0 && clock_monotonic_ns() >= deadline_ns;
}

static int move_rows(struct history *h, struct move *m, struct errtext *e)
{
	int64_t deadline = clock_monotonic_ns() + WORK_NS;
	struct board_request q;
	int error = 0;

	if (m->taken >= m->written)
		return 0;
	if (m->written - m->taken > BOARD_REQUESTS) {
		m->lost = m->written - m->taken - BOARD_REQUESTS;
		m->taken += m->lost;
	}
	for (size_t n = 1; m->taken < m->written && n <= MOVE_MAX && !error; n++) {
		int missing = board_read_request(h->board, m->taken, &q);
		if (missing == -EAGAIN)
			break;
		if (missing)
			m->lost++;
		else
			error = take_request(h->store, &q, e);
		m->taken++;
		if (is_due(deadline, n))
			break;
	}
	return error ? error : boardmark_put(h->store, SETTING, h->board, m->taken, e);
}

/* --- pruning --- */

/*
 * From the oldest end on, since numbers rise with the end of requests: the age needs no index, and a row
 * stays until those that ended before it may go. A start in the future was written under a wrong clock,
 * or the clock is wrong now: such a row goes when one that ended after it is too old. Numbers have gaps where rows were deleted, so at most `max_rows` rows remain: a million rows need not
 * be counted.
 */
struct prune {
	int64_t oldest_ms;
	int64_t newest_ms;
	int64_t max_rows;
};

static int64_t bounded(uint64_t n)
{
	return n > INT64_MAX ? INT64_MAX : (int64_t)n;
}

static struct prune prune_of(const struct history *h)
{
	int64_t now_ms = h->retention ? h->retention->now_ms : clock_wall_ms();

	return (struct prune){
		.oldest_ms = now_ms - bounded(h->config->requests_retention_ms),
		.newest_ms = now_ms + FUTURE_MS,
		.max_rows = bounded(h->config->requests_max_rows),
	};
}

static int prune_chunk(
	struct history *h, const struct prune *p, int64_t *ret_deleted, struct errtext *e)
{
	int error = sql_run(h->store, e,
		"WITH chunk AS (SELECT number, started_ms FROM requests ORDER BY number LIMIT ?1)"
		" DELETE FROM requests WHERE number <= (SELECT max(number) FROM chunk)"
		" AND (number <= (SELECT max(number) FROM requests) - ?2 OR started_ms < ?3"
		" OR (started_ms > ?4 AND number <"
		" (SELECT max(number) FROM chunk WHERE started_ms < ?3)))",
		"iiii", (int64_t)PRUNE_CHUNK, p->max_rows, p->oldest_ms, p->newest_ms);

	if (!error)
		*ret_deleted = store_changed_rows(h->store);
	return error;
}

static int prune(struct history *h, bool *ret_more, struct errtext *e)
{
	const struct prune p = prune_of(h);
	int64_t deadline = clock_monotonic_ns() + WORK_NS;
	int64_t total = 0;
	int64_t deleted = PRUNE_CHUNK;
	int error = 0;

	while (deleted >= PRUNE_CHUNK && !error) {
		if (total >= PRUNE_MAX || clock_monotonic_ns() >= deadline) {
			*ret_more = true;
			break;
		}
		error = prune_chunk(h, &p, &deleted, e);
		total += deleted;
	}
	return error;
}

struct fill {
	struct prune prune;
	bool overfull;
};

static int read_fill(struct row *row, void *context)
{
	struct fill *f = context;
	int64_t started_ms = row_number(row, "started_ms");

	f->overfull = row_number(row, "count") > f->prune.max_rows ||
		started_ms < f->prune.oldest_ms || started_ms > f->prune.newest_ms;
	return 0;
}

/* Whether there is anything to delete: reads both ends of the table. */
static int is_overfull(struct history *h, bool *ret, struct errtext *e)
{
	struct fill f = {.prune = prune_of(h)};
	int error = sql_one(h->store, e, read_fill, &f,
		"SELECT started_ms, (SELECT max(number) FROM requests) - number + 1 AS count"
		" FROM requests ORDER BY number LIMIT 1",
		"");

	*ret = f.overfull;
	return error == -ENOENT ? 0 : error;
}

/* --- steps --- */

static int run_step(struct history *h, struct move *m, bool *ret_more, struct errtext *e)
{
	int error = move_rows(h, m, e);

	*ret_more = m->taken < m->written;
	return error ? error : prune(h, ret_more, e);
}

int history_step(struct history *h, bool *ret_more, struct errtext *e)
{
	struct move m;
	bool overfull = false;
	int error = move_begin(h, &m, e);

	*ret_more = false;
	if (!error)
		error = is_overfull(h, &overfull, e);
	if (error || (m.taken >= m.written && !overfull))
		return error;
	error = store_begin(h->store, e);
	if (error)
		return error;
	error = run_step(h, &m, ret_more, e);
	if (error)
		store_rollback(h->store);
	else
		error = store_commit(h->store, e);
	if (!error)
		h->unsaved += m.lost;
	return error;
}

static void set_failed(struct history *h, bool failed, const struct errtext *e)
{
	if (failed && !h->failed)
		log_event(LOG_LEVEL_ERROR, "requests are not being saved",
			LOG_STR("reason", e->text));
	else if (!failed && h->failed)
		log_write(LOG_LEVEL_INFO, "requests are being saved again", NULL);
	h->failed = failed;
}

/* A few rows wait for more, so that an idle node does not sync its disk all the time. */
static bool may_wait(struct history *h)
{
	struct move m;

	if (clock_monotonic_ns() >= h->next_ns)
		return false;
	return h->failed || move_begin(h, &m, NULL) || m.written - m.taken < FEW ||
		m.taken > m.written;
}

bool history_poll(struct history *h)
{
	struct errtext e = {""};
	bool more = false;

	if (may_wait(h))
		return false;
	int error = history_step(h, &more, &e);
	set_failed(h, error != 0, &e);
	h->next_ns = clock_monotonic_ns() + (error ? FAILED_NS : more ? 0 : IDLE_NS);
	return !error && more;
}

void history_flush(struct history *h)
{
	int64_t deadline = clock_monotonic_ns() + FLUSH_NS;
	struct errtext e = {""};
	bool more = true;
	int error = 0;

	while (more && !error && clock_monotonic_ns() < deadline)
		error = history_step(h, &more, &e);
	if (error)
		set_failed(h, true, &e);
}

/* --- reading --- */

#define COLUMNS                                                                                    \
	"started_ms, tenant_id, key_id, account_id, egress_id, upstream_id, ttfb_ms, duration_ms," \
	" status, retries, bytes_in, bytes_out, id, termination, code, label"

/* The rest of `out` is zero already. */
static void copy_column(struct row *row, const char *column, void *out, size_t size)
{
	struct slice s = slice_cut(row_text(row, column), size);

	memcpy(out, s.p, s.n);
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
	};
	copy_column(row, "id", ret->id, sizeof(ret->id));
	copy_column(row, "termination", ret->termination, sizeof(ret->termination));
	copy_column(row, "code", ret->code, sizeof(ret->code) - 1);
	copy_column(row, "label", ret->label, sizeof(ret->label) - 1);
}

struct reader {
	history_row_fn *fn;
	void *context;
};

static int tell_row(struct row *row, void *context)
{
	const struct reader *r = context;
	struct board_request one;

	read_row(row, &one);
	r->fn(r->context, &one);
	return 0;
}

int history_each(struct store *s, uint32_t tenant, size_t max, history_row_fn *fn, void *context,
	struct errtext *e)
{
	struct reader r = {fn, context};

	if (!tenant)
		return sql_each(s, e, tell_row, &r,
			"SELECT " COLUMNS " FROM requests ORDER BY number DESC LIMIT ?1", "i",
			(int64_t)max);
	return sql_each(s, e, tell_row, &r,
		"SELECT " COLUMNS " FROM requests WHERE tenant_id = ?2"
		" ORDER BY number DESC LIMIT ?1",
		"ii", (int64_t)max, (int64_t)tenant);
}

static int take_found(struct row *row, void *context)
{
	read_row(row, context);
	return 0;
}

int history_find(
	struct store *s, const uint8_t id[16], struct board_request *ret, struct errtext *e)
{
	struct slice key = {(const char *)id, 16};
	int error = sql_one(s, e, take_found, ret,
		"SELECT " COLUMNS " FROM requests WHERE id = ?1 ORDER BY number DESC LIMIT 1", "b",
		&key);

	if (error == -ENOENT)
		return 0;
	return error ? error : 1;
}
