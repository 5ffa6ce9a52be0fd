/*
 * The relay keys in the form that the agent searches: a base of all keys in sealed memory, which
 * is built seldom, and a log of the keys that changed since, which is part of every snapshot.
 */
#ifndef RELAY_ADMIN_PUBLISH_KEYBASE_H
#define RELAY_ADMIN_PUBLISH_KEYBASE_H

#include "admin/store/store.h"
#include "common/buffer.h"
#include "common/errtext.h"

#include <stdint.h>

struct keybase {
	int fd;		/* sealed; -1 = none */
	uint64_t id;	/* the store's version when it was built */
	uint32_t count; /* keys in it */
	uint32_t last_key;
};

void keybase_init(struct keybase *k);
void keybase_fini(struct keybase *k);

/* Builds a base of the present keys in place of the one that is there. */
int keybase_build(struct keybase *k, struct store *s, struct errtext *e);
/* Appends the log since the base: a key table. */
int keybase_log(const struct keybase *k, struct store *s, struct buffer *out, uint32_t *ret_count,
	struct errtext *e);
/* Whether the base is there and holds no key that has since been deleted from the store. */
int keybase_is_whole(const struct keybase *k, struct store *s, bool *ret, struct errtext *e);

#endif
