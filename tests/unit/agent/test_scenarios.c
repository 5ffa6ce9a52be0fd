/*
 * What one key's requests cost the others, and how soon an account that really fails is out: a table
 * of scenarios, each an hour long, over the real core. RELAY_FULL=1: three seeds each.
 */
#include "scenario.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define SERVED 0.98
#define WRONG_MAX 4
#define LONGEST_MS 30000
#define LONGEST_FLAKY_MS 60000 /* its trial may fail, too */
#define FAILURES_MAX 5
#define OUT_WITHIN_MS 20000 /* of the first failure: a probe, or the requests of two keys */
#define KINDS 10

enum expectation {
	HARMLESS, /* hostile keys: the good ones are served, hardly any wrong penalty */
	OUT,	  /* a faulty account: out for everybody soon, and the good keys are served */
	AWAY,	  /* a faulty account that nobody can convict: each key is kept away */
	ALONE,	  /* a faulty account without others: found out */
	RECOVERS, /* an outage: afterwards all is well */
};

/* All scenarios with one of these kinds, pools and numbers of hostile keys; 0 ends each list. */
struct group {
	const char *name;
	enum expectation expected;
	enum scenario_answer kinds[KINDS];
	uint32_t pools[TOWN_ACCOUNTS];
	uint32_t hostile[2];
	struct scenario base;
};

#define EVERY_FAILURE                                                                              \
	{                                                                                          \
		SCENARIO_401, SCENARIO_403, SCENARIO_429, SCENARIO_429_RETRY, SCENARIO_500,        \
			SCENARIO_503, SCENARIO_529, SCENARIO_CLOSE                                 \
	}
#define EVERY_ANSWER                                                                               \
	{                                                                                          \
		SCENARIO_401, SCENARIO_403, SCENARIO_404, SCENARIO_429, SCENARIO_429_RETRY,        \
			SCENARIO_500, SCENARIO_503, SCENARIO_529, SCENARIO_CLOSE, SCENARIO_BREAK   \
	}
#define SOME_FAILURES                                                                              \
	{                                                                                          \
		SCENARIO_403, SCENARIO_429_RETRY, SCENARIO_503, SCENARIO_CLOSE                     \
	}

static const struct group groups[] = {
	{"hostile", HARMLESS, EVERY_ANSWER, {1, 2, 3}, {1, 2}, {.probe = SCENARIO_HONEST}},
	{"hostile at one account", HARMLESS, EVERY_FAILURE, {2, 3}, {1, 2}, {.here = true}},
	{"hostile, 2.6", HARMLESS, SOME_FAILURES, {1, 2, 3}, {1, 2}, {.old = true}},
	{"hostile at one account, 2.6", HARMLESS, SOME_FAILURES, {2, 3}, {2},
		{.old = true, .here = true}},
	{"hostile, blind probe", HARMLESS, SOME_FAILURES, {1, 2, 3}, {2},
		{.probe = SCENARIO_BLIND}},
	{"hostile, flaky probe", HARMLESS, SOME_FAILURES, {1, 2, 3}, {2},
		{.probe = SCENARIO_FLAKY}},
	{"hostile, refused probe", HARMLESS, SOME_FAILURES, {1, 2, 3}, {2},
		{.probe = SCENARIO_REFUSED}},
	{"hostile, no probe", HARMLESS, SOME_FAILURES, {1, 2, 3}, {2}, {.probe = SCENARIO_NONE}},
	{"good and bad key", HARMLESS, SOME_FAILURES, {1, 2, 3}, {1, 2}, {.mixed = true}},
	{"faulty", OUT, EVERY_FAILURE, {2, 3}, {0}, {.probe = SCENARIO_HONEST}},
	{"faulty, 2.6", OUT, SOME_FAILURES, {2, 3}, {0}, {.old = true}},
	{"faulty, flaky probe", OUT, SOME_FAILURES, {2, 3}, {0}, {.probe = SCENARIO_FLAKY}},
	{"faulty, no probe", AWAY, EVERY_FAILURE, {2, 3}, {0}, {.probe = SCENARIO_NONE}},
	{"faulty, blind probe", AWAY, EVERY_FAILURE, {2, 3}, {0}, {.probe = SCENARIO_BLIND}},
	{"faulty and hostile", OUT, SOME_FAILURES, {2, 3}, {1}, {.poison = SCENARIO_403}},
	{"faulty, alone", ALONE, EVERY_FAILURE, {1}, {0}, {.probe = SCENARIO_HONEST}},
	{"outage", RECOVERS, EVERY_FAILURE, {1, 2, 3}, {0}, {.outage = true}},
	{"outage, no probe", RECOVERS, SOME_FAILURES, {1, 2, 3}, {0},
		{.outage = true, .probe = SCENARIO_NONE}},
};

