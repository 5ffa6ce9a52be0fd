/* The global switches (T7), kept in the settings of the store. */
#ifndef RELAY_ADMIN_API_SITE_H
#define RELAY_ADMIN_API_SITE_H

#include "admin/store/store.h"
#include "common/errtext.h"

#include <json-c/json.h>
#include <stdint.h>

/* SNAPSHOT_SITE_*. 0 or a negative errno. */
int site_flags(struct store *s, uint32_t *ret_flags, struct errtext *e);
/* The same as fields of an answer: enabled, self_use. */
int site_describe(struct store *s, json_object *o, struct errtext *e);

#endif
