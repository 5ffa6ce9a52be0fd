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

static void an_outage_of_an_account_is_counted_when_it_ends(void **state)
{
	int fd;
	struct board *b = new_board(&fd);
	struct board_account *a = board_account(b, 7);

	(void)state;
	board_time_outage(b, a, 1000);
	assert_int_equal(board_get(&a->out_since_ms), 0);
	board_set(&a->standing, BOARD_STANDING_OPEN);
	board_time_outage(b, a, 2000);
	/* another reason to be out is the same outage */
	board_set(&a->standing, BOARD_STANDING_WINDOW);
	board_time_outage(b, a, 5000);
	assert_int_equal(board_get(&a->out_since_ms), 2000);
	assert_int_equal(bucket_of(&b->recovery), BOARD_DECISION_BUCKETS);
	board_set(&a->standing, BOARD_STANDING_USABLE);
	board_time_outage(b, a, 7001);
	board_time_outage(b, a, 9000);
	assert_int_equal(bucket_of(&b->recovery), 2); /* above 5 s */
	assert_int_equal(board_get(&b->recovery.buckets[2]), 1);
	assert_int_equal(board_get(&b->recovery.sum_us), 5001000);
	free_board(b, fd);
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
	b->layout++;
	assert_null(board_map(fd, false, &e));
	assert_non_null(strstr(e.text, "another version"));
	b->layout--;
	b->magic[0] ^= 1;
	assert_null(board_map(fd, false, &e));
	free_board(b, fd);
	assert_null(board_map(-1, false, &e));
}

/* --- reasons and bans --- */

static void reasons_come_back_as_they_were_put(void **state)
{
	struct board_why put = {.id = {9, 8, 7},
		.decided_ms = 1,
		.tenant = 2,
		.key = 3,
		.pool = 4,
		.account = 5,
		.action = BOARD_ACTION_WAITED,
		.refusal = 1,
		.shadow = 1,
		.limit_count = BOARD_LIMITS,
		.candidate_count = BOARD_CANDIDATES,
		.member_count = 1000,
		.conversation = UINT64_MAX};
	struct board_why got = {0};
	struct errtext e;
	int fd;
	struct board *b = new_board(&fd);
	struct board *reader = board_map(fd, false, &e);
	size_t skip = offsetof(struct board_why, id);

	(void)state;
	assert_non_null(reader);
	put.limits[BOARD_LIMITS - 1].used = 6;
	put.candidates[BOARD_CANDIDATES - 1].account = 7;
	board_put_why(b, &put);
	assert_int_equal(board_read_why(reader, 0, &got), 0);
	assert_memory_equal((char *)&got + skip, (const char *)&put + skip, sizeof(put) - skip);
	board_unmap(reader);
	free_board(b, fd);
}

static void the_oldest_reasons_go_when_their_ring_is_full(void **state)
{
	struct board_why got;
	int fd;
	struct board *b = new_board(&fd);

	(void)state;
	assert_int_equal(board_read_why(b, 0, &got), -EAGAIN);
	for (uint32_t i = 0; i <= BOARD_WHYS; i++)
		board_put_why(b, &(struct board_why){.tenant = i});
	assert_int_equal(board_read_why(b, 0, &got), -ENOENT);
	for (uint32_t i = 1; i <= BOARD_WHYS; i++) {
		assert_int_equal(board_read_why(b, i, &got), 0);
		assert_int_equal(got.tenant, i);
	}
	assert_int_equal(board_read_why(b, BOARD_WHYS + 1, &got), -EAGAIN);
	free_board(b, fd);
}

static void the_oldest_bans_go_when_their_ring_is_full(void **state)
{
	struct board_ban got;
	int fd;
	struct board *b = new_board(&fd);

	(void)state;
	assert_int_equal(board_read_ban(b, 0, &got), -EAGAIN);
	for (uint32_t i = 0; i <= BOARD_BANS; i++)
		board_put_ban(b, &(struct board_ban){.bad_keys = i, .expires_ms = -(int64_t)i});
	assert_int_equal(board_read_ban(b, 0, &got), -ENOENT);
	for (uint32_t i = 1; i <= BOARD_BANS; i++) {
		assert_int_equal(board_read_ban(b, i, &got), 0);
		assert_int_equal(got.bad_keys, i);
		assert_true(got.expires_ms == -(int64_t)i);
	}
	assert_int_equal(board_read_ban(b, BOARD_BANS + 1, &got), -EAGAIN);
	free_board(b, fd);
}

