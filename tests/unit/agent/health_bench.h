/*
 * One account's row of health, its operator and its clock. A test tells what happens to the
 * account.
 */
#ifndef RELAY_TESTS_AGENT_HEALTH_BENCH_H
#define RELAY_TESTS_AGENT_HEALTH_BENCH_H

#include "agent/health.h"

#define BENCH_ROWS 4
#define BENCH_NOW_MS 1800000000000
#define BENCH_RECOVERY_MS 30000
#define BENCH_PROBE 99 /* the request with this number is a probe */

struct bench {
	struct statefile_health rows[BENCH_ROWS];
	struct healths healths;
	struct snapshot_options rules; /* threshold 3, one trial */
	struct health_subject subject;
	int64_t now_ms;
	uint64_t random;
	bool suspected; /* of probes */
};

void bench_init(struct bench *b);
void bench_fini(struct bench *b);

/* The row, created if missing; its standing. */
struct statefile_health *bench_row(struct bench *b);
struct health_look bench_look(const struct bench *b);
enum board_standing bench_standing(const struct bench *b);

/* Sends request `n`; returns the generation in its mark. */
uint32_t bench_enter(struct bench *b, uint32_t n);
bool bench_leave(struct bench *b, uint32_t n);
/*
 * Its result, with the current credential: of a connection, a client's request or a probe. True:
 * control may have to act.
 */
bool bench_result(struct bench *b, uint32_t n, uint32_t generation, struct result result);

/* A request that ends at once with this class. */
bool bench_say(struct bench *b, enum result_class class);
bool bench_say_until(struct bench *b, enum result_class class, int64_t until_ms);
bool bench_probe(struct bench *b, enum result_class class);
/* A 429 that rests the account. */
void bench_rest(struct bench *b, int64_t until_ms);
/* Two witnesses, or failed connections until the circuit opens. */
void bench_open(struct bench *b);
/* Moves the clock to the end of the standing. */
void bench_pass(struct bench *b);

#endif
