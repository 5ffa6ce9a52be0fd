/* OpenSSL 3 deprecates the SHA256_CTX functions; they are the only ones without an allocation. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "common/relaykey.h"

#include <assert.h>
#include <errno.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <zlib.h>

#define PREFIX "rk_"
#define PREFIX_LEN 3
#define BODY_LEN (PREFIX_LEN + RELAYKEY_RANDOM_LEN)
#define CHECKSUM_LEN 6
#define HMAC_BLOCK 64
/* the largest multiple of 62 in a byte: larger bytes are redrawn, so that all letters are equally likely */
#define UNBIASED 248
#define DRAW 64 /* bytes; mostly enough for a key */

static_assert(sizeof(SHA256_CTX) <= 128, "a hash state fits its place");
static_assert(BODY_LEN + CHECKSUM_LEN == RELAYKEY_LEN, "parts add up");

static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static void format_checksum(const char *body, char *out)
{
	uint32_t crc = (uint32_t)crc32(0, (const Bytef *)body, BODY_LEN);

	for (int i = CHECKSUM_LEN - 1; i >= 0; i--) {
		out[i] = alphabet[crc % 62];
		crc /= 62;
	}
}

/* A draw costs the same for many bytes as for one. */
int relaykey_generate(char *out)
{
	unsigned char drawn[DRAW];
	size_t used = sizeof(drawn);
	size_t n = PREFIX_LEN;
	int error = 0;

	memcpy(out, PREFIX, PREFIX_LEN);
	while (n < BODY_LEN && !error) {
		if (used == sizeof(drawn)) {
			error = RAND_bytes(drawn, sizeof(drawn)) == 1 ? 0 : -EIO;
			used = 0;
		} else if (drawn[used++] < UNBIASED) {
			out[n++] = alphabet[drawn[used - 1] % 62];
		}
	}
	explicit_bzero(drawn, sizeof(drawn));
	if (error)
		return error;
	format_checksum(out, out + BODY_LEN);
	out[RELAYKEY_LEN] = '\0';
	return 0;
}

static bool is_base62(char c)
{
	return (unsigned char)(c - '0') < 10 || (unsigned char)((c | 0x20) - 'a') < 26;
}

bool relaykey_is_well_formed(struct slice key)
{
	char checksum[CHECKSUM_LEN];

	if (key.n != RELAYKEY_LEN || memcmp(key.p, PREFIX, PREFIX_LEN) != 0)
		return false;
	for (size_t i = PREFIX_LEN; i < RELAYKEY_LEN; i++) {
		if (!is_base62(key.p[i]))
			return false;
	}
	format_checksum(key.p, checksum);
	return memcmp(checksum, key.p + BODY_LEN, CHECKSUM_LEN) == 0;
}

/* Of the prefix, '_' is the rarest in other texts. */
bool relaykey_find(struct slice text, struct slice *ret)
{
	struct slice rest = slice_skip(text, PREFIX_LEN - 1);
	const char *end = text.p + text.n;
	const char *at;

	while (rest.n && (at = memchr(rest.p, PREFIX[PREFIX_LEN - 1], rest.n))) {
		struct slice key = slice_cut(
			(struct slice){at - (PREFIX_LEN - 1), (size_t)(end - at) + PREFIX_LEN - 1},
			RELAYKEY_LEN);
		if (relaykey_is_well_formed(key)) {
			*ret = key;
			return true;
		}
		rest = slice_skip(rest, (size_t)(at - rest.p) + 1);
	}
	return false;
}

/* RFC 2104: H(K ^ opad, H(K ^ ipad, text)) */
static void absorb_pad(unsigned char *state, const uint8_t *secret, uint8_t pad)
{
	SHA256_CTX ctx;
	uint8_t block[HMAC_BLOCK];

	memset(block, pad, sizeof(block));
	for (size_t i = 0; i < RELAYKEY_SECRET_LEN; i++)
		block[i] ^= secret[i];
	SHA256_Init(&ctx);
	SHA256_Update(&ctx, block, sizeof(block));
	memcpy(state, &ctx, sizeof(ctx));
	explicit_bzero(block, sizeof(block));
	explicit_bzero(&ctx, sizeof(ctx));
}

void relaykey_hasher_init(struct relaykey_hasher *h, const uint8_t secret[RELAYKEY_SECRET_LEN])
{
	absorb_pad(h->state[0], secret, 0x36);
	absorb_pad(h->state[1], secret, 0x5c);
}

void relaykey_hash(
	const struct relaykey_hasher *h, struct slice key, uint8_t ret_hash[RELAYKEY_HASH_LEN])
{
	SHA256_CTX ctx;
	uint8_t inner[RELAYKEY_HASH_LEN];

	memcpy(&ctx, h->state[0], sizeof(ctx));
	SHA256_Update(&ctx, key.p, key.n);
	SHA256_Final(inner, &ctx);
	memcpy(&ctx, h->state[1], sizeof(ctx));
	SHA256_Update(&ctx, inner, sizeof(inner));
	SHA256_Final(ret_hash, &ctx);
}
