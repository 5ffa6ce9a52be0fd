#include "admin/store/history.h"

#include "admin/store/boardmark.h"
#include "admin/store/keyuse.h"
#include "admin/store/resources.h"
#include "admin/store/sql.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/provider.h"

#include <errno.h>

#define SETTING "requests_taken"
#define BASE_SETTING "requests_base"
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

/* The agent's number is not trusted. */
static const char *provider_name(uint8_t place)
{
	const struct provider *p = provider_from_number(place);

	return p ? p->name : "";
}

static int insert(
	struct store *s, uint64_t number, const struct board_request *q, struct errtext *e)
{
	struct slice id = {(const char *)q->id, sizeof(q->id)};
	struct slice termination = fixed_text(q->termination, sizeof(q->termination));
	struct slice code = fixed_text(q->code, sizeof(q->code));
	struct slice label = fixed_text(q->label, sizeof(q->label));
	struct slice answer = fixed_text(q->answer, sizeof(q->answer));
	struct slice method = fixed_text(q->method, sizeof(q->method));
	struct slice path = fixed_text(q->path, sizeof(q->path));
	struct slice region = fixed_text(q->region, sizeof(q->region));
	size_t failed = q->attempt_count < BOARD_ATTEMPTS ? q->attempt_count : BOARD_ATTEMPTS;
	struct slice attempts = {
		(const char *)q->attempts, q->tries > 1 ? failed * sizeof(q->attempts[0]) : 0};

	return sql_run(s, e,
		"INSERT INTO requests (number, id, started_ms, tenant_id, key_id, account_id,"
		" egress_id, upstream_id, ttfb_ms, duration_ms, status, retries, bytes_in, bytes_out,"
		" termination, code, label, method, path, provider, region, pool_id, conversation,"
		" relay_ms, active, circuit, tries, attempts, upstream_request_id)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,"
		" ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29)",
		"ibiiiiiiiiiiiisssssts"
		"iiiiiibs",
		(int64_t)number, &id, (int64_t)q->started_ms, (int64_t)q->tenant, (int64_t)q->key,
		(int64_t)q->account, (int64_t)q->egress, (int64_t)q->upstream, (int64_t)q->ttfb_ms,
		(int64_t)q->duration_ms, (int64_t)q->status, (int64_t)q->retries,
		(int64_t)q->bytes_in, (int64_t)q->bytes_out, &termination, &code, &label, &method,
		&path, provider_name(q->provider), &region, (int64_t)q->pool,
		(int64_t)q->conversation, (int64_t)q->relay_ms, (int64_t)q->active,
		(int64_t)q->circuit, (int64_t)q->tries, &attempts, &answer);
}

struct move {
	uint64_t base; /* the request at place n of the ring has the number base + n */
	uint64_t taken;
	uint64_t written;
	uint64_t lost;
};

int history_taken(struct store *s, const struct board *b, uint64_t *ret, struct errtext *e)
{
	return boardmark_get(s, SETTING, b, ret, e);
}

/* Numbers go on where those of the board before ended; the first row of a board decides. */
int history_base(
	struct store *s, const struct board *b, uint64_t taken, uint64_t *ret, struct errtext *e)
{
	int64_t newest = 0;
	int error = boardmark_get(s, BASE_SETTING, b, ret, e);

	if (error || *ret)
		return error;
	error = sql_number(
		s, e, &newest, "SELECT coalesce(max(number), 0) AS newest FROM requests", "");
	uint64_t next = (uint64_t)(newest < 0 ? 0 : newest) + 1;
	*ret = next > taken ? next - taken : 1;
	return error;
}

static int move_begin(const struct history *h, struct move *m, struct errtext *e)
{
	*m = (struct move){
		.written = atomic_load_explicit(&h->board->written, memory_order_acquire)};
	int error = history_taken(h->store, h->board, &m->taken, e);
	return error ? error : history_base(h->store, h->board, m->taken, &m->base, e);
}

static bool is_due(int64_t deadline_ns, size_t n)
{
	return n % CLOCK_ROWS == 0 && clock_monotonic_ns() >= deadline_ns;
}

