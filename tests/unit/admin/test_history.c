/* Requests move from the board's ring to the store: once each, listed by name, pruned. */
#include "tests/unit/admin/room.h"

#include "admin/api/recent.h"
#include "common/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define NAMES                                                                                      \
	"INSERT INTO upstreams (name, url, provider, created_ms) VALUES"                           \
	" ('chat', 'https://h', 'openai', 0);"                                                     \
	"INSERT INTO accounts (name, upstream_id, source, created_ms) VALUES"                      \
	" ('a', 1, 'token', 0), ('b', 1, 'token', 0);"                                             \
	"INSERT INTO tenants (name, created_ms) VALUES ('acme', 0), ('zeta', 0)"
#define COUNT "SELECT count(*) FROM requests"

static void put(struct room *r, uint32_t tenant, uint32_t account, uint16_t status)
{
	struct board_request request = {
		.tenant = tenant,
		.account = account,
		.egress = 1,
		.status = status,
		.started_ms = clock_wall_ms(),
	};
	uint64_t n = r->board->written;

	/* like HAProxy's: the time, then what nobody can guess */
	for (int i = 0; i < 6; i++)
		request.id[i] = (uint8_t)(request.started_ms >> (40 - 8 * i));
	n = n * 6364136223846793005u + 1;
	memcpy(request.id + 8, &n, sizeof(n));
	board_put_request(r->board, &request);
}

static void put_many(struct room *r, int n)
{
	for (int i = 0; i < n; i++)
		put(r, 1, 1, (uint16_t)(i % 600));
}

/* Steps until the ring is empty; returns the number of steps. */
static int save(struct room *r)
{
	bool more = true;
	int steps = 0;

	for (; more; steps++) {
		if (history_step(&r->history, &more, &r->e))
			fail_msg("%s", r->e.text);
	}
	return steps;
}

static void every_request_is_saved_once(void **state)
{
	struct room *r = *state;

	put_many(r, 10);
	save(r);
	assert_int_equal(room_number(r, COUNT), 10);
	save(r);
	assert_int_equal(room_number(r, COUNT), 10);
	put_many(r, 5000);
	assert_true(save(r) > 1);
	assert_int_equal(room_number(r, COUNT), 5010);
	assert_int_equal(room_number(r, "SELECT count(DISTINCT id) FROM requests"), 5010);
	assert_int_equal(r->history.unsaved, 0);
	assert_int_equal(room_number(r, "SELECT count(*) FROM settings WHERE name = 'version'"), 0);
}

static void a_row_keeps_all_its_fields(void **state)
{
	struct room *r = *state;
	struct board_request q = {
		.id = {1, 2, 3, [15] = 0xff},
		.started_ms = clock_wall_ms(),
		.tenant = 1,
		.key = 4000000000,
		.account = 3,
		.egress = 4,
		.upstream = 5,
		.ttfb_ms = -1,
		.duration_ms = 2147483647,
		.status = 599,
		.retries = 3,
		.bytes_in = (uint64_t)1 << 40,
		.bytes_out = 7,
		.termination = "cD",
		.label = "caf\xc3\xa9",
		.method = "POST",
		.path = "/v1/responses",
		.region = "eu",
		.provider = 1,
		.pool = 8,
		.conversation = UINT64_MAX - 5,
		.relay_ms = 12,
		.active = 77,
		.circuit = 2,
		.tries = 3,
		.attempt_count = 2,
		.attempts = {{.account = 6, .status = 429, .class = 1, .verdict = 2},
			{.account = 9, .status = 503, .class = 2, .verdict = 1}},
	};
	struct board_request got;

	memset(q.code, 'x', sizeof(q.code)); /* A faulty agent writes no terminator. */
	board_put_request(r->board, &q);
	save(r);
	assert_int_equal(history_find(r->control.store, r->board, q.id, &got, &r->e), 1);
	q.code[sizeof(q.code) - 1] = '\0';
	q.sequence = got.sequence;
	assert_memory_equal(&q, &got, sizeof(q));
	q.id[0] = 9;
	assert_int_equal(history_find(r->control.store, r->board, q.id, &got, &r->e), 0);
}

static void a_restarted_control_continues_where_it_stopped(void **state)
{
	struct room *r = *state;
	struct store *s = NULL;

	put_many(r, 100);
	save(r);
	put_many(r, 50);
	assert_int_equal(store_open(r->url, &s, &r->e), 0);
	struct store *old = r->control.store;
	r->control.store = s;
	save(r);
	assert_int_equal(room_number(r, COUNT), 150);
	r->control.store = old;
	store_close(s);
}

