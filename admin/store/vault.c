#include "admin/store/vault.h"

#include "admin/store/hex.h"
#include "admin/store/keyfile.h"
#include "admin/store/sql.h"
#include "admin/store/vault_parts.h"

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
#define FIRST_VERSION 1 /* also in data keys, which the key of a key file seals */
#define HEAD_LEN 2
#define NONCE_LEN 12
#define TAG_LEN 16
#define OVERHEAD (HEAD_LEN + NONCE_LEN + TAG_LEN)
#define PLACE_MAX (HEAD_LEN + VAULT_FIELD_MAX + 64)

#define KEY_ID_LEN ((VAULT_ID_SIZE - 1) / 2)

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

static int seal(const struct vault_key *key, const struct vault_place *at, struct slice plain,
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
	head[1] = key->version;
	struct slice ad = {(const char *)place, format_place(at, head, place)};
	bool ok = encrypt(c, key->bytes, ad, plain, head + HEAD_LEN);
	EVP_CIPHER_CTX_free(c);
	return ok ? 0 : errtext_set(e, -EIO, "vault: encryption failed");
}

/* The version of the data key; 0 = not a sealed value. */
static uint8_t version_of(struct slice sealed)
{
	bool is_sealed = sealed.n >= OVERHEAD && sealed.n <= OVERHEAD + VAULT_PLAIN_MAX &&
		sealed.p[0] == FORMAT;

	return is_sealed ? (uint8_t)sealed.p[1] : 0;
}

static int unseal(const struct vault_key *key, const struct vault_place *at, struct slice sealed,
	struct buffer *ret, struct errtext *e)
{
	const uint8_t *head = (const uint8_t *)sealed.p;
	uint8_t place[PLACE_MAX];

	if (!key->version || version_of(sealed) != key->version)
		return errtext_set(e, -EBADMSG, "vault: %s is not a sealed value", at->field);
	size_t len = sealed.n - OVERHEAD;
	size_t start = buffer_extend(ret, len);
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	if (start == SIZE_MAX || !c) {
		EVP_CIPHER_CTX_free(c);
		return errtext_set(e, -ENOMEM, "vault: out of memory");
	}
	struct slice ad = {(const char *)place, format_place(at, head, place)};
	bool ok = decrypt(c, key->bytes, ad, sealed, (uint8_t *)ret->data + start);
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
	return seal(&v->now, at, plain, out, e);
}

int vault_unseal(const struct vault *v, const struct vault_place *at, struct slice sealed,
	struct buffer *ret, struct errtext *e)
{
	bool is_old = v->old.version && version_of(sealed) == v->old.version;

	return unseal(is_old ? &v->old : &v->now, at, sealed, ret, e);
}

/* --- settings --- */

static int put_setting(const struct vault_key *key, struct store *s, const char *name,
	struct slice plain, struct errtext *e)
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

/* -ENOENT: unset. */
static int read_setting(struct store *s, const char *name, struct buffer *ret, struct errtext *e)
{
	char *text = NULL;
	int error = store_get_setting(s, name, &text, e);

	if (error)
		return error;
	if (!text)
		return errtext_set(e, -ENOENT, "%s is not set", name);
	if (hex_parse(slice_from_str(text), ret) < 0)
		error = errtext_set(e, -EBADMSG, "vault: %s is damaged in the store", name);
	free(text);
	return error;
}

int vault_put_setting(const struct vault *v, struct store *s, const char *name, struct slice plain,
	struct errtext *e)
{
	if (!slice_has_prefix(slice_from_str(name), SLICE_LITERAL(VAULT_SETTING_PREFIX)))
		return errtext_set(e, -EINVAL, "vault: %s is no name of a sealed setting", name);
	return put_setting(&v->now, s, name, plain, e);
}

int vault_get_setting(const struct vault *v, struct store *s, const char *name, struct buffer *ret,
	struct errtext *e)
{
	const struct vault_place at = {.field = name};
	struct buffer sealed = {0};
	int error = read_setting(s, name, &sealed, e);

	if (!error)
		error = vault_unseal(v, &at, buffer_slice(&sealed), ret, e);
	buffer_fini(&sealed);
	return error;
}

int vault_text_setting(struct store *s, const char *name, char *out, size_t size, struct errtext *e)
{
	char *text = NULL;
	int error = store_get_setting(s, name, &text, e);

	if (!error && (!text || !*text))
		error = -ENOENT;
	if (!error)
		snprintf(out, size, "%s", text);
	free(text);
	return error;
}

int vault_number_setting(
	struct store *s, const char *name, int64_t otherwise, int64_t *ret, struct errtext *e)
{
	int error = sql_number(s, e, ret,
		"SELECT CAST(value AS INTEGER) FROM settings WHERE name = ?1", "t", name);

	if (error == -ENOENT)
		*ret = otherwise;
	return error == -ENOENT ? 0 : error;
}

int vault_set_number(struct store *s, const char *name, int64_t n, struct errtext *e)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)n);
	return store_set_setting(s, name, text, e);
}

int vault_unset(struct store *s, const char *name, struct errtext *e)
{
	return sql_run(s, e, "DELETE FROM settings WHERE name = ?1", "t", name);
}

/* --- data keys --- */

const char *vault_key_name(uint8_t version, bool next, char out[VAULT_NAME_SIZE])
{
	snprintf(out, VAULT_NAME_SIZE, "vault.data_key.%u%s", version, next ? ".next" : "");
	return out;
}

static struct vault_key file_key_of(const uint8_t *bytes)
{
	struct vault_key key = {.version = FIRST_VERSION};

	memcpy(key.bytes, bytes, VAULT_KEY_LEN);
	return key;
}

