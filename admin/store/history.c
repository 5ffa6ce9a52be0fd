#include "admin/store/history.h"

#include "admin/store/boardmark.h"
#include "common/clock.h"
#include "common/log.h"

#include <errno.h>

#define SETTING "requests_taken"
#define MS ((int64_t)1000000) /* in ns */
#define WORK_NS (6 * MS) /* for moving and again for pruning; the commit takes as much and more */
#define MOVE_MAX 4096	 /* rows of the ring looked at in one step */
#define PRUNE_MAX 4000	 /* rows deleted in one step */
#define PRUNE_CHUNK 100	 /* of them in one statement */
#define CLOCK_ROWS 32	 /* rows between two looks at the clock */
#define FEW 256		 /* so many waiting rows are not worth a sync of the disk at once */
#define IDLE_NS (1000 * MS)   /* longest wait of few rows */
#define FAILED_NS (5000 * MS) /* a store that fails is left alone so long */
#define FLUSH_NS (2000 * MS)

static int bind_and_run(struct store *s, sqlite3_stmt *st, int64_t a, int64_t b, struct errtext *e)
{
	if (!st)
		return -EIO;
	sqlite3_bind_int64(st, 1, a);
	sqlite3_bind_int64(st, 2, b);
	return store_run(s, st, e);
}

/* --- moving --- */

static void bind_text(sqlite3_stmt *st, int at, const char *text, size_t size)
{
	sqlite3_bind_text(st, at, text, (int)strnlen(text, size), SQLITE_STATIC);
}

static void bind_request(sqlite3_stmt *st, const struct board_request *q)
{
	const int64_t numbers[] = {q->started_ms, q->tenant, q->key, q->account, q->egress,
		q->upstream, q->ttfb_ms, q->duration_ms, q->status, q->retries,
		(int64_t)q->bytes_in, (int64_t)q->bytes_out};
	int at = 1;

	sqlite3_bind_blob(st, at++, q->id, sizeof(q->id), SQLITE_STATIC);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sqlite3_bind_int64(st, at++, numbers[i]);
	bind_text(st, at++, q->termination, sizeof(q->termination));
	bind_text(st, at++, q->code, sizeof(q->code));
	bind_text(st, at, q->label, sizeof(q->label));
}

static int insert(struct store *s, const struct board_request *q, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(s,
		"INSERT INTO requests (id, started_ms, tenant_id, key_id, account_id, egress_id,"
		" upstream_id, ttfb_ms, duration_ms, status, retries, bytes_in, bytes_out,"
		" termination, code, label)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
		e);

	if (!st)
		return -EIO;
	bind_request(st, q);
	return store_run(s, st, e);
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
			error = insert(h->store, &q, e);
		m->taken++;
		if (is_due(deadline, n))
			break;
	}
	return error ? error : boardmark_put(h->store, SETTING, h->board, m->taken, e);
}

/* --- pruning --- */

static int64_t bounded(uint64_t n)
{
	return n > INT64_MAX ? INT64_MAX : (int64_t)n;
}

static int prune_old(struct history *h, int64_t now_ms, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(h->store,
		"DELETE FROM requests WHERE number IN (SELECT number FROM requests"
		" WHERE started_ms < ?1 ORDER BY started_ms LIMIT ?2)",
		e);

	return bind_and_run(
		h->store, st, now_ms - bounded(h->config->requests_retention_ms), PRUNE_CHUNK, e);
}

/* Numbers have gaps where old rows went, so at most `max_rows` stay: no count of a million rows. */
static int prune_many(struct history *h, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(h->store,
		"DELETE FROM requests WHERE number IN (SELECT number FROM requests"
		" WHERE number <= (SELECT max(number) FROM requests) - ?1 ORDER BY number LIMIT ?2)",
		e);

	return bind_and_run(h->store, st, bounded(h->config->requests_max_rows), PRUNE_CHUNK, e);
}

static int prune_chunk(struct history *h, int64_t now_ms, int64_t *ret_deleted, struct errtext *e)
{
	int error = prune_old(h, now_ms, e);

	if (error)
		return error;
	int64_t deleted = store_changed_rows(h->store);
	error = prune_many(h, e);
	if (!error)
		*ret_deleted = deleted + store_changed_rows(h->store);
	return error;
}