static void a_new_board_is_read_from_its_start(void **state)
{
	struct room *r = *state;

	put_many(r, 20);
	save(r);
	memset(r->board->requests, 0, 20 * sizeof(r->board->requests[0]));
	r->board->written = 0;
	r->board->created_ms += 1;
	put_many(r, 3);
	save(r);
	assert_int_equal(room_number(r, COUNT), 23);
}

static void overwritten_requests_are_counted(void **state)
{
	struct room *r = *state;

	put_many(r, 30);
	save(r);
	put_many(r, BOARD_REQUESTS + 77);
	save(r);
	assert_int_equal(room_number(r, COUNT), BOARD_REQUESTS + 30);
	assert_int_equal(r->history.unsaved, 77);
}

static void a_failing_store_loses_nothing(void **state)
{
	struct room *r = *state;
	bool more;

	put_many(r, 10);
	room_run(r, "ALTER TABLE requests RENAME TO away");
	assert_int_equal(history_step(&r->history, &more, &r->e), -EIO);
	assert_false(history_poll(&r->history));
	assert_true(r->history.failed);
	room_run(r, "ALTER TABLE away RENAME TO requests");
	assert_false(history_poll(&r->history)); /* paused after the error */
	assert_int_equal(room_number(r, COUNT), 0);
	save(r);
	assert_int_equal(room_number(r, COUNT), 10);
}

static void few_rows_wait_for_a_batch(void **state)
{
	struct room *r = *state;

	put(r, 1, 1, 200);
	history_poll(&r->history);
	assert_int_equal(room_number(r, COUNT), 1);
	put(r, 1, 1, 200);
	history_poll(&r->history);
	assert_int_equal(room_number(r, COUNT), 1);
	put_many(r, 3000);
	history_poll(&r->history);
	assert_true(room_number(r, COUNT) > 1);
}

/* --- pruning --- */

static void fill(struct room *r, int n)
{
	char sql[512];

	snprintf(sql, sizeof(sql),
		"WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < %d)"
		" INSERT INTO requests (id, started_ms, tenant_id, key_id, account_id, egress_id,"
		" upstream_id, ttfb_ms, duration_ms, status, retries, bytes_in, bytes_out,"
		" termination, code, label)"
		" SELECT CAST(char(1) || printf('%%011x', unixepoch() * 1000 - (%d - i))"
		" || substr(hex(randomblob(2)), 1, 4) AS BLOB), unixepoch() * 1000 - (%d - i), 1 + i %% 20, i %% 50, 1, 1, 1,"
		" 100, 2000, 200, 0, 5000, 9000, '--', '', '' FROM c",
		n, n, n);
	room_run(r, sql);
}

static void the_oldest_rows_beyond_the_limit_are_deleted(void **state)
{
	struct room *r = *state;

	fill(r, 1000);
	r->control.config.requests_max_rows = 300;
	save(r);
	assert_int_equal(room_number(r, COUNT), 300);
	assert_int_equal(room_number(r, "SELECT min(number) FROM requests"), 701);
	put_many(r, 5);
	save(r);
	assert_int_equal(room_number(r, COUNT), 300);
	r->control.config.requests_max_rows = UINT64_MAX;
	save(r);
	assert_int_equal(room_number(r, COUNT), 300);
}

/* One tenant's flood costs that tenant's rows. */
static void no_tenant_drives_out_another(void **state)
{
	struct room *r = *state;

	put(r, 1, 1, 200);
	put(r, 1, 1, 201);
	put(r, 2, 1, 200);
	r->control.config.requests_max_rows = 100;
	for (int i = 0; i < 5000; i++)
		put(r, 3, 1, 200);
	save(r);
	assert_int_equal(room_number(r, COUNT), 100);
	assert_int_equal(room_number(r, COUNT " WHERE tenant_id = 1"), 2);
	assert_int_equal(room_number(r, COUNT " WHERE tenant_id = 2"), 1);
	for (int i = 0; i < 5000; i++)
		put(r, 4, 1, 200);
	save(r);
	assert_int_equal(room_number(r, COUNT " WHERE tenant_id < 3"), 3);
	assert_in_range(room_number(r, COUNT " WHERE tenant_id = 3"), 48, 49);
	assert_in_range(room_number(r, COUNT " WHERE tenant_id = 4"), 48, 49);
	/* each keeps its newest */
	assert_int_equal(room_number(r,
				 "SELECT max(number) - min(number) + 1 = count(*) FROM requests"
				 " WHERE tenant_id = 4"),
		1);
}