/* A request that belongs to no tenant is counted by the metrics alone. */
static int keep(
	struct history *h, uint64_t number, const struct board_request *q, struct errtext *e)
{
	if (!q->tenant)
		return 0;
	int error = insert(h->store, number, q, e);
	if (!error)
		error = keyuse_note(h->store, q->key, q->started_ms, e);
	if (!error)
		error = resources_note(h->store, q, &h->resources_changed, e);
	if (!error && tally_add(&h->tally, q->tenant, 1))
		error = errtext_set(e, -ENOMEM, "requests: out of memory");
	return error;
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
			error = keep(h, m->base + m->taken, &q, e);
		m->taken++;
		if (is_due(deadline, n))
			break;
	}
	if (!error)
		error = boardmark_put(h->store, BASE_SETTING, h->board, m->base, e);
	return error ? error : boardmark_put(h->store, SETTING, h->board, m->taken, e);
}

/* --- pruning --- */

/*
 * By age from the oldest end on, since numbers rise with the end of requests: the age needs no index, and a
 * row stays until those that ended before it may go. A start in the future was written under a wrong clock,
 * or the clock is wrong now: such a row goes when one that ended after it is too old.
 * By number per tenant: who has the most loses the oldest, so that nobody's requests drive out another's.
 */
struct prune {
	int64_t oldest_ms;
	int64_t newest_ms;
	uint64_t max_rows;
	int64_t deadline_ns;
	uint64_t deleted; /* in this step */
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
		.max_rows = h->config->requests_max_rows,
	};
}

static int count_deleted(struct row *row, void *context)
{
	struct history *h = context;

	/* a row that the tally does not have cannot be: it needs no memory */
	tally_add(&h->tally, row_u32(row, "tenant_id"), -1);
	return 0;
}

static int prune_old(struct history *h, const struct prune *p, struct errtext *e)
{
	return sql_each(h->store, e, count_deleted, h,
		"WITH chunk AS (SELECT number, started_ms FROM requests ORDER BY number LIMIT ?1)"
		" DELETE FROM requests WHERE number <= (SELECT max(number) FROM chunk)"
		" AND (started_ms < ?2 OR (started_ms > ?3 AND number <"
		" (SELECT max(number) FROM chunk WHERE started_ms < ?2))) RETURNING tenant_id",
		"iii", (int64_t)PRUNE_CHUNK, p->oldest_ms, p->newest_ms);
}

static int prune_tenant(
	struct history *h, struct prune *p, uint32_t tenant, uint64_t excess, struct errtext *e)
{
	uint64_t n = excess < PRUNE_CHUNK ? excess : PRUNE_CHUNK;
	int error = sql_run(h->store, e,
		"DELETE FROM requests WHERE number IN"
		" (SELECT number FROM requests WHERE tenant_id = ?1 ORDER BY number LIMIT ?2)",
		"ii", (int64_t)tenant, (int64_t)n);

	if (error)
		return error;
	int64_t deleted = store_changed_rows(h->store);
	p->deleted += (uint64_t)deleted;
	/* without a row there is nothing to delete: the tally was wrong */
	tally_add(&h->tally, tenant, deleted ? -deleted : -(int64_t)excess);
	return 0;
}

static bool has_time(const struct prune *p)
{
	return p->deleted < PRUNE_MAX && clock_monotonic_ns() < p->deadline_ns;
}

/* Rows of earlier versions that belong to no tenant. */
static int prune_nobody(struct history *h, struct prune *p, struct errtext *e)
{
	int error = 0;

	while (h->tally.nobody && has_time(p) && !error)
		error = prune_tenant(h, p, 0, h->tally.nobody, e);
	return error;
}

/* Goes on with the tenants where the last step stopped: each of them loses at times. */
static int prune_excess(struct history *h, struct prune *p, struct errtext *e)
{
	const struct tally *t = &h->tally;
	uint32_t level = tally_level(t, p->max_rows);
	int error = 0;

	for (size_t i = 0; i < t->size && t->total > p->max_rows && !error; i++) {
		const struct tally_row *row = &t->rows[h->turn++ & (t->size - 1)];
		while (row->rows > level && t->total > p->max_rows && has_time(p) && !error) {
			uint64_t excess = row->rows - level;
			uint64_t all = t->total - p->max_rows;
			error = prune_tenant(h, p, row->tenant, excess < all ? excess : all, e);
		}
		if (!has_time(p))
			break;
	}
	return error;
}

static int read_oldest(struct row *row, void *context)
{
	*(int64_t *)context = row_number(row, "started_ms");
	return 0;
}

