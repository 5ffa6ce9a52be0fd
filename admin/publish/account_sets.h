/*
 * Sets: the extra headers and egresses of an account, by generation. A generation uses the newest set of
 * which its HAProxy knows every header and every egress. So a change that HAProxy knows already is in
 * force at once, and until HAProxy has loaded any other one, its requests keep the set before it. The
 * sets of an account follow each other without a gap; the newest is open.
 */
#ifndef RELAY_ADMIN_PUBLISH_ACCOUNT_SETS_H
#define RELAY_ADMIN_PUBLISH_ACCOUNT_SETS_H

#include "admin/store/store.h"
#include "common/errtext.h"

#include <stdint.h>

/* first_gen of a set with a header or egress that was never rendered */
#define ACCOUNT_SETS_NEVER INT64_MAX
/*
 * A set that ended this many generations ago is forgotten. Reloads are seconds apart, and the old
 * processes take no requests after some minutes.
 */
#define ACCOUNT_SETS_GENERATIONS 256

/*
 * Brings the sets in line with the accounts, upstreams, backends and extra headers of the store. Never
 * inside a transaction.
 */
int account_sets_update(struct store *s, struct errtext *e);

#endif