static void more_tenants_than_rows_keep_within_the_maximum(void **state)
{
	struct room *r = *state;

	r->control.config.requests_max_rows = 50;
	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t tenant = 1; tenant <= 400; tenant++)
			put(r, tenant, 1, 200);
		save(r);
	}
	assert_in_range(room_number(r, COUNT), 1, 50);
	r->control.config.requests_max_rows = 0;
	save(r);
	assert_int_equal(room_number(r, COUNT), 0);
}

/* The counts in memory go wrong with a transaction that is taken back: they are made anew. */
static void counts_survive_a_failure(void **state)
{
	struct room *r = *state;
	bool more;

	put_many(r, 50);
	save(r);
	put_many(r, 30);
	assert_int_equal(
		sql_run(r->control.store, &r->e,
			"CREATE TEMP TRIGGER no BEFORE INSERT ON requests WHEN new.status = 20"
			" BEGIN SELECT raise(ABORT, 'no'); END",
			""),
		0);
	assert_true(history_step(&r->history, &more, &r->e) < 0);
	room_run(r, "DROP TRIGGER no");
	save(r);
	assert_int_equal(room_number(r, COUNT), 80);
	assert_int_equal(r->history.tally.total, 80);
	r->control.config.requests_max_rows = 10;
	save(r);
	assert_int_equal(room_number(r, COUNT), 10);
	assert_int_equal(r->history.tally.total, 10);
}

static void requests_of_nobody_are_not_kept(void **state)
{
	struct room *r = *state;

	put(r, 0, 0, 401);
	put(r, 1, 1, 200);
	put(r, 0, 0, 200);
	save(r);
	assert_int_equal(room_number(r, COUNT), 1);
	assert_int_equal(r->history.unsaved, 0);
	/* an earlier version kept them */
	fill(r, 700);
	room_run(r, "UPDATE requests SET tenant_id = 0 WHERE number > 50");
	r->history.counted = false;
	save(r);
	assert_int_equal(room_number(r, COUNT " WHERE tenant_id = 0"), 0);
	assert_int_equal(room_number(r, COUNT), 49); /* number 1 was a request of nobody */
}

static void rows_beyond_the_maximum_age_are_deleted(void **state)
{
	struct room *r = *state;

	fill(r, 3000);
	room_run(r, "UPDATE requests SET started_ms = started_ms - 3600000 WHERE number <= 2000");
	r->control.config.requests_retention_ms = 3500000;
	save(r);
	assert_int_equal(room_number(r, COUNT), 1000);
	assert_int_equal(room_number(r, COUNT " WHERE number <= 2000"), 0);
	save(r);
	assert_int_equal(room_number(r, COUNT), 1000);
}

/* A stream of hours ends after younger requests, and a clock may have been wrong for a while. */
static void a_row_out_of_order_holds_up_no_other_for_long(void **state)
{
	struct room *r = *state;

	fill(r, 2000);
	room_run(r, "UPDATE requests SET started_ms = started_ms - 3600000 WHERE number <= 1500");
	room_run(r, "UPDATE requests SET started_ms = started_ms + 3600000 WHERE number = 700");
	room_run(r, "UPDATE requests SET started_ms = started_ms - 3600000 WHERE number = 1900");
	room_run(r, "UPDATE requests SET started_ms = started_ms + 900000000000 WHERE number = 1");
	r->control.config.requests_retention_ms = 3500000;
	save(r);
	assert_in_range(room_number(r, COUNT " WHERE number < 1500"), 1, 1000);
	room_run(r, "UPDATE requests SET started_ms = started_ms - 3600000 WHERE number = 700");
	save(r);
	assert_int_equal(room_number(r, COUNT " WHERE number < 1500"), 0);
	assert_int_equal(room_number(r, COUNT), 500);
}

static void no_step_takes_long(void **state)
{
	struct room *r = *state;
	int64_t worst = 0;
	bool more = true;

	fill(r, 100000);
	r->control.config.requests_max_rows = 1000;
	put_many(r, 20000);
	while (more) {
		int64_t start = room_cpu_ns();
		assert_int_equal(history_step(&r->history, &more, &r->e), 0);
		int64_t took = room_cpu_ns() - start;
		worst = took > worst ? took : worst;
	}
	print_message("longest step: %lld us\n", (long long)(worst / 1000));
	assert_int_equal(room_number(r, COUNT), 1000);
	assert_true(worst < 500000000); /* CPU time; allows for an instrumented build */
}

