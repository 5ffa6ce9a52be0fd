#include "common/board.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "RLYBOARD"

static_assert((BOARD_REQUESTS & (BOARD_REQUESTS - 1)) == 0, "the ring wraps by a mask");
static_assert((BOARD_ROWS & (BOARD_ROWS - 1)) == 0, "rows wrap by a mask");
static_assert(BOARD_UPSTREAM_BUCKETS <= BOARD_DECISION_BUCKETS, "one histogram serves both");

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
	b->format = BOARD_FORMAT;
	b->size = sizeof(*b);
	munmap(b, sizeof(*b));
	return fd;
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
	if (memcmp(b->magic, MAGIC, sizeof(b->magic)) != 0 || b->format != BOARD_FORMAT) {
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

/*
 * Rows of all kinds begin with their id. Open addressing without deletion: operators make few and
 * delete fewer; a full table is counted and costs a label, nothing else.
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

struct board_upstream *board_upstream(struct board *b, uint32_t id)
{
	return id ? find_row(b, b->upstreams, sizeof(b->upstreams[0]), id) : NULL;
}

/* All but the sequence, which says when the rest may be read. */
static void copy_row(struct board_request *to, const struct board_request *from)
{
	size_t skip = offsetof(struct board_request, id);

	memcpy((char *)to + skip, (const char *)from + skip, sizeof(*to) - skip);
}

void board_put_request(struct board *b, const struct board_request *r)
{
	uint64_t n = atomic_load_explicit(&b->written, memory_order_relaxed);
	struct board_request *row = &b->requests[n & (BOARD_REQUESTS - 1)];

	atomic_store_explicit(&row->sequence, 0, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	copy_row(row, r);
	atomic_store_explicit(&row->sequence, n + 1, memory_order_release);
	atomic_store_explicit(&b->written, n + 1, memory_order_release);
}

int board_read_request(const struct board *b, uint64_t n, struct board_request *ret)
{
	const struct board_request *row = &b->requests[n & (BOARD_REQUESTS - 1)];

	if (n >= atomic_load_explicit(&b->written, memory_order_acquire))
		return -EAGAIN;
	if (atomic_load_explicit(&row->sequence, memory_order_acquire) != n + 1)
		return -ENOENT;
	copy_row(ret, row);
	atomic_thread_fence(memory_order_acquire);
	if (atomic_load_explicit(&row->sequence, memory_order_relaxed) != n + 1)
		return -ENOENT;
	atomic_store_explicit(&ret->sequence, n + 1, memory_order_relaxed);
	return 0;
}
