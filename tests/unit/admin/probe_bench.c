#include "probe_bench.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

void probe_bench_init(struct probe_bench *b, size_t count)
{
	memset(b, 0, sizeof(*b));
	b->count = count;
	b->now = T0;
	b->random = 12345;
	b->pace = (struct probe_pace){.start_ms = T0, .idle_ms = IDLE, .pause_ms = PAUSE};
	for (size_t i = 0; i < count; i++) {
		b->all[i] = &b->accounts[i];
		b->accounts[i].id = (uint32_t)i + 1;
		b->accounts[i].wanted = true;
		board_set(&b->rows[i].last_used_ms, (uint64_t)T0);
		probe_observe(b->all[i], &b->rows[i], b->now);
	}
}

uint64_t probe_bench_draw(struct probe_bench *b)
{
	b->random = b->random * 6364136223846793005u + 1442695040888963407u;
	return b->random >> 33;
}

void probe_bench_stand(
	struct probe_bench *b, size_t i, enum board_standing standing, int64_t until_ms)
{
	board_set(&b->rows[i].standing, standing);
	board_set(&b->rows[i].until_ms, (uint64_t)until_ms);
	board_set(&b->rows[i].wants_probe_ms, 0);
}

void probe_bench_suspect(struct probe_bench *b, size_t i)
{
	probe_bench_stand(b, i, BOARD_STANDING_SUSPECT, b->now + 30 * SECOND);
	board_set(&b->rows[i].wants_probe_ms, (uint64_t)b->now);
}

void probe_bench_fail_once(struct probe_bench *b, size_t i)
{
	board_set(&b->rows[i].wants_probe_ms, (uint64_t)b->now);
}

int probe_bench_next(struct probe_bench *b, enum probe_reason *ret_reason)
{
	enum probe_reason reason = PROBE_REASON_COUNT;
	size_t at;

	for (size_t i = 0; i < b->count; i++)
		probe_observe(b->all[i], &b->rows[i], b->now);
	if (!probe_next(b->all, b->count, &b->pace, b->now, &at, &reason))
		return -1;
	assert_false(b->all[at]->under_way);
	probe_begin(b->all[at], &b->pace, reason, b->now, probe_bench_draw(b));
	if (ret_reason)
		*ret_reason = reason;
	return (int)at;
}

void probe_bench_expect(struct probe_bench *b, int at, enum probe_reason reason)
{
	enum probe_reason got = PROBE_REASON_COUNT;

	assert_int_equal(probe_bench_next(b, &got), at);
	assert_int_equal(got, reason);
}

void probe_bench_expect_none(struct probe_bench *b)
{
	assert_int_equal(probe_bench_next(b, NULL), -1);
}

void probe_bench_answer(struct probe_bench *b, size_t i)
{
	probe_end(b->all[i], PROBE_PASSED);
	probe_bench_stand(b, i, BOARD_STANDING_USABLE, 0);
	board_set(&b->rows[i].last_used_ms, (uint64_t)b->now);
}

void probe_bench_due_at(struct probe_bench *b, int64_t when)
{
	while (b->now < when - SECOND) {
		probe_bench_expect_none(b);
		b->now += SECOND;
	}
	b->now = when - 1;
	probe_bench_expect_none(b);
	b->now = when;
}