/* A full store: each new row replaces an old one. */
static void saving_a_request_takes_microseconds(void **state)
{
	struct room *r = *state;
	const int batches = 5;

	fill(r, 200000);
	r->control.config.requests_max_rows = 200000;
	save(r);
	int64_t cpu = 0;
	for (int i = 0; i < batches; i++) {
		put_many(r, 10000);
		int64_t start = room_cpu_ns();
		save(r);
		cpu += room_cpu_ns() - start;
	}
	print_message("a request: %.2f us of CPU\n", (double)cpu / batches / 10000 / 1000);
	assert_int_equal(room_number(r, COUNT), 200000);
	/* it takes 3 us; an index by random ids took 15; allows for an instrumented build */
	assert_true(cpu / batches / 10000 < 12000);
}

/* --- lists --- */

/* Walks all pages; the statuses in order into `out`. Returns their number. */
static size_t walk(
	struct room *r, const struct history_filter *f, size_t page, uint16_t *out, size_t max)
{
	struct recent_row *rows;
	size_t total = 0;
	uint64_t next = 0;
	size_t count;

	do {
		assert_int_equal(
			recent_page(&r->control, f, next, page, &rows, &count, &next, &r->e), 0);
		assert_true(count <= page && total + count <= max);
		for (size_t i = 0; i < count; i++)
			out[total++] = rows[i].request.status;
		free(rows);
		/* requests that come meanwhile are newer than the first page */
		put(r, 1, 1, 999);
	} while (next);
	return total;
}

static void pages_are_whole_and_stable(void **state)
{
	struct room *r = *state;
	const struct history_filter all = {0};
	uint16_t seen[1500];

	for (uint16_t i = 1; i <= 300; i++)
		put(r, 1, 1, i);
	save(r);
	for (uint16_t i = 301; i <= 500; i++)
		put(r, 1, 1, i); /* still in the ring */
	for (size_t page = 1; page < 600; page = page * 3 + 1) {
		size_t n = walk(r, &all, page, seen, 1500);
		size_t from = 0;
		while (from < n && seen[from] == 999)
			from++; /* of the walk before */
		assert_int_equal(n - from, 500);
		for (size_t i = 0; i < 500; i++)
			assert_int_equal(seen[from + i], 500 - i);
		if (page > 100)
			break;
	}
}

/* A page that begins in the ring goes on when its rows have moved to the store. */
static void a_page_goes_on_after_rows_were_saved(void **state)
{
	struct room *r = *state;
	const struct history_filter all = {0};
	struct recent_row *rows;
	uint64_t next = 0;
	size_t count;

	for (uint16_t i = 1; i <= 100; i++)
		put(r, i % 3 ? 1 : 0, 1, i);
	assert_int_equal(recent_page(&r->control, &all, 0, 10, &rows, &count, &next, &r->e), 0);
	assert_int_equal(rows[9].request.status, 86);
	free(rows);
	save(r);
	assert_int_equal(recent_page(&r->control, &all, next, 10, &rows, &count, &next, &r->e), 0);
	assert_int_equal(rows[0].request.status, 85);
	assert_int_equal(count, 10);
	free(rows);
}

static void filters_select(void **state)
{
	struct room *r = *state;
	const int64_t now = clock_wall_ms();
	const struct {
		struct history_filter filter;
		size_t count;
	} cases[] = {
		{{.tenant = 1}, 20},
		{{.account = 3}, 10},
		{{.tenant = 2, .account = 3}, 10},
		{{.tenant = 1, .account = 3}, 0},
		{{.key = 7}, 5},
		{{.status_min = 500, .status_max = 599}, 10},
		{{.status_min = 429, .status_max = 429}, 5},
		{{.code = "rate_limited"}, 5},
		{{.code = "rate"}, 0},
		{{.since_ms = now - 25000}, 25},
		{{.until_ms = now - 25000}, 15},
		{{.since_ms = now - 10000, .until_ms = now - 5000}, 5},
	};

	for (int saved = 0; saved < 2; saved++) {
		for (unsigned i = 0; i < 40 && !saved; i++) {
			struct board_request q = {.tenant = 1 + (i >= 20),
				.account = i >= 30 ? 3 : 2,
				.key = i < 5 ? 7 : 8,
				.status = i < 10 ? 503
					: i < 15 ? 429
						 : 200,
				.started_ms = now - (int64_t)(40 - i) * 1000 + 500};
			if (i >= 10 && i < 15)
				strcpy(q.code, "rate_limited");
			board_put_request(r->board, &q);
		}
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			struct recent_row *rows;
			uint64_t next;
			size_t count;
			assert_int_equal(recent_page(&r->control, &cases[i].filter, 0, 100, &rows,
						 &count, &next, &r->e),
				0);
			free(rows);
			if (count != cases[i].count)
				fail_msg("case %zu, saved %d: %zu", i, saved, count);
		}
		save(r);
	}
}