static int prune(struct history *h, bool *ret_more, struct errtext *e)
{
	int64_t deadline = clock_monotonic_ns() + WORK_NS;
	int64_t now_ms = clock_wall_ms();
	int64_t total = 0;
	int64_t deleted = PRUNE_CHUNK;
	int error = 0;

	while (deleted >= PRUNE_CHUNK && !error) {
		if (total >= PRUNE_MAX || clock_monotonic_ns() >= deadline) {
			*ret_more = true;
			break;
		}
		error = prune_chunk(h, now_ms, &deleted, e);
		total += deleted;
	}
	return error;
}

/* Whether there is anything to delete: a look at the ends of two indexes. */
static int is_overfull(struct history *h, bool *ret, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(h->store,
		"SELECT (SELECT min(started_ms) FROM requests),"
		" (SELECT max(number) FROM requests) - (SELECT min(number) FROM requests) + 1",
		e);

	if (!st)
		return -EIO;
	int rc = store_step(h->store, st, e);
	if (rc == 1)
		*ret = sqlite3_column_type(st, 0) != SQLITE_NULL &&
			(sqlite3_column_int64(st, 0) < clock_wall_ms() -
						bounded(h->config->requests_retention_ms) ||
				sqlite3_column_int64(st, 1) >
					bounded(h->config->requests_max_rows));
	sqlite3_reset(st);
	return rc < 0 ? rc : 0;
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

/* Few rows wait for company, so that an idle node does not sync its disk all the time. */
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
	"id, started_ms, tenant_id, key_id, account_id, egress_id, upstream_id, ttfb_ms,"          \
	" duration_ms, status, retries, bytes_in, bytes_out, termination, code, label"

/* The rest of `out` is zero already. */
static void copy_column(sqlite3_stmt *st, int column, void *out, size_t size)
{
	struct slice s = slice_cut(store_column(st, column), size);

	memcpy(out, s.p, s.n);
}

static void read_row(sqlite3_stmt *st, struct board_request *ret)
{
	*ret = (struct board_request){
		.started_ms = sqlite3_column_int64(st, 1),
		.tenant = (uint32_t)sqlite3_column_int64(st, 2),
		.key = (uint32_t)sqlite3_column_int64(st, 3),
		.account = (uint32_t)sqlite3_column_int64(st, 4),
		.egress = (uint32_t)sqlite3_column_int64(st, 5),
		.upstream = (uint32_t)sqlite3_column_int64(st, 6),
		.ttfb_ms = sqlite3_column_int(st, 7),
		.duration_ms = sqlite3_column_int(st, 8),
		.status = (uint16_t)sqlite3_column_int(st, 9),
		.retries = (uint16_t)sqlite3_column_int(st, 10),
		.bytes_in = (uint64_t)sqlite3_column_int64(st, 11),
		.bytes_out = (uint64_t)sqlite3_column_int64(st, 12),
	};
	copy_column(st, 0, ret->id, sizeof(ret->id));
	copy_column(st, 13, ret->termination, sizeof(ret->termination));
	copy_column(st, 14, ret->code, sizeof(ret->code) - 1);
	copy_column(st, 15, ret->label, sizeof(ret->label) - 1);
}

int history_each(struct store *s, uint32_t tenant, size_t max, history_row_fn *fn, void *context,
	struct errtext *e)
{
	struct board_request row;
	int rc;
	sqlite3_stmt *st = store_statement(s,
		tenant ? "SELECT " COLUMNS " FROM requests WHERE tenant_id = ?2"
			 " ORDER BY number DESC LIMIT ?1"
		       : "SELECT " COLUMNS " FROM requests ORDER BY number DESC LIMIT ?1",
		e);

	if (!st)
		return -EIO;
	sqlite3_bind_int64(st, 1, (int64_t)max);
	if (tenant)
		sqlite3_bind_int64(st, 2, tenant);
	while ((rc = store_step(s, st, e)) == 1) {
		read_row(st, &row);
		fn(context, &row);
	}
	return rc;
}

int history_find(
	struct store *s, const uint8_t id[16], struct board_request *ret, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(s,
		"SELECT " COLUMNS " FROM requests WHERE id = ?1 ORDER BY number DESC LIMIT 1", e);

	if (!st)
		return -EIO;
	sqlite3_bind_blob(st, 1, id, 16, SQLITE_TRANSIENT);
	int rc = store_step(s, st, e);
	if (rc == 1)
		read_row(st, ret);
	sqlite3_reset(st);
	return rc;
}
