/*
 * What a check of an egress means: the address that the echo endpoint saw, against what the egress is.
 * A mismatch suspends the egress and opens a notice; who asked for a check that matches lifts what an
 * earlier check had suspended.
 */
#ifndef RELAY_ADMIN_UPKEEP_EGRESS_VERDICT_H
#define RELAY_ADMIN_UPKEEP_EGRESS_VERDICT_H

#include "admin/control.h"
#include "common/ip.h"

#define EGRESS_VERDICT_NAME_SIZE 64
#define EGRESS_VERDICT_ADDRESS_SIZE 280

/* An egress as it was when its check began. */
struct egress_subject {
	int64_t id;
	char name[EGRESS_VERDICT_NAME_SIZE];
	char kind[8];
	char address[EGRESS_VERDICT_ADDRESS_SIZE];
	char seen_ip[IP_TEXT_SIZE]; /* by the checks before; empty = none yet */
	bool shared;
};

struct egress_verdict {
	bool matches;
	char expected[IP_TEXT_SIZE]; /* empty: nothing was known before */
	char seen[IP_TEXT_SIZE];
	struct errtext reason; /* of a mismatch */
};

int egress_verdict_find(struct store *s, const struct egress_subject *subject,
	const struct ip *seen, struct egress_verdict *ret, struct errtext *e);
/*
 * Stores it, and publishes when the egress was suspended or is used again. -EBUSY when the egress is
 * another one meanwhile: nothing is stored then.
 */
int egress_verdict_keep(struct control *c, const struct egress_subject *subject,
	const struct egress_verdict *v, bool on_demand, struct errtext *e);

#endif
