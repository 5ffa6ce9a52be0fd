/*
 * Whether this is a first start, which may make a store. A missing or empty store beside a key file or a state
 * file with counts is a loss, not a first start: an empty store would refuse every relay key, and a new one
 * in its place would hide what happened.
 */
#ifndef RELAY_AGENT_KEEPER_FIRSTRUN_H
#define RELAY_AGENT_KEEPER_FIRSTRUN_H

#include "common/config.h"
#include "common/errtext.h"

#include <stdbool.h>

/* Before the state file is opened. 0; -ENOENT with what is missing and the remedy. */
int firstrun_check(const struct config *c, bool *ret_first, struct errtext *e);
/*
 * `spoa-relay --init`: makes a new store, and renames an old state file, whose counts belong to the ids of
 * another store. Refuses if there is a store. 0, or a negative errno with the reason.
 */
int firstrun_init(const struct config *c, struct errtext *e);

#endif
