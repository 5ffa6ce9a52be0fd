/* The credential of an account out of a body (`token`, `auth_json`, `watch_path`), or of a watched file. */
#ifndef RELAY_ADMIN_UPKEEP_ACCOUNT_CREDENTIAL_H
#define RELAY_ADMIN_UPKEEP_ACCOUNT_CREDENTIAL_H

#include "admin/api/request.h"
#include "admin/upkeep/authjson.h"

/*
 * Replaces what there was, if the body has one, and with it ends what became of that: a refresh under
 * way, the need of a login. 0 or -EINVAL naming what is wrong, never a value.
 */
int account_credential_update(struct request *r, int64_t account);

/* Newer tokens of a watched file. The caller holds the transaction and raises the store's version. */
int account_credential_take(struct store *s, const struct vault *v, int64_t account,
	const struct authjson *a, struct errtext *e);

#endif
