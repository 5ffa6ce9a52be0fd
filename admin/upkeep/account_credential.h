/* Stores the credential of an account that an operator gives, or that a watched file holds. */
#ifndef RELAY_ADMIN_UPKEEP_ACCOUNT_CREDENTIAL_H
#define RELAY_ADMIN_UPKEEP_ACCOUNT_CREDENTIAL_H

#include "admin/store/store.h"
#include "admin/store/vault.h"
#include "admin/upkeep/authjson.h"

/* Each is NULL when it is not given. */
struct account_credential_given {
	const char *token;
	const char *auth_json;
	const char *watch_path; /* only with auth_json */
};

/*
 * Replaces the credential if one is given. A refresh under way and the need of a login end with the
 * old credential. 0 or -EINVAL naming what is wrong, never a value.
 */
int account_credential_update(struct store *s, const struct vault *v, int64_t account,
	const struct account_credential_given *given, struct errtext *e);

/* Newer tokens of a watched file. The caller holds the transaction and raises the store's version. */
int account_credential_take(struct store *s, const struct vault *v, int64_t account,
	const struct authjson *a, struct errtext *e);

#endif
