#include "common/board.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct board *new_board(int *ret_fd)
{
	struct errtext e;
	int fd = board_create();

	assert_true(fd >= 0);
	struct board *b = board_map(fd, true, &e);
	assert_non_null(b);
	*ret_fd = fd;
	return b;
}

static void free_board(struct board *b, int fd)
{
	board_unmap(b);
	close(fd);
}

static size_t bucket_of(const struct board_histogram *h)
{
	size_t found = BOARD_DECISION_BUCKETS;

	for (size_t i = 0; i < BOARD_DECISION_BUCKETS; i++) {
		if (board_get(&h->buckets[i])) {
			assert_int_equal(found, BOARD_DECISION_BUCKETS);
			found = i;
		}
	}
	return found;
}

static size_t decision_bucket(struct board *b, uint64_t ns)
{
	memset(&b->decision, 0, sizeof(b->decision));
	board_observe_decision(b, ns);
	assert_int_equal(board_get(&b->decision.sum_us), ns / 1000);
	return bucket_of(&b->decision);
}

static void a_decision_counts_at_the_bound_and_not_above(void **state)
{
	int fd;
	struct board *b = new_board(&fd);

	(void)state;
	assert_int_equal(decision_bucket(b, 0), 0);
	for (size_t i = 0; i + 1 < BOARD_DECISION_BUCKETS; i++) {
		uint64_t bound_ns = (uint64_t)1000 << i;
		assert_int_equal(decision_bucket(b, bound_ns), i);
		assert_int_equal(decision_bucket(b, bound_ns + 1), i + 1);
	}
	assert_int_equal(decision_bucket(b, UINT64_MAX), BOARD_DECISION_BUCKETS - 1);
	free_board(b, fd);
}

static void an_upstream_time_counts_at_the_bound_and_not_above(void **state)
{
	(void)state;
	for (size_t i = 0; i + 1 < BOARD_UPSTREAM_BUCKETS; i++) {
		struct board_histogram at = {0};
		struct board_histogram above = {0};
		/* bounds are seconds with a whole number of milliseconds */
		uint64_t ms = (uint64_t)(board_upstream_bounds[i] * 1000 + 0.5);
		board_observe_upstream(&at, ms);
		board_observe_upstream(&above, ms + 1);
		assert_int_equal(bucket_of(&at), i);
		assert_int_equal(bucket_of(&above), i + 1);
		assert_int_equal(board_get(&at.sum_us), ms * 1000);
	}
}

static void the_reader_sees_what_the_writer_put(void **state)
{
	const struct board_request put = {.id = {1, 2, 3},
		.started_ms = -5,
		.tenant = 1,
		.key = 2,
		.account = 3,
		.egress = 4,
		.upstream = 5,
		.ttfb_ms = -1,
		.duration_ms = 7,
		.status = 429,
		.retries = 2,
		.bytes_in = UINT64_MAX,
		.bytes_out = 8,
		.termination = "--",
		.code = "rate_limited",
		.label = "client"};
	struct board_request got = {0};
	struct errtext e;
	int fd;
	struct board *b = new_board(&fd);
	struct board *reader = board_map(fd, false, &e);
	size_t skip = offsetof(struct board_request, id);

	(void)state;
	assert_non_null(reader);
	board_put_request(b, &put);
	assert_int_equal(board_read_request(reader, 0, &got), 0);
	assert_int_equal(atomic_load(&got.sequence), 1);
	assert_memory_equal((char *)&got + skip, (const char *)&put + skip, sizeof(put) - skip);
	board_unmap(reader);
	free_board(b, fd);
}

static void a_row_that_is_being_written_is_not_read(void **state)
{
	struct board_request row = {.tenant = 1};
	struct board_request got = {.tenant = 99};
	int fd;
	struct board *b = new_board(&fd);

	(void)state;
	board_put_request(b, &row);
	atomic_store(&b->requests[0].sequence, 0);
	assert_int_equal(board_read_request(b, 0, &got), -ENOENT);
	assert_int_equal(got.tenant, 99);
	free_board(b, fd);
}

