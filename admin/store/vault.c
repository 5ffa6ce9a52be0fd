#include "admin/store/vault.h"

#include "admin/store/hex.h"
#include "admin/store/keyfile.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * A sealed value: format (1 byte), version of the data key (1 byte), nonce, ciphertext, tag. The
 * associated data are these two bytes and the place. Nonces are random: at most 2^32 values under
 * one key, which credentials never come near.
 */
#define FORMAT 1
#define DATA_KEY_VERSION 1
#define HEAD_LEN 2
#define NONCE_LEN 12
#define TAG_LEN 16
#define OVERHEAD (HEAD_LEN + NONCE_LEN + TAG_LEN)
#define PLACE_MAX (HEAD_LEN + VAULT_FIELD_MAX + 64)

/* In settings: which key file belongs to this store, and the data key sealed under it. */
#define SETTING_KEY_ID "vault.key_id"
#define SETTING_DATA_KEY "vault.data_key.1"
#define KEY_ID_LEN 8

struct vault {
	uint8_t key[VAULT_KEY_LEN];
};

/* --- AES-256-GCM --- */

static size_t format_place(
	const struct vault_place *at, const uint8_t head[HEAD_LEN], uint8_t out[PLACE_MAX])
{
	memcpy(out, head, HEAD_LEN);
	int n = snprintf((char *)out + HEAD_LEN, PLACE_MAX - HEAD_LEN, "%lld|%.*s|%lld",
		(long long)at->account, VAULT_FIELD_MAX, at->field, (long long)at->generation);
	return HEAD_LEN + (size_t)n;
}

static bool encrypt(EVP_CIPHER_CTX *c, const uint8_t *key, struct slice place, struct slice plain,
	uint8_t *nonce)
{
	uint8_t *text = nonce + NONCE_LEN;
	int n;

	return RAND_bytes(nonce, NONCE_LEN) == 1 &&
		EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
		EVP_EncryptUpdate(c, NULL, &n, (const uint8_t *)place.p, (int)place.n) == 1 &&
		EVP_EncryptUpdate(c, text, &n, (const uint8_t *)plain.p, (int)plain.n) == 1 &&
		EVP_EncryptFinal_ex(c, text + plain.n, &n) == 1 &&
		EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG_LEN, text + plain.n) == 1;
}

static bool decrypt(EVP_CIPHER_CTX *c, const uint8_t *key, struct slice place, struct slice sealed,
	uint8_t *out)
{
	const uint8_t *nonce = (const uint8_t *)sealed.p + HEAD_LEN;
	size_t len = sealed.n - OVERHEAD;
	uint8_t tag[TAG_LEN];
	int n;

	memcpy(tag, nonce + NONCE_LEN + len, TAG_LEN);
	return EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
		EVP_DecryptUpdate(c, NULL, &n, (const uint8_t *)place.p, (int)place.n) == 1 &&
		EVP_DecryptUpdate(c, out, &n, nonce + NONCE_LEN, (int)len) == 1 &&
		EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG_LEN, tag) == 1 &&
		EVP_DecryptFinal_ex(c, out + len, &n) == 1;
}

static int seal(const uint8_t *key, const struct vault_place *at, struct slice plain,
	struct buffer *out, struct errtext *e)
{
	uint8_t place[PLACE_MAX];

	if (plain.n > VAULT_PLAIN_MAX)
		return errtext_set(e, -EFBIG, "value is longer than %zu bytes", VAULT_PLAIN_MAX);
	size_t start = buffer_extend(out, OVERHEAD + plain.n);
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	if (start == SIZE_MAX || !c) {
		EVP_CIPHER_CTX_free(c);
		return errtext_set(e, -ENOMEM, "vault: out of memory");
	}
	uint8_t *head = (uint8_t *)out->data + start;
	head[0] = FORMAT;
	head[1] = DATA_KEY_VERSION;
	struct slice ad = {(const char *)place, format_place(at, head, place)};
	bool ok = encrypt(c, key, ad, plain, head + HEAD_LEN);
	EVP_CIPHER_CTX_free(c);
	return ok ? 0 : errtext_set(e, -EIO, "vault: encryption failed");
}