/* A search among many rows gives what it found in its time, and where it goes on. */
static void a_long_search_stops_and_goes_on(void **state)
{
	struct room *r = *state;
	const struct history_filter rare = {.status_min = 418, .status_max = 418};
	uint64_t next = 0;
	size_t found = 0;
	int64_t worst = 0;

	fill(r, 300000);
	room_run(r, "UPDATE requests SET status = 418 WHERE number IN (1, 150000, 299999)");
	do {
		struct recent_row *rows;
		size_t count;
		int64_t start = room_cpu_ns();
		assert_int_equal(
			recent_page(&r->control, &rare, next, 100, &rows, &count, &next, &r->e), 0);
		int64_t took = room_cpu_ns() - start;
		worst = took > worst ? took : worst;
		found += count;
		free(rows);
	} while (next);
	print_message("longest page: %lld us\n", (long long)(worst / 1000));
	assert_int_equal(found, 3);
	assert_true(worst < 500000000); /* CPU time; allows for an instrumented build */
}

static void the_newest_are_listed_by_name(void **state)
{
	struct room *r = *state;
	struct recent_row *rows;
	size_t count;

	room_run(r, NAMES);
	put(r, 1, 1, 200);
	put(r, 2, 99, 503);
	save(r);
	put(r, 1, 0, 401); /* still in the ring */
	assert_int_equal(recent_list(&r->control, 10, NULL, &rows, &count, &r->e), 0);
	assert_int_equal(count, 3);
	assert_int_equal(rows[0].request.status, 401);
	assert_string_equal(rows[0].account, "");
	assert_string_equal(rows[1].tenant, "zeta");
	assert_string_equal(rows[1].account, "#99");
	assert_string_equal(rows[2].account, "a");
	assert_string_equal(rows[2].egress, "direct");
	free(rows);
	assert_int_equal(recent_list(&r->control, 10, "acme", &rows, &count, &r->e), 0);
	assert_int_equal(count, 2);
	free(rows);
	assert_int_equal(recent_list(&r->control, 1, "acme", &rows, &count, &r->e), 0);
	assert_int_equal(count, 1);
	assert_int_equal(rows[0].request.status, 401);
	free(rows);
	assert_int_equal(recent_list(&r->control, 1, "nobody", &rows, &count, &r->e), -ENOENT);
}

static void a_list_includes_unsaved_requests(void **state)
{
	struct room *r = *state;
	struct recent_row *rows;
	size_t count;
	bool more;

	put_many(r, BOARD_REQUESTS + 10);
	assert_int_equal(history_step(&r->history, &more, &r->e), 0);
	assert_true(more);
	put(r, 1, 1, 599);
	assert_int_equal(recent_list(&r->control, RECENT_MAX + 5, NULL, &rows, &count, &r->e), 0);
	assert_int_equal(count, RECENT_MAX);
	assert_int_equal(rows[0].request.status, 599);
	for (size_t i = 1; i < count; i++)
		assert_int_equal(rows[i].request.status, (BOARD_REQUESTS + 10 - i) % 600);
	free(rows);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_request_is_saved_once),
		TEST(a_row_keeps_all_its_fields),
		TEST(a_restarted_control_continues_where_it_stopped),
		TEST(a_new_board_is_read_from_its_start),
		TEST(overwritten_requests_are_counted),
		TEST(a_failing_store_loses_nothing),
		TEST(few_rows_wait_for_a_batch),
		TEST(the_oldest_rows_beyond_the_limit_are_deleted),
		TEST(no_tenant_drives_out_another),
		TEST(more_tenants_than_rows_keep_within_the_maximum),
		TEST(counts_survive_a_failure),
		TEST(requests_of_nobody_are_not_kept),
		TEST(rows_beyond_the_maximum_age_are_deleted),
		TEST(a_row_out_of_order_holds_up_no_other_for_long),
		TEST(no_step_takes_long),
		TEST(saving_a_request_takes_microseconds),
		TEST(pages_are_whole_and_stable),
		TEST(a_page_goes_on_after_rows_were_saved),
		TEST(filters_select),
		TEST(a_long_search_stops_and_goes_on),
		TEST(the_newest_are_listed_by_name),
		TEST(a_list_includes_unsaved_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