int vault_put_key(const uint8_t *file_key, struct store *s, const struct vault_key *key, bool next,
	struct errtext *e)
{
	struct vault_key wrapping = file_key_of(file_key);
	char name[VAULT_NAME_SIZE];
	int error = put_setting(&wrapping, s, vault_key_name(key->version, next, name),
		(struct slice){(const char *)key->bytes, VAULT_KEY_LEN}, e);

	explicit_bzero(&wrapping, sizeof(wrapping));
	return error;
}

int vault_get_key(const uint8_t *file_key, struct store *s, uint8_t version, bool next,
	struct vault_key *ret, struct errtext *e)
{
	struct vault_key wrapping = file_key_of(file_key);
	char name[VAULT_NAME_SIZE];
	const struct vault_place at = {.field = vault_key_name(version, next, name)};
	struct buffer sealed = {0};
	struct buffer plain = {0};
	int error = read_setting(s, name, &sealed, e);

	if (!error)
		error = unseal(&wrapping, &at, buffer_slice(&sealed), &plain, e);
	if (!error && plain.len != VAULT_KEY_LEN)
		error = errtext_set(e, -EBADMSG, "vault: %s has a wrong length", name);
	if (!error) {
		ret->version = version;
		memcpy(ret->bytes, plain.data, VAULT_KEY_LEN);
	}
	buffer_fini(&sealed);
	buffer_fini(&plain);
	explicit_bzero(&wrapping, sizeof(wrapping));
	return error;
}

/* --- opening --- */

/* Tells key files apart in messages; says nothing about a random key. */
void vault_format_id(const uint8_t file_key[VAULT_KEY_LEN], char out[VAULT_ID_SIZE])
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	char input[32 + VAULT_KEY_LEN] = "spoa-relay key file";

	memcpy(input + 32, file_key, VAULT_KEY_LEN);
	SHA256((const uint8_t *)input, sizeof(input), digest);
	for (size_t i = 0; i < KEY_ID_LEN; i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
	explicit_bzero(input, sizeof(input));
}

static int make_data_key(struct vault *v, struct store *s, const uint8_t *file_key,
	const char *key_id, struct errtext *e)
{
	v->now.version = FIRST_VERSION;
	if (RAND_priv_bytes(v->now.bytes, sizeof(v->now.bytes)) != 1)
		return errtext_set(e, -EIO, "vault: no randomness");
	int error = store_begin(s, e);
	if (error)
		return error;
	error = vault_put_key(file_key, s, &v->now, false, e);
	if (!error)
		error = store_set_setting(s, VAULT_KEY_ID, key_id, e);
	if (!error)
		return store_commit(s, e);
	store_rollback(s);
	return error;
}

/* The one that seals, and during a rotation the one before. */
static int get_data_keys(
	struct vault *v, struct store *s, const uint8_t *file_key, bool next, struct errtext *e)
{
	int64_t version = FIRST_VERSION;
	int64_t old = 0;
	int error = vault_number_setting(s, VAULT_VERSION, FIRST_VERSION, &version, e);

	if (!error)
		error = vault_number_setting(s, VAULT_OLD_VERSION, 0, &old, e);
	if (!error)
		error = vault_get_key(file_key, s, (uint8_t)version, next, &v->now, e);
	if (!error && old)
		error = vault_get_key(file_key, s, (uint8_t)old, next, &v->old, e);
	return error;
}

static int take_data_key(struct vault *v, struct store *s, const char *path,
	const uint8_t *file_key, const char *key_id, const char *wanted_id, struct errtext *e)
{
	char next_id[VAULT_ID_SIZE] = "";
	int error = vault_text_setting(s, VAULT_NEXT_KEY_ID, next_id, sizeof(next_id), e);
	bool is_next = !error && strcmp(key_id, next_id) == 0;

	if (!error || error == -ENOENT)
		error = get_data_keys(v, s, file_key, is_next, e);
	if (!error)
		return 0;
	if (!is_next && strcmp(key_id, wanted_id) != 0)
		return errtext_set(e, -EKEYREJECTED,
			"key file %s: is not the one this store was sealed with (it is key %s, the store "
			"wants %s): restore the right one from your backup",
			path, key_id, wanted_id);
	if (error == -EBADMSG || error == -ENOENT)
		error = errtext_set(e, -EBADMSG,
			"store: the vault's data key is damaged, though key file %s is the right one: "
			"restore a backup of the store",
			path);
	return error;
}

/* `wanted_id` is NULL as long as nothing was ever sealed. */
static int open_with(struct vault *v, struct store *s, const char *path, const char *wanted_id,
	struct errtext *e)
{
	uint8_t file_key[VAULT_KEY_LEN];
	char id[VAULT_ID_SIZE];
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
	vault_format_id(file_key, id);
	if (wanted_id)
		error = take_data_key(v, s, path, file_key, id, wanted_id, e);
	else
		error = make_data_key(v, s, file_key, id, e);
	explicit_bzero(file_key, sizeof(file_key));
	return error;
}

/* NULL when nothing was ever sealed here; a lost id must not look like that. */
static int get_wanted_id(struct store *s, char **ret, struct errtext *e)
{
	int64_t keys = 0;
	int error = store_get_setting(s, VAULT_KEY_ID, ret, e);

	if (error || *ret)
		return error;
	error = sql_number(s, e, &keys,
		"SELECT count(*) FROM settings WHERE name GLOB 'vault.data_key.*'", "");
	if (!error && keys) {
		*ret = strdup("unknown");
		error = *ret ? 0 : errtext_set(e, -ENOMEM, "vault: out of memory");
	}
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
