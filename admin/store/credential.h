/*
 * The sealed credentials of an account. No other code writes them. Every write raises the field's
 * generation, and the seal is bound to the generation: an old row that is put back does not open.
 */
#ifndef RELAY_ADMIN_STORE_CREDENTIAL_H
#define RELAY_ADMIN_STORE_CREDENTIAL_H

#include "admin/store/store.h"
#include "admin/store/vault.h"
#include "common/buffer.h"
#include "common/seam.h"

enum credential_field {
	CREDENTIAL_ACCESS_TOKEN, /* or the API key */
	CREDENTIAL_REFRESH_TOKEN,
	CREDENTIAL_ID_TOKEN,
	CREDENTIAL_ACCOUNT_ID, /* the provider's own id of the account, sent as a header */
	CREDENTIAL_FIRST_TOKEN, /* the refresh token that the login came with: used up, if there is a newer one */
	CREDENTIAL_CLIENT_SECRET, /* of the program that made the login, sent with its refresh token */
	CREDENTIAL_FIELD_COUNT,
};

struct credential {
	struct buffer value; /* credential_fini() wipes it */
	int64_t generation;
	int64_t expires_ms; /* Unix time; 0 = never or unknown */
	int64_t updated_ms;
};

const char *credential_field_name(enum credential_field f);

/*
 * 0; -EINVAL: empty, or a character that no header may have; -EFBIG: longer than the field's bound.
 * The bound of an access token is that of a decision. A refresh token is sent in a body only, so
 * every character may be in it. The caller holds the transaction and raises the store's version.
 */
int credential_check(enum credential_field f, struct slice value, struct errtext *e);
int credential_put(struct store *s, const struct vault *v, int64_t account, enum credential_field f,
	struct slice value, int64_t expires_ms, struct errtext *e);
/* The credential is older than its row: it was obtained at `updated_ms`. */
int credential_age(struct store *s, int64_t account, enum credential_field f, int64_t updated_ms,
	struct errtext *e);
/* 0, -ENOENT (none), -EBADMSG (does not open). `ret` is overwritten. */
int credential_get(struct store *s, const struct vault *v, int64_t account, enum credential_field f,
	struct credential *ret, struct errtext *e);
void credential_fini(struct credential *c);

#endif
