/*
 * Names of the things that requests refer to by id, looked up one by one and kept: a list of requests needs
 * few of perhaps many names. A name is never given to another id.
 */
#ifndef RELAY_ADMIN_STORE_LABELS_H
#define RELAY_ADMIN_STORE_LABELS_H

#include "admin/store/names.h"
#include "admin/store/store.h"

#include <stdint.h>

enum label_kind {
	LABEL_TENANT,
	LABEL_POOL,
	LABEL_ACCOUNT,
	LABEL_EGRESS,
	LABEL_UPSTREAM,
	LABEL_KIND_COUNT,
};

#define LABELS_KEPT 256 /* of each kind; a power of two */

/* Zeroed, it is empty. About 90 KB. */
struct labels {
	uint64_t version; /* of the store; another one empties it */
	struct name_row rows[LABEL_KIND_COUNT][LABELS_KEPT];
};

/* "#ID" when the store has no such thing, "" for id 0. Valid until the next call for this kind. */
const char *labels_name(struct labels *l, struct store *s, enum label_kind kind, uint32_t id);

#endif
