/* The store's tables, one text per schema version; PRAGMA user_version counts them. */
#ifndef RELAY_ADMIN_STORE_SCHEMA_H
#define RELAY_ADMIN_STORE_SCHEMA_H

#include <stddef.h>

#define SCHEMA_APPLICATION_ID 0x52454c59 /* "RELY" */

/* schema_migrations()[n] leads from version n to n + 1. */
const char *const *schema_migrations(size_t *ret_count);

#endif
