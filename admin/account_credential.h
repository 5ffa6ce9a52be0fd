/* The credential of an account out of a body: `token` or `auth_json`. */
#ifndef RELAY_ADMIN_ACCOUNT_CREDENTIAL_H
#define RELAY_ADMIN_ACCOUNT_CREDENTIAL_H

#include "admin/request.h"

/* Replaces what there was, if the body has one. 0 or -EINVAL naming what is wrong, never a value. */
int account_credential_update(struct request *r, int64_t account);

#endif
