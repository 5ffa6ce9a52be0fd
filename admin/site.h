/* The global switches (T7), kept in the settings of the store. */
#ifndef RELAY_ADMIN_SITE_H
#define RELAY_ADMIN_SITE_H

#include "admin/store.h"
#include "common/errtext.h"

#include <stdint.h>

/* SNAPSHOT_SITE_*. 0 or a negative errno. */
int site_flags(struct store *s, uint32_t *ret_flags, struct errtext *e);

#endif
