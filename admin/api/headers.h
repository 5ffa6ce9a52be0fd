/* Extra headers in bodies of the API and in the store, checked together for an account and its upstream. */
#ifndef RELAY_ADMIN_API_HEADERS_H
#define RELAY_ADMIN_API_HEADERS_H

#include "admin/api/request.h"

/* Puts the stored object into an answer. */
void headers_describe(json_object *o, const char *field, struct slice stored);
/* Runs `update` (?1 text, ?2 id) with the body's `headers`, if it has any. 0 or -EINVAL. */
int headers_update(struct request *r, const char *update, int64_t id);
/*
 * Checks all headers that an account sends, its upstream's included, after a change of the account; or those of
 * each account of an upstream, after a change of the upstream. 0, or -EINVAL with the account's name.
 */
int headers_check_account(struct request *r, int64_t account_id);
int headers_check_upstream(struct request *r, int64_t upstream_id);

#endif
