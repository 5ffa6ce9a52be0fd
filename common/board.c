#include "common/board.h"

#include "common/clock.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "RLYBOARD"
#define LEASES_UNKNOWN UINT64_MAX

static_assert((BOARD_REQUESTS & (BOARD_REQUESTS - 1)) == 0, "the ring wraps by a mask");
static_assert((BOARD_WHYS & (BOARD_WHYS - 1)) == 0, "the ring wraps by a mask");
static_assert((BOARD_BANS & (BOARD_BANS - 1)) == 0, "the ring wraps by a mask");
static_assert((BOARD_ROWS & (BOARD_ROWS - 1)) == 0, "rows wrap by a mask");
static_assert(BOARD_UPSTREAM_BUCKETS <= BOARD_DECISION_BUCKETS, "one histogram serves all");
static_assert(BOARD_RECOVERY_BUCKETS <= BOARD_DECISION_BUCKETS, "one histogram serves all");

const double board_upstream_bounds[BOARD_UPSTREAM_BUCKETS - 1] = {
	0.01,
	0.05,
	0.1,
	0.25,
	0.5,
	1,
	2.5,
	5,
	10,
	30,
	60,
	300,
};

const double board_recovery_bounds[BOARD_RECOVERY_BUCKETS - 1] = {
	1,
	5,
	10,
	30,
	60,
	300,
	900,
	3600,
	18000,
	86400,
	604800,
};

static const uint64_t upstream_bounds_ms[BOARD_UPSTREAM_BUCKETS - 1] = {
	10,
	50,
	100,
	250,
	500,
	1000,
	2500,
	5000,
	10000,
	30000,
	60000,
	300000,
};

/*
 * Counters are told apart by their places. A program of another build takes a board over only if all its counters
 * are in the same places.
 */
static uint32_t layout(void)
{
	static const char names[] =
#define M(id, ...) #id ","
#define W(id, ...) #id ","
#define P(id) #id ","
		BOARD_COUNTERS(M, W, P) BOARD_TENANT_METRICS(M) BOARD_ACCOUNT_METRICS(M)
#undef M
#undef W
#undef P
#define X(id, ...) #id ","
			REFUSAL_ROWS(X);
#undef X
	uint32_t hash = 2166136261u ^ BOARD_FORMAT ^ (uint32_t)sizeof(struct board);

	for (size_t i = 0; i < sizeof(names); i++)
		hash = (hash ^ (unsigned char)names[i]) * 16777619u;
	return hash;
}

