/* The global switches of the site as fields of an answer. */
#ifndef RELAY_ADMIN_API_SITE_H
#define RELAY_ADMIN_API_SITE_H

#include "admin/store/store.h"
#include "common/errtext.h"

#include <json-c/json.h>

/* Adds enabled and self_use. */
int site_describe(struct store *s, json_object *o, struct errtext *e);

#endif