static void the_oldest_goes_when_the_ring_is_full(void **state)
{
	struct board_request got;
	int fd;
	struct board *b = new_board(&fd);

	(void)state;
	for (uint32_t i = 0; i < BOARD_REQUESTS; i++)
		board_put_request(b, &(struct board_request){.tenant = i});
	assert_int_equal(board_read_request(b, 0, &got), 0);
	assert_int_equal(board_read_request(b, BOARD_REQUESTS, &got), -EAGAIN);
	board_put_request(b, &(struct board_request){.tenant = BOARD_REQUESTS});
	assert_int_equal(board_read_request(b, 0, &got), -ENOENT);
	assert_int_equal(board_read_request(b, 1, &got), 0);
	assert_int_equal(got.tenant, 1);
	assert_int_equal(board_read_request(b, BOARD_REQUESTS, &got), 0);
	assert_int_equal(got.tenant, BOARD_REQUESTS);
	assert_int_equal(board_read_request(b, UINT64_MAX, &got), -EAGAIN);
	free_board(b, fd);
}

static void each_kind_of_row_has_its_own_places(void **state)
{
	int fd;
	struct board *b = new_board(&fd);

	(void)state;
	for (uint32_t i = 1; i <= BOARD_ROWS; i++) {
		assert_non_null(board_account(b, i << 12));
		assert_non_null(board_upstream(b, UINT32_MAX - i));
	}
	assert_null(board_account(b, 1));
	assert_null(board_upstream(b, 1));
	assert_non_null(board_tenant(b, 1));
	assert_int_equal(board_get(&b->counters[BOARD_BOARD_FULL]), 2);
	for (uint32_t i = 1; i <= BOARD_ROWS; i++)
		assert_int_equal(atomic_load(&board_account(b, i << 12)->id), i << 12);
	assert_null(board_account(b, 0));
	assert_null(board_upstream(b, 0));
	assert_int_equal(board_get(&b->counters[BOARD_BOARD_FULL]), 2);
	free_board(b, fd);
}

static void counts_outlive_the_mapping_of_one_writer(void **state)
{
	struct errtext e;
	int fd;
	struct board *b = new_board(&fd);

	(void)state;
	board_add(&b->counters[BOARD_ALLOWED], 5);
	board_unmap(b);
	b = board_map(fd, true, &e);
	assert_non_null(b);
	board_add(&b->counters[BOARD_ALLOWED], 2);
	assert_int_equal(board_get(&b->counters[BOARD_ALLOWED]), 7);
	free_board(b, fd);
	board_unmap(NULL);
}

static void the_block_cannot_be_cut_below_its_readers(void **state)
{
	int fd;
	struct board *b = new_board(&fd);

	(void)state;
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, sizeof(struct board) + 1), -1);
	free_board(b, fd);
}

static void another_format_is_refused(void **state)
{
	struct errtext e = {""};
	int fd;
	struct board *b = new_board(&fd);

	(void)state;
	b->format++;
	assert_null(board_map(fd, false, &e));
	assert_non_null(strstr(e.text, "another version"));
	b->format--;
	b->magic[0] ^= 1;
	assert_null(board_map(fd, false, &e));
	free_board(b, fd);
	assert_null(board_map(-1, false, &e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_decision_counts_at_the_bound_and_not_above),
		cmocka_unit_test(an_upstream_time_counts_at_the_bound_and_not_above),
		cmocka_unit_test(the_reader_sees_what_the_writer_put),
		cmocka_unit_test(a_row_that_is_being_written_is_not_read),
		cmocka_unit_test(the_oldest_goes_when_the_ring_is_full),
		cmocka_unit_test(each_kind_of_row_has_its_own_places),
		cmocka_unit_test(counts_outlive_the_mapping_of_one_writer),
		cmocka_unit_test(the_block_cannot_be_cut_below_its_readers),
		cmocka_unit_test(another_format_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
