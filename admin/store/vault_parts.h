/* What vault.c and vault_rotate.c share. */
#ifndef RELAY_ADMIN_STORE_VAULT_PARTS_H
#define RELAY_ADMIN_STORE_VAULT_PARTS_H

#include "admin/store/vault.h"

/* Which key file belongs to this store; and during a rotation, which other one does. */
#define VAULT_KEY_ID "vault.key_id"
#define VAULT_NEXT_KEY_ID "vault.next_key_id"
/* The version of the data key that seals; and during a rotation, of the one that sealed before. */
#define VAULT_VERSION "vault.version"
#define VAULT_OLD_VERSION "vault.old_version"
#define VAULT_ROTATED "vault.rotated_ms"
#define VAULT_NAME_SIZE 40

struct vault_key {
	uint8_t version; /* 0 = there is none */
	uint8_t bytes[VAULT_KEY_LEN];
};

struct vault {
	struct vault_key now, old;
};

/* The name of a data key in settings, sealed under the key file or under the next one. */
const char *vault_key_name(uint8_t version, bool next, char out[VAULT_NAME_SIZE]);
/* A data key in settings, sealed with the key of a key file. get: -ENOENT, -EBADMSG. */
int vault_put_key(const uint8_t *file_key, struct store *s, const struct vault_key *key, bool next,
	struct errtext *e);
int vault_get_key(const uint8_t *file_key, struct store *s, uint8_t version, bool next,
	struct vault_key *ret, struct errtext *e);
void vault_format_id(const uint8_t file_key[VAULT_KEY_LEN], char out[VAULT_ID_SIZE]);

/* -ENOENT: unset, or empty. */
int vault_text_setting(
	struct store *s, const char *name, char *out, size_t size, struct errtext *e);
int vault_number_setting(
	struct store *s, const char *name, int64_t otherwise, int64_t *ret, struct errtext *e);
int vault_set_number(struct store *s, const char *name, int64_t n, struct errtext *e);
int vault_unset(struct store *s, const char *name, struct errtext *e);

#endif
