/*
 * Secrets that the relay generates once and keeps sealed in the store: the secret that relay keys
 * are hashed with, the secret that proves HAProxy's identity on TCP and UDP, and the key with which
 * HAProxy makes request ids.
 */
#ifndef RELAY_ADMIN_STORE_SECRETS_H
#define RELAY_ADMIN_STORE_SECRETS_H

#include "admin/store/store.h"
#include "admin/store/vault.h"
#include "common/relaykey.h"
#include "common/seam.h"

#define SECRETS_RECORD_LEN 40 /* length of a generated record secret */
#define SECRETS_ID_KEY_LEN 32
#define SECRETS_ID_KEY_TEXT_LEN 44 /* in base64 */

struct secrets {
	uint8_t hash_secret[RELAYKEY_SECRET_LEN];
	struct relaykey_hasher hasher; /* ready to hash relay keys for the store */
	char record_secret[SEAM_SECRET_MAX + 1];
	bool record_is_ours; /* not from the configuration: record_secret() of it is rendered */
	char id_key[SECRETS_ID_KEY_TEXT_LEN + 1];
};

/* `configured` is [spop] secret, empty for none. Makes what is missing. */
int secrets_load(struct store *s, const struct vault *v, const char *configured,
	struct secrets *ret, struct errtext *e);
void secrets_wipe(struct secrets *s);

#endif
