/* Stores the credential of an account, from an operator or from a watched file. */
#ifndef RELAY_ADMIN_UPKEEP_ACCOUNT_CREDENTIAL_H
#define RELAY_ADMIN_UPKEEP_ACCOUNT_CREDENTIAL_H

#include "admin/store/store.h"
#include "admin/store/vault.h"
#include "admin/upkeep/credential_file.h"

#define ACCOUNT_CREDENTIAL_URL_SIZE 512

/* NULL = not given. */
struct account_credential_given {
	const char *token;
	const char *file;	   /* content of a credential file */
	const char *watch_path;	   /* only with file */
	const char *client_secret; /* instead of the file's */
	const struct provider *provider;
	bool client_id_given; /* the account has it already, instead of the file's */
	/*
	 * What a refresh needs is taken from the file and from what is known of its form; if something is
	 * missing, the file is refused. False: such an account is not refreshed.
	 */
	bool completes;
};

struct account_credential_taken {
	const struct provider_file *form; /* of a credential file; NULL = none was given */
	char token_url
		[ACCOUNT_CREDENTIAL_URL_SIZE]; /* the upstream has it now; empty = it did not change */
};

/*
 * Replaces the credential if one is given. Clears a pending refresh and the login-required mark. 0
 * or a negative errno code; the error text contains no secret.
 */
int account_credential_update(struct store *s, const struct vault *v, int64_t account,
	const struct account_credential_given *given, struct account_credential_taken *ret,
	struct errtext *e);

/* A file is watched for its access token, which nothing here can renew. 0 or -EINVAL. */
int account_credential_check_watched(const struct credential_file *a, struct errtext *e);

/*
 * Stores newer tokens of a watched file. The caller holds the transaction and raises the store's
 * version.
 */
int account_credential_take(struct store *s, const struct vault *v, int64_t account,
	const struct credential_file *a, struct errtext *e);

#endif
