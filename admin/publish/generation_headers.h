/* Extra headers by generation: one for every extra header name that an account or upstream sets. */
#ifndef RELAY_ADMIN_PUBLISH_GENERATION_HEADERS_H
#define RELAY_ADMIN_PUBLISH_GENERATION_HEADERS_H

#include "admin/store/store.h"
#include "common/errtext.h"

#include <stdbool.h>
#include <stdint.h>

/* `changed` is set when a header was opened or closed. */
int generation_plan_headers(struct store *s, uint64_t next, bool *changed, struct errtext *e);

#endif
