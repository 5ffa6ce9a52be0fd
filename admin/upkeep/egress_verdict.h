/*
 * The verdict of an egress check: the address that the echo endpoint saw is compared with the address
 * that the egress should have. A mismatch suspends the egress and opens a notice. A check on demand that
 * matches lifts the suspension of an earlier check.
 */
#ifndef RELAY_ADMIN_UPKEEP_EGRESS_VERDICT_H
#define RELAY_ADMIN_UPKEEP_EGRESS_VERDICT_H

#include "admin/control.h"
#include "common/errtext.h"
#include "common/ip.h"

struct row;

#define EGRESS_VERDICT_NAME_SIZE 64
#define EGRESS_VERDICT_ADDRESS_SIZE 280

/* An egress at the start of its check. */
struct egress_subject {
	int64_t id;
	char name[EGRESS_VERDICT_NAME_SIZE];
	char kind[8];
	char address[EGRESS_VERDICT_ADDRESS_SIZE];
	char seen_ip[IP_TEXT_SIZE]; /* by earlier checks; empty = none yet */
	bool shared;
};

/* Columns for egress_subject_read(). */
#define EGRESS_SUBJECT "id, shared, name, kind, address, seen_ip"

struct egress_verdict {
	bool matches;
	char expected[IP_TEXT_SIZE]; /* empty = unknown */
	char seen[IP_TEXT_SIZE];
	struct errtext reason; /* of a mismatch */
};

void egress_subject_read(struct row *row, struct egress_subject *ret);

int egress_verdict_find(struct store *s, const struct egress_subject *subject,
	const struct ip *seen, struct egress_verdict *ret, struct errtext *e);
/*
 * Stores it, and publishes if the egress was suspended or resumed. -EBUSY: the egress changed during the
 * check; nothing is stored.
 */
int egress_verdict_keep(struct control *c, const struct egress_subject *subject,
	const struct egress_verdict *v, bool on_demand, struct errtext *e);

#endif
