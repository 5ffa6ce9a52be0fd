/* What the files share that assemble a snapshot. */
#ifndef RELAY_ADMIN_PUBLISH_ASSEMBLE_PARTS_H
#define RELAY_ADMIN_PUBLISH_ASSEMBLE_PARTS_H

#include "admin/command/headerset.h"
#include "admin/store/sql.h"
#include "admin/store/vault.h"
#include "common/buffer.h"
#include "common/errtext.h"
#include "common/provider.h"
#include "common/snapshot.h"

/* Rows of one section by the store's id. Ids are added in rising order: the position is the index. */
struct idmap {
	struct buffer ids; /* int64_t, ascending */
};

/* What accounts need of their upstream beyond its row in the snapshot. */
struct assemble_upstream {
	const struct provider *provider;
};

struct assemble_pair {
	int64_t upstream;
	int64_t egress;
	struct snapshot_range backends;
};

struct assemble {
	struct store *store;
	const struct vault *vault;
	struct snapshot_builder *builder;
	struct errtext *e;
	struct idmap upstreams, egresses, accounts;
	struct buffer upstream_rows; /* struct assemble_upstream, as `upstreams` */
	struct buffer pairs;	     /* struct assemble_pair, ascending */
};

void idmap_add(struct idmap *m, int64_t id);
/* -1 when it is not there. */
int64_t idmap_find(const struct idmap *m, int64_t id);

/* A column as a text of the snapshot. */
struct snapshot_text assemble_text(struct assemble *a, struct row *row, const char *column);

/* Accounts with their egresses and headers; needs the upstreams, egresses and pairs. */
int assemble_accounts(struct assemble *a);
/* The bans that have not expired, in ban_order(). */
int assemble_bans(struct assemble *a);

#endif
