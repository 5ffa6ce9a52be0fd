/*
 * The vault seals secrets for the store: AES-256-GCM under a data key of the store, which is
 * wrapped with the key of the key file. vault_rotate.h renews both. The key
 * file is one line of 64 hex digits, mode 0400. It is created at the first start, when nothing has
 * been sealed yet. Later, a missing or different key file is an error.
 */
#ifndef RELAY_ADMIN_STORE_VAULT_H
#define RELAY_ADMIN_STORE_VAULT_H

#include "admin/store/store.h"
#include "common/buffer.h"
#include "common/errtext.h"
#include "common/slice.h"

#include <stdint.h>

#define VAULT_KEY_LEN 32
#define VAULT_PLAIN_MAX ((size_t)1 << 20) /* the raw reply of a token host */
#define VAULT_FIELD_MAX 64
#define VAULT_ID_SIZE 17 /* of a key file, in messages */

/*
 * Who seals values adds their place to vault_rotate.c, which seals all of them anew: the table, or for settings
 * this prefix of the name.
 */
#define VAULT_SETTING_PREFIX "secret."
#define VAULT_PLACE_REPLY "refresh_reply" /* of the table refreshes */

struct vault;

/* The place of a sealed value: it opens for this place only. */
struct vault_place {
	const char *field; /* at most VAULT_FIELD_MAX characters */
	int64_t account;   /* 0 = of no account */
	int64_t generation;
};

int vault_open(struct store *s, const char *key_file, struct vault **ret, struct errtext *e);
void vault_close(struct vault *v);

/* Appends version | nonce | ciphertext | tag to `out`. 0, -EFBIG, -EIO. */
int vault_seal(const struct vault *v, const struct vault_place *at, struct slice plain,
	struct buffer *out, struct errtext *e);
/* Appends the plain text to `ret`, which buffer_fini() wipes. 0, or -EBADMSG: not sealed by us for this place. */
int vault_unseal(const struct vault *v, const struct vault_place *at, struct slice sealed,
	struct buffer *ret, struct errtext *e);

/* The same for a value kept as text in `settings`, under a name with the prefix. -ENOENT when it is unset. */
int vault_put_setting(const struct vault *v, struct store *s, const char *name, struct slice plain,
	struct errtext *e);
int vault_get_setting(const struct vault *v, struct store *s, const char *name, struct buffer *ret,
	struct errtext *e);

#endif
