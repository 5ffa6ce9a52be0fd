/* Accounts of the probe plan with a test clock. */
#ifndef RELAY_TESTS_ADMIN_PROBE_BENCH_H
#define RELAY_TESTS_ADMIN_PROBE_BENCH_H

#include "admin/upkeep/probe_plan.h"
#include "common/board.h"

#include <stddef.h>
#include <stdint.h>

#define T0 ((int64_t)1700000000000)
#define SECOND ((int64_t)1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define PAUSE (3 * SECOND)
#define IDLE (15 * MINUTE)
#define MANY 40

struct probe_bench {
	struct board_account rows[MANY];
	struct probe_account accounts[MANY];
	struct probe_account *all[MANY];
	size_t count;
	struct probe_pace pace;
	int64_t now;
	uint64_t random;
};

void probe_bench_init(struct probe_bench *b, size_t count);
uint64_t probe_bench_draw(struct probe_bench *b);
void probe_bench_stand(
	struct probe_bench *b, size_t i, enum board_standing standing, int64_t until_ms);
void probe_bench_suspect(struct probe_bench *b, size_t i);
/* A request of a client failed; the account is usable. */
void probe_bench_fail_once(struct probe_bench *b, size_t i);
/* Begins the next probe; returns its index, or -1. */
int probe_bench_next(struct probe_bench *b, enum probe_reason *ret_reason);
void probe_bench_expect(struct probe_bench *b, int at, enum probe_reason reason);
void probe_bench_expect_none(struct probe_bench *b);
/* The probe succeeded: the account was used and is usable. */
void probe_bench_answer(struct probe_bench *b, size_t i);
/* A probe is due at `when`, and none before. */
void probe_bench_due_at(struct probe_bench *b, int64_t when);

#endif
