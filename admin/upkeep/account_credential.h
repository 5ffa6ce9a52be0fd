/* Stores the credential of an account, from an operator or from a watched file. */
#ifndef RELAY_ADMIN_UPKEEP_ACCOUNT_CREDENTIAL_H
#define RELAY_ADMIN_UPKEEP_ACCOUNT_CREDENTIAL_H

#include "admin/store/store.h"
#include "admin/store/vault.h"
#include "admin/upkeep/authjson.h"

/* NULL = not given. */
struct account_credential_given {
	const char *token;
	const char *auth_json;
	const char *watch_path;		  /* only with auth_json */
	const struct provider_file *file; /* what auth_json is of; NULL = the provider has none */
};

/*
 * Replaces the credential if one is given. Clears a pending refresh and the login-required mark. 0
 * or -EINVAL; the error text contains no secret.
 */
int account_credential_update(struct store *s, const struct vault *v, int64_t account,
	const struct account_credential_given *given, struct errtext *e);

/* A file is watched for its access token, which nothing here can renew. 0 or -EINVAL. */
int account_credential_check_watched(const struct authjson *a, struct errtext *e);

/*
 * Stores newer tokens of a watched file. The caller holds the transaction and raises the store's
 * version.
 */
int account_credential_take(struct store *s, const struct vault *v, int64_t account,
	const struct authjson *a, struct errtext *e);

#endif