int board_create(void)
{
	int fd = memfd_create("relay-board", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	struct board *b = MAP_FAILED;
	if (ftruncate(fd, sizeof(*b)) == 0 &&
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		b = mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (b == MAP_FAILED) {
		int error = -errno;
		close(fd);
		return error;
	}
	memcpy(b->magic, MAGIC, sizeof(b->magic));
	b->layout = layout();
	b->size = sizeof(*b);
	b->created_ms = clock_wall_ms();
	board_set(&b->counters[BOARD_LEASES], LEASES_UNKNOWN);
	munmap(b, sizeof(*b));
	return fd;
}

bool board_knows_leases(const struct board *b)
{
	return board_get(&b->counters[BOARD_LEASES]) != LEASES_UNKNOWN;
}

struct board *board_map(int fd, bool writable, struct errtext *e)
{
	struct stat st;
	int protection = PROT_READ | (writable ? PROT_WRITE : 0);

	if (fstat(fd, &st) < 0 || (uint64_t)st.st_size != sizeof(struct board)) {
		errtext_set(e, -EBADMSG, "the board has a wrong size");
		return NULL;
	}
	struct board *b = mmap(NULL, sizeof(*b), protection, MAP_SHARED, fd, 0);
	if (b == MAP_FAILED) {
		errtext_set(e, -errno, "the board cannot be mapped: %s", strerror(errno));
		return NULL;
	}
	if (memcmp(b->magic, MAGIC, sizeof(b->magic)) != 0 || b->layout != layout()) {
		munmap(b, sizeof(*b));
		errtext_set(e, -EBADMSG, "the board is of another version");
		return NULL;
	}
	return b;
}

void board_unmap(struct board *b)
{
	if (b)
		munmap(b, sizeof(*b));
}

void board_observe_decision(struct board *b, uint64_t ns)
{
	size_t i = 0;

	while (i < BOARD_DECISION_BUCKETS - 1 && ns > (uint64_t)1000 << i)
		i++;
	board_add(&b->decision.buckets[i], 1);
	board_add(&b->decision.sum_us, ns / 1000);
}

void board_observe_upstream(struct board_histogram *h, uint64_t ms)
{
	size_t i = 0;

	while (i < BOARD_UPSTREAM_BUCKETS - 1 && ms > upstream_bounds_ms[i])
		i++;
	board_add(&h->buckets[i], 1);
	board_add(&h->sum_us, ms * 1000);
}

void board_time_outage(struct board *b, struct board_account *a, int64_t now_ms)
{
	int64_t since_ms = (int64_t)board_get(&a->out_since_ms);
	bool is_out = board_get(&a->standing) != BOARD_STANDING_USABLE;
	size_t i = 0;

	if (is_out && !since_ms)
		board_set(&a->out_since_ms, (uint64_t)now_ms);
	if (is_out || !since_ms)
		return;
	board_set(&a->out_since_ms, 0);
	uint64_t ms = now_ms > since_ms ? (uint64_t)(now_ms - since_ms) : 0;
	while (i < BOARD_RECOVERY_BUCKETS - 1 && (double)ms > board_recovery_bounds[i] * 1000)
		i++;
	board_add(&b->recovery.buckets[i], 1);
	board_add(&b->recovery.sum_us, ms * 1000);
}

/*
 * Rows of all kinds begin with their id. Open addressing without deletion: operators make few rows and
 * delete fewer. A full table is counted; it only costs a metric label.
 */
static void *find_row(struct board *b, void *rows, size_t row_size, uint32_t id)
{
	uint32_t at = id * 2654435761u;

	for (size_t n = 0; n < BOARD_ROWS; n++, at++) {
		char *row = (char *)rows + (at & (BOARD_ROWS - 1)) * row_size;
		_Atomic uint32_t *row_id = (_Atomic uint32_t *)(void *)row;
		uint32_t found = atomic_load_explicit(row_id, memory_order_relaxed);
		if (found == id)
			return row;
		if (found == 0) {
			atomic_store_explicit(row_id, id, memory_order_release);
			return row;
		}
	}
	board_add(&b->counters[BOARD_BOARD_FULL], 1);
	return NULL;
}

struct board_tenant *board_tenant(struct board *b, uint32_t id)
{
	return id ? find_row(b, b->tenants, sizeof(b->tenants[0]), id) : NULL;
}

struct board_account *board_account(struct board *b, uint32_t id)
{
	return id ? find_row(b, b->accounts, sizeof(b->accounts[0]), id) : NULL;
}

/* Readers probe like the writer; a row never moves. */
static const void *look_up(const void *rows, size_t row_size, uint32_t id)
{
	uint32_t at = id * 2654435761u;

	for (size_t n = 0; id && n < BOARD_ROWS; n++, at++) {
		const char *row = (const char *)rows + (at & (BOARD_ROWS - 1)) * row_size;
		uint32_t found = atomic_load_explicit(
			(const _Atomic uint32_t *)(const void *)row, memory_order_acquire);
		if (found == id)
			return row;
		if (found == 0)
			return NULL;
	}
	return NULL;
}

const struct board_tenant *board_find_tenant(const struct board *b, uint32_t id)
{
	return look_up(b->tenants, sizeof(b->tenants[0]), id);
}

const struct board_account *board_find_account(const struct board *b, uint32_t id)
{
	return look_up(b->accounts, sizeof(b->accounts[0]), id);
}

const struct board_backend *board_find_backend(const struct board *b, uint32_t id)
{
	return look_up(b->backends, sizeof(b->backends[0]), id);
}

struct board_backend *board_backend(struct board *b, uint32_t id)
{
	return id ? find_row(b, b->backends, sizeof(b->backends[0]), id) : NULL;
}

struct board_upstream *board_upstream(struct board *b, uint32_t id)
{
	return id ? find_row(b, b->upstreams, sizeof(b->upstreams[0]), id) : NULL;
}

/*
 * The rings. A row begins with its sequence number, which says when the rest may be read: 0 while it
 * is being written, afterwards the row's number + 1.
 */
struct ring {
	_Atomic uint64_t *written;
	char *rows;
	size_t row_size;
	uint64_t mask;
};

static _Atomic uint64_t *sequence_of(const struct ring *r, uint64_t n)
{
	return (_Atomic uint64_t *)(void *)(r->rows + (size_t)(n & r->mask) * r->row_size);
}

static void ring_put(const struct ring *r, const void *row)
{
	uint64_t n = atomic_load_explicit(r->written, memory_order_relaxed);
	_Atomic uint64_t *sequence = sequence_of(r, n);

	atomic_store_explicit(sequence, 0, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	memcpy((char *)(uintptr_t)sequence + sizeof(*sequence),
		(const char *)row + sizeof(*sequence), r->row_size - sizeof(*sequence));
	atomic_store_explicit(sequence, n + 1, memory_order_release);
	atomic_store_explicit(r->written, n + 1, memory_order_release);
}

static int ring_read(const struct ring *r, uint64_t n, void *ret)
{
	_Atomic uint64_t *sequence = sequence_of(r, n);
	uint64_t found = n + 1;

	if (n >= atomic_load_explicit(r->written, memory_order_acquire))
		return -EAGAIN;
	if (atomic_load_explicit(sequence, memory_order_acquire) != n + 1)
		return -ENOENT;
	memcpy((char *)ret + sizeof(found), (const char *)(uintptr_t)sequence + sizeof(*sequence),
		r->row_size - sizeof(*sequence));
	atomic_thread_fence(memory_order_acquire);
	if (atomic_load_explicit(sequence, memory_order_relaxed) != n + 1)
		return -ENOENT;
	memcpy(ret, &found, sizeof(found));
	return 0;
}

/* The reader's board is mapped read-only: readers never write through these pointers. */
static struct ring request_ring(const struct board *b)
{
	struct board *rw = (struct board *)(uintptr_t)b;

	return (struct ring){
		&rw->written, (char *)rw->requests, sizeof(rw->requests[0]), BOARD_REQUESTS - 1};
}

static struct ring why_ring(const struct board *b)
{
	struct board *rw = (struct board *)(uintptr_t)b;

	return (struct ring){
		&rw->whys_written, (char *)rw->whys, sizeof(rw->whys[0]), BOARD_WHYS - 1};
}

static struct ring ban_ring(const struct board *b)
{
	struct board *rw = (struct board *)(uintptr_t)b;

	return (struct ring){
		&rw->bans_written, (char *)rw->bans, sizeof(rw->bans[0]), BOARD_BANS - 1};
}

void board_put_request(struct board *b, const struct board_request *r)
{
	struct ring ring = request_ring(b);

	ring_put(&ring, r);
}

int board_read_request(const struct board *b, uint64_t n, struct board_request *ret)
{
	struct ring ring = request_ring(b);

	return ring_read(&ring, n, ret);
}

void board_put_why(struct board *b, const struct board_why *w)
{
	struct ring ring = why_ring(b);

	ring_put(&ring, w);
}

int board_read_why(const struct board *b, uint64_t n, struct board_why *ret)
{
	struct ring ring = why_ring(b);

	return ring_read(&ring, n, ret);
}

void board_put_ban(struct board *b, const struct board_ban *ban)
{
	struct ring ring = ban_ring(b);

	ring_put(&ring, ban);
}

int board_read_ban(const struct board *b, uint64_t n, struct board_ban *ret)
{
	struct ring ring = ban_ring(b);

	return ring_read(&ring, n, ret);
}

const char *board_reason_text(enum board_reason r)
{
	static const char *const texts[BOARD_REASON_COUNT] = {
#define X(id, text) [BOARD_REASON_##id] = (text),
		BOARD_REASONS(X)
#undef X
	};

	return texts[r];
}

const char *board_standing_name(enum board_standing s)
{
	static const char *const names[BOARD_STANDING_COUNT] = {
#define X(id, name, text) [BOARD_STANDING_##id] = (name),
		BOARD_STANDINGS(X)
#undef X
	};

	return names[s];
}

const char *board_standing_text(enum board_standing s)
{
	static const char *const texts[BOARD_STANDING_COUNT] = {
#define X(id, name, text) [BOARD_STANDING_##id] = (text),
		BOARD_STANDINGS(X)
#undef X
	};

	return texts[s];
}

/* --- metrics --- */

const struct board_metric board_metrics[BOARD_METRIC_COUNT] = {
#define M(id, type, name, unit, help)                                                              \
	{{name, METRIC_##type, {NULL}, unit, help}, offsetof(struct board, counters[BOARD_##id])},
#define W(id, metric, word)
#define P(id)
	BOARD_COUNTERS(M, W, P)
#undef M
#undef W
#undef P
};

enum word_metric {
#define M(id, type, name, label, unit, help) WORD_##id,
	BOARD_WORD_METRICS(M)
#undef M
};

const struct metric_row board_word_metrics[BOARD_WORD_METRIC_COUNT] = {
#define M(id, type, name, label, unit, help)                                                       \
	[WORD_##id] = {name, METRIC_##type, {label}, unit, help},
	BOARD_WORD_METRICS(M)
#undef M
};

const struct board_word board_words[BOARD_WORD_COUNT] = {
#define M(id, type, name, unit, help)
#define W(id, metric, word) {&board_word_metrics[WORD_##metric], word, BOARD_##id},
#define P(id)
	BOARD_COUNTERS(M, W, P)
#undef M
#undef W
#undef P
};

const struct board_metric board_tenant_metrics[BOARD_TENANT_METRIC_COUNT] = {
#define M(field, type, name, unit, help)                                                           \
	{{name, METRIC_##type, {"tenant"}, unit, help}, offsetof(struct board_tenant, field)},
	BOARD_TENANT_METRICS(M)
#undef M
};

const struct board_metric board_account_metrics[BOARD_ACCOUNT_METRIC_COUNT] = {
#define M(field, type, name, unit, help)                                                           \
	{{name, METRIC_##type, {"account"}, unit, help}, offsetof(struct board_account, field)},
	BOARD_ACCOUNT_METRICS(M)
#undef M
};

const char *board_evidence_name(enum board_evidence e)
{
	if (e == BOARD_EVIDENCE_UNSEEN)
		return "unseen";
	return e == BOARD_EVIDENCE_BROKEN ? "broken" : result_class_name((enum result_class)e);
}

const char *board_verdict_name(enum board_verdict v)
{
	static const char *const names[BOARD_VERDICT_COUNT] = {
#define X(id, name, text) [BOARD_VERDICT_##id] = (name),
		BOARD_VERDICTS(X)
#undef X
	};

	return names[v];
}

const char *board_verdict_text(enum board_verdict v)
{
	static const char *const texts[BOARD_VERDICT_COUNT] = {
#define X(id, name, text) [BOARD_VERDICT_##id] = (text),
		BOARD_VERDICTS(X)
#undef X
	};

	return texts[v];
}