static const char *const answers[SCENARIO_ANSWERS] = {"200", "404", "401", "403", "429",
	"429 with Retry-After", "500", "503", "529", "close", "break"};

struct sum {
	uint32_t count, failed;
};

static double share(uint32_t served, uint32_t all)
{
	return all ? (double)served / all : 1;
}

static bool is_harmless(const struct scenario *s, const struct scenario_outcome *o)
{
	bool told = s->poison == SCENARIO_429_RETRY && s->hostile > 1;
	int64_t longest = s->probe == SCENARIO_FLAKY ? LONGEST_FLAKY_MS : LONGEST_MS;

	return share(o->served, o->good) >= SERVED && share(o->slow_served, o->slow) >= SERVED &&
		o->wrong <= WRONG_MAX && (told || o->longest_ms <= longest) && !o->suspended;
}

/* Refusals pass where nothing else is left, so nobody is kept away from the only account. */
static bool is_away(const struct scenario *s, const struct scenario_outcome *o)
{
	bool refused = s->fault == SCENARIO_401 || s->fault == SCENARIO_403;

	return o->failed_ms >= 0 &&
		(o->most_failures <= FAILURES_MAX || (refused && s->accounts == 1));
}

static bool is_out(const struct scenario_outcome *o)
{
	return o->out_ms >= 0 && o->out_ms - o->failed_ms <= OUT_WITHIN_MS;
}

static bool is_met(enum expectation e, const struct scenario *s, const struct scenario_outcome *o)
{
	switch (e) {
	case HARMLESS:
		return is_harmless(s, o);
	case OUT:
		return is_out(o) && is_away(s, o) && share(o->served, o->good) >= SERVED;
	case AWAY:
		return is_away(s, o);
	case ALONE:
		return is_out(o) && is_away(s, o);
	case RECOVERS:
		return share(o->served, o->good) >= SERVED && o->wrong <= WRONG_MAX &&
			!o->suspended;
	}
	return false;
}

static void run(const struct group *g, const struct scenario *s, uint64_t seed, struct sum *sum)
{
	enum scenario_answer kind = s->fault ? s->fault : s->poison;
	struct scenario_outcome o;

	scenario_run(s, seed, &o);
	sum->count++;
	if (is_met(g->expected, s, &o) && !getenv("SCENARIO_ALL"))
		return;
	sum->failed += !is_met(g->expected, s, &o);
	print_message("%s, %s, pool of %u, %u hostile: %u of %u served, %u of %u of the slow key; "
		      "%u wrong penalties, the longest %d ms; %u failures of a key, failed at %d, "
		      "out at %d; %u probes, %u suspended\n",
		g->name, answers[kind], s->accounts, s->hostile, o.served, o.good, o.slow_served,
		o.slow, o.wrong, (int)o.longest_ms, o.most_failures, (int)o.failed_ms,
		(int)o.out_ms, o.probes, o.suspended);
}

static void run_pool(
	const struct group *g, enum scenario_answer kind, uint32_t pool, struct sum *sum)
{
	bool faulty = g->expected != HARMLESS;
	uint64_t seeds = getenv("RELAY_FULL") && strcmp(getenv("RELAY_FULL"), "0") != 0 ? 3 : 1;

	for (size_t i = 0; i < 2 && (g->hostile[i] || i == 0); i++) {
		struct scenario s = g->base;
		s.accounts = pool;
		s.hostile = g->hostile[i];
		if (faulty)
			s.fault = kind;
		else
			s.poison = kind;
		for (uint64_t seed = 1; seed <= seeds; seed++)
			run(g, &s, seed, sum);
	}
}

static void each_scenario_meets_its_promise(void **state)
{
	struct sum sum = {0, 0};

	(void)state;
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		const struct group *g = &groups[i];
		for (size_t k = 0; k < KINDS && g->kinds[k]; k++) {
			for (size_t n = 0; n < TOWN_ACCOUNTS && g->pools[n]; n++)
				run_pool(g, g->kinds[k], g->pools[n], &sum);
		}
	}
	print_message("%u scenarios, %u failed\n", sum.count, sum.failed);
	assert_true(sum.count >= 60);
	assert_int_equal(sum.failed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_scenario_meets_its_promise),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
