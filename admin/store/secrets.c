#include "admin/store/secrets.h"

#include "common/errtext.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#define SETTING_HASH_SECRET "secret.hash.1"
/* "secret.record.1" was in HAProxy's files as it is: the secret of a generation cannot come from it */
#define SETTING_RECORD_SECRET "secret.record.2"
#define SETTING_ID_KEY "secret.ids.1"

/* `make` fills a fresh value when the setting does not exist yet. */
static int load(struct store *s, const struct vault *v, const char *name,
	int (*make)(struct buffer *out), struct buffer *ret, struct errtext *e)
{
	int error = vault_get_setting(v, s, name, ret, e);

	if (error != -ENOENT)
		return error;
	error = make(ret);
	if (error)
		return errtext_set(e, error, "%s: no randomness", name);
	return vault_put_setting(v, s, name, buffer_slice(ret), e);
}

static int make_bytes(struct buffer *out, int len)
{
	size_t at = buffer_extend(out, (size_t)len);

	if (at == SIZE_MAX)
		return buffer_error(out);
	return RAND_priv_bytes((unsigned char *)out->data + at, len) == 1 ? 0 : -EIO;
}

static int make_hash_secret(struct buffer *out)
{
	return make_bytes(out, RELAYKEY_SECRET_LEN);
}

static int make_id_key(struct buffer *out)
{
	return make_bytes(out, SECRETS_ID_KEY_LEN);
}

/* Letters and digits, which need no quotes in HAProxy's configuration and environment. */
static int make_record_secret(struct buffer *out)
{
	static const char alphabet[] =
		"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	unsigned char byte;

	while (out->len < SECRETS_RECORD_LEN && !buffer_error(out)) {
		if (RAND_priv_bytes(&byte, 1) != 1)
			return -EIO;
		if (byte < 4 * 62) /* higher values would favour the first letters */
			buffer_append(out, alphabet + byte % 62, 1);
	}
	return buffer_error(out);
}

static int load_hash_secret(
	struct store *s, const struct vault *v, struct secrets *ret, struct errtext *e)
{
	struct buffer value = {0};
	int error = load(s, v, SETTING_HASH_SECRET, make_hash_secret, &value, e);

	if (!error && value.len != RELAYKEY_SECRET_LEN)
		error = errtext_set(e, -EBADMSG, "store: the hash secret has a wrong length");
	if (!error) {
		memcpy(ret->hash_secret, value.data, RELAYKEY_SECRET_LEN);
		relaykey_hasher_init(&ret->hasher, ret->hash_secret);
	}
	buffer_fini(&value);
	return error;
}

static int load_record_secret(struct store *s, const struct vault *v, const char *configured,
	struct secrets *ret, struct errtext *e)
{
	struct buffer value = {0};
	int error = 0;

	ret->record_is_ours = !*configured;
	if (ret->record_is_ours)
		error = load(s, v, SETTING_RECORD_SECRET, make_record_secret, &value, e);
	else
		buffer_append_str(&value, configured);
	if (!error)
		error = buffer_error(&value);
	if (!error && value.len > SEAM_SECRET_MAX)
		error = errtext_set(
			e, -EINVAL, "[spop] secret is longer than %d characters", SEAM_SECRET_MAX);
	if (!error)
		memcpy(ret->record_secret, value.data, value.len + 1);
	buffer_fini(&value);
	return error;
}

static int load_id_key(
	struct store *s, const struct vault *v, struct secrets *ret, struct errtext *e)
{
	struct buffer value = {0};
	int error = load(s, v, SETTING_ID_KEY, make_id_key, &value, e);

	if (!error && value.len != SECRETS_ID_KEY_LEN)
		error = errtext_set(
			e, -EBADMSG, "store: the key of request ids has a wrong length");
	if (!error)
		EVP_EncodeBlock((unsigned char *)ret->id_key, (const unsigned char *)value.data,
			SECRETS_ID_KEY_LEN);
	buffer_fini(&value);
	return error;
}

int secrets_load(struct store *s, const struct vault *v, const char *configured,
	struct secrets *ret, struct errtext *e)
{
	struct secrets made = {0};
	int error = load_hash_secret(s, v, &made, e);

	if (!error)
		error = load_record_secret(s, v, configured, &made, e);
	if (!error)
		error = load_id_key(s, v, &made, e);
	if (!error)
		*ret = made;
	secrets_wipe(&made);
	return error;
}

void secrets_wipe(struct secrets *s)
{
	explicit_bzero(s, sizeof(*s));
}