static void reasons_and_bans_that_are_being_written_are_not_read(void **state)
{
	struct board_why why = {.tenant = 99};
	struct board_ban ban = {.bad_keys = 99};
	int fd;
	struct board *b = new_board(&fd);

	(void)state;
	board_put_why(b, &(struct board_why){.tenant = 1});
	board_put_ban(b, &(struct board_ban){.bad_keys = 1});
	atomic_store(&b->whys[0].sequence, 0);
	atomic_store(&b->bans[0].sequence, 0);
	assert_int_equal(board_read_why(b, 0, &why), -ENOENT);
	assert_int_equal(board_read_ban(b, 0, &ban), -ENOENT);
	assert_int_equal(why.tenant, 99);
	assert_int_equal(ban.bad_keys, 99);
	free_board(b, fd);
}

/* A new ban must not change the numbers of requests or reasons: readers keep a mark for each. */
static void the_rings_count_apart(void **state)
{
	int fd;
	struct board *b = new_board(&fd);

	(void)state;
	board_put_why(b, &(struct board_why){0});
	board_put_why(b, &(struct board_why){0});
	board_put_ban(b, &(struct board_ban){0});
	assert_int_equal(atomic_load(&b->written), 0);
	assert_int_equal(atomic_load(&b->whys_written), 2);
	assert_int_equal(atomic_load(&b->bans_written), 1);
	free_board(b, fd);
}

static void every_reason_has_its_own_text(void **state)
{
	(void)state;
	assert_null(board_reason_text(BOARD_REASON_NONE));
	for (int i = 1; i < BOARD_REASON_COUNT; i++) {
		assert_non_null(board_reason_text((enum board_reason)i));
		for (int k = 1; k < i; k++)
			assert_string_not_equal(board_reason_text((enum board_reason)i),
				board_reason_text((enum board_reason)k));
	}
}

static void evidence_and_verdicts_have_names(void **state)
{
	(void)state;
	assert_string_equal(board_evidence_name((enum board_evidence)RESULT_DENIED), "denied");
	assert_string_equal(board_evidence_name(BOARD_EVIDENCE_UNSEEN), "unseen");
	assert_string_equal(board_evidence_name(BOARD_EVIDENCE_BROKEN), "broken");
	for (int i = 0; i < BOARD_VERDICT_COUNT; i++) {
		assert_non_null(board_verdict_name((enum board_verdict)i));
		assert_non_null(board_verdict_text((enum board_verdict)i));
	}
}

static void a_row_is_found_only_after_the_writer_has_made_it(void **state)
{
	int fd;
	struct board *b = new_board(&fd);

	(void)state;
	assert_null(board_find_tenant(b, 7));
	assert_null(board_find_account(b, 7));
	const struct board_tenant *tenant = board_tenant(b, 7);
	const struct board_account *account = board_account(b, 7);
	assert_non_null(tenant);
	assert_non_null(account);
	assert_ptr_equal(board_find_tenant(b, 7), tenant);
	assert_ptr_equal(board_find_account(b, 7), account);
	assert_null(board_find_tenant(b, 7 + BOARD_ROWS));
	free_board(b, fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_decision_counts_at_the_bound_and_not_above),
		cmocka_unit_test(an_upstream_time_counts_at_the_bound_and_not_above),
		cmocka_unit_test(an_outage_of_an_account_is_counted_when_it_ends),
		cmocka_unit_test(the_reader_sees_what_the_writer_put),
		cmocka_unit_test(a_row_that_is_being_written_is_not_read),
		cmocka_unit_test(the_oldest_goes_when_the_ring_is_full),
		cmocka_unit_test(each_kind_of_row_has_its_own_places),
		cmocka_unit_test(counts_outlive_the_mapping_of_one_writer),
		cmocka_unit_test(the_block_cannot_be_cut_below_its_readers),
		cmocka_unit_test(another_format_is_refused),
		cmocka_unit_test(reasons_come_back_as_they_were_put),
		cmocka_unit_test(the_oldest_reasons_go_when_their_ring_is_full),
		cmocka_unit_test(the_oldest_bans_go_when_their_ring_is_full),
		cmocka_unit_test(reasons_and_bans_that_are_being_written_are_not_read),
		cmocka_unit_test(the_rings_count_apart),
		cmocka_unit_test(every_reason_has_its_own_text),
		cmocka_unit_test(evidence_and_verdicts_have_names),
		cmocka_unit_test(a_row_is_found_only_after_the_writer_has_made_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