/* Whether the oldest row is too old; those of the future go with the ones behind them. */
static int is_outdated(struct history *h, const struct prune *p, bool *ret, struct errtext *e)
{
	int64_t started_ms = 0;
	int error = sql_one(h->store, e, read_oldest, &started_ms,
		"SELECT started_ms FROM requests WHERE started_ms <= ?1 ORDER BY number LIMIT 1",
		"i", p->newest_ms);

	*ret = !error && started_ms < p->oldest_ms;
	return error == -ENOENT ? 0 : error;
}

static int prune_ages(struct history *h, struct prune *p, struct errtext *e)
{
	uint64_t before = h->tally.total + PRUNE_CHUNK;
	int error = 0;

	while (before - h->tally.total >= PRUNE_CHUNK && has_time(p) && !error) {
		before = h->tally.total;
		error = prune_old(h, p, e);
		p->deleted += before - h->tally.total;
	}
	return error;
}

static bool is_overfull(const struct history *h, const struct prune *p)
{
	return h->tally.nobody || h->tally.total > p->max_rows;
}

static int prune(struct history *h, struct prune *p, bool *ret_more, struct errtext *e)
{
	p->deadline_ns = clock_monotonic_ns() + WORK_NS;
	int error = prune_ages(h, p, e);
	if (!error)
		error = prune_nobody(h, p, e);
	if (!error && is_overfull(h, p))
		error = prune_excess(h, p, e);
	*ret_more |= !has_time(p);
	return error;
}

/* --- steps --- */

static int count_rows(struct row *row, void *context)
{
	struct history *h = context;

	return tally_add(&h->tally, row_u32(row, "tenant_id"), row_number(row, "n"));
}

/* At the start, and after a transaction that was taken back. */
static int count_all(struct history *h, struct errtext *e)
{
	if (h->counted)
		return 0;
	tally_fini(&h->tally);
	int error = sql_each(h->store, e, count_rows, h,
		"SELECT tenant_id, count(*) AS n FROM requests GROUP BY tenant_id", "");
	h->counted = !error;
	return error;
}

static int run_step(
	struct history *h, struct move *m, struct prune *p, bool *ret_more, struct errtext *e)
{
	int error = move_rows(h, m, e);

	*ret_more = m->taken < m->written;
	return error ? error : prune(h, p, ret_more, e);
}

/* Whether there is something to move or to delete. */
static int is_wanted(struct history *h, const struct move *m, const struct prune *p, bool *ret,
	struct errtext *e)
{
	int error = count_all(h, e);

	*ret = m->taken < m->written || is_overfull(h, p);
	return error || *ret ? error : is_outdated(h, p, ret, e);
}

int history_step(struct history *h, bool *ret_more, struct errtext *e)
{
	struct prune p = prune_of(h);
	struct move m;
	bool wanted = false;
	int error = move_begin(h, &m, e);

	*ret_more = false;
	if (!error)
		error = is_wanted(h, &m, &p, &wanted, e);
	if (error || !wanted)
		return error;
	error = store_begin(h->store, e);
	if (error)
		return error;
	error = run_step(h, &m, &p, ret_more, e);
	if (error)
		store_rollback(h->store);
	else
		error = store_commit(h->store, e);
	if (error)
		h->counted = false;
	else
		h->unsaved += m.lost;
	return error;
}

void history_fini(struct history *h)
{
	tally_fini(&h->tally);
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

/* A change of many parts (store.h) would begin again; it has time while the ring has room. */
static bool lets_aside_end(struct history *h)
{
	struct move m;

	return store_has_aside(h->store) && !move_begin(h, &m, NULL) && m.taken <= m.written &&
		m.written - m.taken < BOARD_REQUESTS / 4;
}

/* A few rows wait for more, so that an idle node does not sync its disk all the time. */
static bool may_wait(struct history *h)
{
	struct move m;

	if (lets_aside_end(h))
		return true;
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
	set_failed(h, error != 0, &e);
}

uint64_t history_waiting(const struct history *h)
{
	struct board_request q;
	struct move m;
	uint64_t n = 0;

	/* a store that cannot be read has none of them, as far as anybody knows */
	if (move_begin(h, &m, NULL))
		m.taken = 0;
	if (m.written > m.taken && m.written - m.taken > BOARD_REQUESTS) {
		n = m.written - m.taken - BOARD_REQUESTS;
		m.taken += n;
	}
	for (; m.taken < m.written; m.taken++)
		n += board_read_request(h->board, m.taken, &q) != 0 || q.tenant != 0;
	return n;
}
