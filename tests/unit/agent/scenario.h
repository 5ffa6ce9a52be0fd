/*
 * A scenario: an hour of a town, with clients, upstream, HAProxy and control simulated around the
 * real core. The table of scenarios is in test_scenarios.c.
 */
#ifndef RELAY_TESTS_AGENT_SCENARIO_H
#define RELAY_TESTS_AGENT_SCENARIO_H

#include "town.h"

#define SCENARIO_MS (3600 * (int64_t)1000)
#define SCENARIO_GOOD 3 /* good keys; the others come after them */

/* What the upstream answers. */
enum scenario_answer {
	SCENARIO_OK,
	SCENARIO_404,
	SCENARIO_401,
	SCENARIO_403,
	SCENARIO_429,
	SCENARIO_429_RETRY, /* with Retry-After: 10 */
	SCENARIO_500,
	SCENARIO_503,
	SCENARIO_529,
	SCENARIO_CLOSE,
	SCENARIO_BREAK, /* 200, and then the stream breaks */
	SCENARIO_ANSWERS,
};

enum scenario_probe {
	SCENARIO_HONEST,
	SCENARIO_BLIND,	  /* always succeeds */
	SCENARIO_FLAKY,	  /* fails one time in 150 */
	SCENARIO_REFUSED, /* always 403: the credential may not be probed */
	SCENARIO_NONE,
};

struct scenario {
	uint32_t accounts;
	bool old; /* HAProxy 2.6: an answer that is taken back is not seen, and 429 is not */
	enum scenario_probe probe;
	uint32_t hostile;	     /* keys whose requests are all answered like this */
	enum scenario_answer poison; /* by every account */
	bool here;		     /* by the first account only; the others serve them */
	bool mixed;		     /* every other request of the hostile keys is a good one */
	enum scenario_answer fault;  /* of the first account from the tenth minute on */
	bool outage;		     /* of all accounts, for three minutes */
	bool one_tenant;	     /* all keys belong to it */
};

struct scenario_outcome {
	uint32_t good, served;	    /* requests of good keys; outside of an outage */
	uint32_t slow, slow_served; /* of the good key with the fewest requests */
	uint32_t wrong;		    /* penalties of accounts without a fault */
	int64_t longest_ms;	    /* of these */
	uint32_t
		most_failures; /* of a good key in a row at the faulty account, until it is kept away */
	int64_t failed_ms;     /* first failure there, from the fault on; -1 = none */
	int64_t out_ms;	       /* then it was out for everybody; -1 = never */
	uint32_t probes;
	uint32_t suspended; /* accounts at the end */
};

void scenario_run(const struct scenario *s, uint64_t seed, struct scenario_outcome *ret);

#endif