static int unseal(const uint8_t *key, const struct vault_place *at, struct slice sealed,
	struct buffer *ret, struct errtext *e)
{
	const uint8_t *head = (const uint8_t *)sealed.p;
	uint8_t place[PLACE_MAX];

	if (sealed.n < OVERHEAD || sealed.n > OVERHEAD + VAULT_PLAIN_MAX || head[0] != FORMAT ||
		head[1] != DATA_KEY_VERSION)
		return errtext_set(e, -EBADMSG, "vault: %s is not a sealed value", at->field);
	size_t len = sealed.n - OVERHEAD;
	size_t start = buffer_extend(ret, len);
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	if (start == SIZE_MAX || !c) {
		EVP_CIPHER_CTX_free(c);
		return errtext_set(e, -ENOMEM, "vault: out of memory");
	}
	struct slice ad = {(const char *)place, format_place(at, head, place)};
	bool ok = decrypt(c, key, ad, sealed, (uint8_t *)ret->data + start);
	EVP_CIPHER_CTX_free(c);
	if (ok)
		return 0;
	/* a failed decryption must not leave its output */
	explicit_bzero(ret->data + start, len);
	ret->len = start;
	return errtext_set(e, -EBADMSG, "vault: %s does not open: the value is damaged", at->field);
}

int vault_seal(const struct vault *v, const struct vault_place *at, struct slice plain,
	struct buffer *out, struct errtext *e)
{
	return seal(v->key, at, plain, out, e);
}

int vault_unseal(const struct vault *v, const struct vault_place *at, struct slice sealed,
	struct buffer *ret, struct errtext *e)
{
	return unseal(v->key, at, sealed, ret, e);
}

/* --- settings --- */

static int put_setting(const uint8_t *key, struct store *s, const char *name, struct slice plain,
	struct errtext *e)
{
	struct vault_place at = {.field = name};
	struct buffer sealed = {0};
	struct buffer text = {0};
	int error = seal(key, &at, plain, &sealed, e);

	if (!error) {
		hex_format(buffer_slice(&sealed), &text);
		error = buffer_error(&text);
	}
	if (!error)
		error = store_set_setting(s, name, buffer_str(&text), e);
	buffer_fini(&sealed);
	buffer_fini(&text);
	return error;
}

static int get_setting(const uint8_t *key, struct store *s, const char *name, struct buffer *ret,
	struct errtext *e)
{
	struct vault_place at = {.field = name};
	struct buffer sealed = {0};
	char *text = NULL;
	int error = store_get_setting(s, name, &text, e);

	if (error)
		return error;
	if (!text)
		return errtext_set(e, -ENOENT, "%s is not set", name);
	if (hex_parse(slice_from_str(text), &sealed) < 0)
		error = errtext_set(e, -EBADMSG, "vault: %s is damaged in the store", name);
	else
		error = unseal(key, &at, buffer_slice(&sealed), ret, e);
	buffer_fini(&sealed);
	free(text);
	return error;
}

int vault_put_setting(const struct vault *v, struct store *s, const char *name, struct slice plain,
	struct errtext *e)
{
	return put_setting(v->key, s, name, plain, e);
}

int vault_get_setting(const struct vault *v, struct store *s, const char *name, struct buffer *ret,
	struct errtext *e)
{
	return get_setting(v->key, s, name, ret, e);
}

/* --- opening --- */

/* Tells key files apart in messages; says nothing about a random key. */
static void format_key_id(const uint8_t key[VAULT_KEY_LEN], struct buffer *out)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	char input[32 + VAULT_KEY_LEN] = "spoa-relay key file";

	memcpy(input + 32, key, VAULT_KEY_LEN);
	SHA256((const uint8_t *)input, sizeof(input), digest);
	hex_format((struct slice){(const char *)digest, KEY_ID_LEN}, out);
	explicit_bzero(input, sizeof(input));
}

