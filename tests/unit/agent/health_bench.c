#include "health_bench.h"

#include <stdlib.h>
#include <string.h>

void bench_init(struct bench *b)
{
	*b = (struct bench){.now_ms = BENCH_NOW_MS};
	b->rules = (struct snapshot_options){.health_threshold = 3,
		.health_half_open = 1,
		.health_recovery_ms = BENCH_RECOVERY_MS};
	b->subject = (struct health_subject){
		.kind = HEALTH_ACCOUNT, .id = 7, .epoch = 1, .credential = 1, .refreshable = true};
	if (healths_init(&b->healths, b->rows, BENCH_ROWS))
		abort();
}

void bench_fini(struct bench *b)
{
	healths_fini(&b->healths);
}

struct statefile_health *bench_row(struct bench *b)
{
	struct statefile_health *row = health_of(&b->healths, &b->subject, b->now_ms);

	if (!row)
		abort();
	return row;
}

struct health_look bench_look(const struct bench *b)
{
	return health_look(
		health_find(&b->healths, &b->subject), &b->subject, &b->rules, b->now_ms);
}

enum board_standing bench_standing(const struct bench *b)
{
	return bench_look(b).standing;
}

static void id_of(uint32_t n, uint8_t id[16])
{
	memset(id, 0, 16);
	memcpy(id, &n, sizeof(n));
}

uint32_t bench_enter(struct bench *b, uint32_t n)
{
	struct statefile_health *row = bench_row(b);
	uint8_t id[16];

	id_of(n, id);
	health_enter(row, &b->rules, id, b->now_ms);
	return row->generation;
}

bool bench_leave(struct bench *b, uint32_t n)
{
	struct statefile_health *row = bench_row(b);
	uint8_t id[16];

	id_of(n, id);
	health_leave(row, id);
	return bench_standing(b) == BOARD_STANDING_USABLE;
}

bool bench_result(struct bench *b, uint32_t n, uint32_t generation, struct result result)
{
	struct statefile_health *row = bench_row(b);
	uint8_t id[16];
	const struct health_event event = {.id = id,
		.generation = generation,
		.credential = b->subject.credential,
		.result = &result};

	id_of(n, id);
	if (b->subject.kind == HEALTH_BACKEND) {
		health_connect(row, &b->rules, &event, result.class != RESULT_NETWORK, b->now_ms);
		return false;
	}
	if (n == BENCH_PROBE)
		return health_probe(
			row, &b->subject, &b->rules, &event, b->suspected, b->now_ms, b->random);
	return health_answer(row, &b->subject, &event, true, b->now_ms);
}

bool bench_say_until(struct bench *b, enum result_class class, int64_t until_ms)
{
	struct result result = {.class = class, .known = true, .until_ms = until_ms};

	return bench_result(b, 1, bench_enter(b, 1), result);
}

bool bench_probe(struct bench *b, enum result_class class)
{
	struct result result = {.class = class, .known = true};

	return bench_result(b, BENCH_PROBE, bench_enter(b, BENCH_PROBE), result);
}

bool bench_say(struct bench *b, enum result_class class)
{
	return bench_say_until(b, class, 0);
}

void bench_rest(struct bench *b, int64_t until_ms)
{
	health_rest(bench_row(b), bench_row(b)->generation, until_ms);
}

void bench_open(struct bench *b)
{
	if (b->subject.kind == HEALTH_ACCOUNT) {
		health_convict(bench_row(b), &b->rules, b->now_ms);
		return;
	}
	for (uint32_t i = 0; i < b->rules.health_threshold; i++)
		bench_say(b, RESULT_NETWORK);
}

void bench_pass(struct bench *b)
{
	b->now_ms = bench_look(b).until_ms;
}
