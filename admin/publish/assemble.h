/*
 * Assembles a snapshot from the store: tenants, pools, accounts with their tokens in clear,
 * backends and extra headers of every generation. A malformed or incomplete account becomes
 * unusable; it never becomes less strict.
 */
#ifndef RELAY_ADMIN_PUBLISH_ASSEMBLE_H
#define RELAY_ADMIN_PUBLISH_ASSEMBLE_H

#include "admin/store/store.h"
#include "admin/store/vault.h"
#include "common/errtext.h"
#include "common/snapshot.h"

/* Adds every section but the keys. 0 or a negative errno. */
int assemble_snapshot(
	struct store *s, const struct vault *v, struct snapshot_builder *b, struct errtext *e);

#endif
