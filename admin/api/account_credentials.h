/* The credentials in `accounts add` and `accounts set`, and what they bring: limits, a token URL. */
#ifndef RELAY_ADMIN_API_ACCOUNT_CREDENTIALS_H
#define RELAY_ADMIN_API_ACCOUNT_CREDENTIALS_H

#include "admin/api/request.h"
#include "admin/upkeep/account_credential.h"

/* Replaces the credential if the body has one. */
int account_credentials_update(struct request *r, int64_t id, struct account_credential_taken *ret);
/* A new account with the login of a subscription gets its limits, unless the body has them. */
int account_credentials_limit(
	struct request *r, int64_t id, const struct account_credential_taken *taken);
/* Says in the answer what came with the credential. */
int account_credentials_note(struct request *r, const char *name, bool is_new,
	const struct account_credential_taken *taken);

#endif
