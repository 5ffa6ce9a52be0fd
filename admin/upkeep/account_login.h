/*
 * What a login needs to be refreshed, beside its tokens: a token URL (the upstream's), a client id (the
 * account's or the upstream's), and for some token hosts a client secret.
 */
#ifndef RELAY_ADMIN_UPKEEP_ACCOUNT_LOGIN_H
#define RELAY_ADMIN_UPKEEP_ACCOUNT_LOGIN_H

#include "admin/store/store.h"
#include "admin/store/vault.h"
#include "admin/upkeep/account_credential.h"

/* SQL, of an account `a` and its upstream `u`. */
#define ACCOUNT_LOGIN_CLIENT_ID "coalesce(nullif(a.client_id, ''), u.client_id)"

/*
 * The account's credential is stored. Takes what is missing from the file and from what is known of its form:
 * the token URL for the upstream, the client id for the account. 0; -EINVAL with what is missing, and the
 * command that gives it.
 */
int account_login_complete(struct store *s, int64_t account, const struct credential_file *f,
	struct account_credential_taken *ret, struct errtext *e);

/*
 * -EEXIST with the reason if an account had this refresh token before: another account would lose its login, and
 * a token that its own account has used up would end the login of its newer one.
 */
int account_login_check_unused(struct store *s, const struct vault *v, int64_t account,
	struct slice refresh_token, struct errtext *e);

#endif
