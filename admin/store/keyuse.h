/*
 * When a key was last used, to the hour: learnt from the rows of finished requests, so that the path of a request
 * has no part in it, and a busy key is written once an hour.
 */
#ifndef RELAY_ADMIN_STORE_KEYUSE_H
#define RELAY_ADMIN_STORE_KEYUSE_H

#include "admin/store/store.h"
#include "common/errtext.h"

#include <stdint.h>

#define KEYUSE_STEP_MS ((int64_t)3600 * 1000)

/* A request with this key began at this time, Unix ms. Key 0 is none. */
int keyuse_note(struct store *s, uint32_t key, int64_t started_ms, struct errtext *e);

#endif
