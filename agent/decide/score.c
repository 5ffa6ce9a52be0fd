/*
 * The score of an account; usable accounts with a higher score are preferred.
 *
 *	usage = the highest of: requests in each limited window / its limit, slots in use / slots,
 *	        usage that the upstream's limit headers report
 *	risk  = 0.5 x recent failure ratio + 0.5 x usage
 *	load  = slots in use / slots; without a limit of slots n / (n + 8)
 *	score = 0.7 x ((1 - failure ratio) + (1 - usage) + (1 - load)) / 3 + 0.3 x (1 - risk)
 *
 * Each result moves the failure ratio 1/16 of the way towards 0 or 1.
 */
#include "agent/decide/decide.h"

#define UNLIMITED_LOAD 8.0
#define SCORE_MIN 0.01

static double ratio(uint32_t used, uint32_t limit)
{
	if (limit == 0)
		return 0;
	return used >= limit ? 1 : (double)used / (double)limit;
}

static double window_usage(const struct snapshot_limits *limits, const struct statefile_usage *row,
	const struct window_clock *clock)
{
	double highest = 0;

	for (int i = 0; row && i < USAGE_WINDOW_COUNT; i++) {
		enum usage_window w = (enum usage_window)i;
		uint32_t limit = window_limit(limits, w);
		if (limit == 0)
			continue;
		double used = ratio(window_clock_count(clock, row, w), limit);
		if (used > highest)
			highest = used;
	}
	return highest;
}

struct decide_score decide_score(const struct snapshot_limits *limits,
	const struct statefile_usage *row, uint32_t in_use, double upstream,
	const struct window_clock *clock)
{
	double failures = row ? (double)row->failure_ratio / UINT16_MAX : 0;
	double usage = window_usage(limits, row, clock);
	double slots = ratio(in_use, limits->concurrency);
	double load = limits->concurrency ? slots : in_use / (in_use + UNLIMITED_LOAD);

	if (slots > usage)
		usage = slots;
	if (upstream > usage)
		usage = upstream;
	double risk = 0.5 * failures + 0.5 * usage;
	double score = 0.7 * ((1 - failures) + (1 - usage) + (1 - load)) / 3 + 0.3 * (1 - risk);
	return (struct decide_score){usage, risk, score > SCORE_MIN ? score : SCORE_MIN};
}