static int make_data_key(struct vault *v, struct store *s, const uint8_t *file_key,
	const char *key_id, struct errtext *e)
{
	if (RAND_priv_bytes(v->key, sizeof(v->key)) != 1)
		return errtext_set(e, -EIO, "vault: no randomness");
	int error = store_begin(s, e);
	if (error)
		return error;
	error = put_setting(file_key, s, SETTING_DATA_KEY,
		(struct slice){(const char *)v->key, sizeof(v->key)}, e);
	if (!error)
		error = store_set_setting(s, SETTING_KEY_ID, key_id, e);
	if (!error)
		return store_commit(s, e);
	store_rollback(s);
	return error;
}

static int take_data_key(struct vault *v, struct store *s, const char *path,
	const uint8_t *file_key, const char *key_id, const char *wanted_id, struct errtext *e)
{
	struct buffer plain = {0};
	int error = get_setting(file_key, s, SETTING_DATA_KEY, &plain, e);

	if (!error && plain.len == VAULT_KEY_LEN)
		memcpy(v->key, plain.data, VAULT_KEY_LEN);
	else if (strcmp(key_id, wanted_id) != 0)
		error = errtext_set(e, -EKEYREJECTED,
			"key file %s: is not the one this store was sealed with (it is key %s, the store "
			"wants %s): restore the right one from your backup",
			path, key_id, wanted_id);
	else if (error == -EBADMSG || error == -ENOENT || !error)
		error = errtext_set(e, -EBADMSG,
			"store: the vault's data key is damaged, though key file %s is the right one: "
			"restore a backup of the store",
			path);
	buffer_fini(&plain);
	return error;
}

/* `wanted_id` is NULL as long as nothing was ever sealed. */
static int open_with(struct vault *v, struct store *s, const char *path, const char *wanted_id,
	struct errtext *e)
{
	uint8_t file_key[VAULT_KEY_LEN];
	struct buffer id = {0};
	int error = keyfile_read(path, file_key, e);

	if (error == -ENOENT && !wanted_id)
		error = keyfile_create(path, file_key, e);
	else if (error == -ENOENT)
		errtext_set(e, error,
			"key file %s: is missing, and the store holds secrets sealed with it (key %s): "
			"restore it from your backup",
			path, wanted_id);
	if (error)
		return error;
	format_key_id(file_key, &id);
	if (wanted_id)
		error = take_data_key(v, s, path, file_key, buffer_str(&id), wanted_id, e);
	else
		error = make_data_key(v, s, file_key, buffer_str(&id), e);
	buffer_fini(&id);
	explicit_bzero(file_key, sizeof(file_key));
	return error;
}

/* NULL when nothing was ever sealed here; a lost id must not look like that. */
static int get_wanted_id(struct store *s, char **ret, struct errtext *e)
{
	char *data_key = NULL;
	int error = store_get_setting(s, SETTING_KEY_ID, ret, e);

	if (error || *ret)
		return error;
	error = store_get_setting(s, SETTING_DATA_KEY, &data_key, e);
	if (!error && data_key) {
		*ret = strdup("unknown");
		error = *ret ? 0 : errtext_set(e, -ENOMEM, "vault: out of memory");
	}
	free(data_key);
	return error;
}

int vault_open(struct store *s, const char *key_file, struct vault **ret, struct errtext *e)
{
	char *wanted_id = NULL;
	int error = get_wanted_id(s, &wanted_id, e);

	if (error)
		return error;
	struct vault *v = calloc(1, sizeof(*v));
	error = v ? open_with(v, s, key_file, wanted_id, e)
		  : errtext_set(e, -ENOMEM, "vault: out of memory");
	free(wanted_id);
	if (error)
		vault_close(v);
	else
		*ret = v;
	return error;
}

void vault_close(struct vault *v)
{
	if (!v)
		return;
	explicit_bzero(v, sizeof(*v));
	free(v);
}
