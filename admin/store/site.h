/*
 * The global switches of the site, in the settings of the store; a switch has its default until it
 * is set.
 */
#ifndef RELAY_ADMIN_STORE_SITE_H
#define RELAY_ADMIN_STORE_SITE_H

#include "admin/store/store.h"
#include "common/errtext.h"

#include <stdbool.h>
#include <stdint.h>

/* SNAPSHOT_SITE_*. 0 or a negative errno. */
int site_flags(struct store *s, uint32_t *ret_flags, struct errtext *e);
/* `flag` is one of SNAPSHOT_SITE_*. */
int site_set_flag(struct store *s, uint32_t flag, bool on, struct errtext *e);

#endif
