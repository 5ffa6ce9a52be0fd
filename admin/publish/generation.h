/*
 * Generations: the backends and extra headers that each rendered configuration knows. The store has
 * a row for each, from first_gen to last_gen; rows of the newest generation are open. A backend's
 * id is bound to everything that is rendered for its upstream and egress: a change gets a new id,
 * and an old HAProxy process still finds the old one.
 */
#ifndef RELAY_ADMIN_PUBLISH_GENERATION_H
#define RELAY_ADMIN_PUBLISH_GENERATION_H

#include "admin/store/store.h"
#include "common/errtext.h"

#include <stdbool.h>
#include <stdint.h>

#define GENERATION_HEADERS_MAX 64 /* extra headers in one configuration */

/* The number of the configuration rendered last; 0 = none yet. */
uint64_t generation_current(struct store *s);
int generation_set_current(struct store *s, uint64_t gen, struct errtext *e);

/*
 * Brings backends and extra headers in line with the accounts, as generation `next`, inside the
 * caller's transaction. `ret_changed` tells whether a row was opened or closed.
 */
int generation_plan(struct store *s, uint64_t next, bool *ret_changed, struct errtext *e);

#endif
