/*
 * Relay keys: `rk_` + 30 base62 characters + 6 base62 characters of CRC-32.
 * Stored and looked up as HMAC-SHA-256 under the hash secret; the two hash states are computed once,
 * because OpenSSL's HMAC allocates on every call.
 */
#ifndef RELAY_COMMON_RELAYKEY_H
#define RELAY_COMMON_RELAYKEY_H

#include "common/slice.h"

#include <stdint.h>

#define RELAYKEY_LEN 39
#define RELAYKEY_RANDOM_LEN 30
#define RELAYKEY_SECRET_LEN 32
#define RELAYKEY_HASH_LEN 32

struct relaykey_hasher {
	unsigned char state[2][128]; /* inner and outer SHA-256 state */
};

/* `out` gets RELAYKEY_LEN characters and a NUL. 0, or -EIO without randomness. */
int relaykey_generate(char *out);
/* Length, prefix, alphabet and checksum. */
bool relaykey_is_well_formed(struct slice key);
/* The first well-formed key inside of `text`, also in the middle of a word. */
bool relaykey_find(struct slice text, struct slice *ret);

void relaykey_hasher_init(struct relaykey_hasher *h, const uint8_t secret[RELAYKEY_SECRET_LEN]);
void relaykey_hash(
	const struct relaykey_hasher *h, struct slice key, uint8_t ret_hash[RELAYKEY_HASH_LEN]);

#endif
