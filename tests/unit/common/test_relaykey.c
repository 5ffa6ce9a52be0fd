#include "common/relaykey.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/hmac.h>
#include <stdio.h>

#define CHECKSUM_OF_ZEROS "41P1qD"

static void generates_what_it_takes(void **state)
{
	char key[RELAYKEY_LEN + 1];
	char other[RELAYKEY_LEN + 1];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(relaykey_generate(key), 0);
		assert_int_equal(strlen(key), RELAYKEY_LEN);
		assert_true(relaykey_is_well_formed(slice_from_str(key)));
		assert_int_equal(relaykey_generate(other), 0);
		assert_string_not_equal(key, other);
	}
}

static void refuses_every_single_changed_character(void **state)
{
	char key[RELAYKEY_LEN + 1];

	(void)state;
	assert_int_equal(relaykey_generate(key), 0);
	for (size_t i = 0; i < RELAYKEY_LEN; i++) {
		char was = key[i];
		for (int c = 1; c < 256; c++) {
			key[i] = (char)c;
			assert_int_equal(
				relaykey_is_well_formed(slice_from_str(key)), (char)c == was);
		}
		key[i] = was;
	}
}

static void refuses_other_lengths(void **state)
{
	char key[RELAYKEY_LEN + 2] = {0};

	(void)state;
	assert_int_equal(relaykey_generate(key), 0);
	key[RELAYKEY_LEN] = '0';
	assert_false(relaykey_is_well_formed((struct slice){key, RELAYKEY_LEN + 1}));
	assert_false(relaykey_is_well_formed((struct slice){key, RELAYKEY_LEN - 1}));
	assert_false(relaykey_is_well_formed((struct slice){NULL, 0}));
}

/* Checksums computed elsewhere (python's zlib.crc32, base62 by hand). */
static void knows_the_contracts_checksum(void **state)
{
	(void)state;
	assert_true(relaykey_is_well_formed(
		SLICE_LITERAL("rk_000000000000000000000000000000" CHECKSUM_OF_ZEROS)));
}

static void hashes_as_hmac_sha256(void **state)
{
	uint8_t secret[RELAYKEY_SECRET_LEN];
	uint8_t ours[RELAYKEY_HASH_LEN];
	uint8_t theirs[RELAYKEY_HASH_LEN];
	struct relaykey_hasher hasher;
	char text[200];

	(void)state;
	for (size_t i = 0; i < sizeof(secret); i++)
		secret[i] = (uint8_t)(i * 7 + 1);
	memset(text, 'k', sizeof(text));
	relaykey_hasher_init(&hasher, secret);
	for (size_t n = 0; n < sizeof(text); n++) {
		unsigned len = sizeof(theirs);
		relaykey_hash(&hasher, (struct slice){text, n}, ours);
		assert_non_null(HMAC(EVP_sha256(), secret, sizeof(secret),
			(const unsigned char *)text, n, theirs, &len));
		assert_memory_equal(ours, theirs, sizeof(ours));
	}
}

/* RFC 4231, cases 1, 2 and 4: shorter keys are padded with zeros to the block in any case (RFC 2104). */
static void hashes_the_published_vectors(void **state)
{
	static const uint8_t counted[25] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
		17, 18, 19, 20, 21, 22, 23, 24, 25};
	uint8_t keys[3][RELAYKEY_SECRET_LEN] = {{0}, "Jefe", {0}};
	char repeated[50];
	const struct {
		struct slice text;
		const char *hash;
	} vectors[3] = {
		{SLICE_LITERAL("Hi There"),
			"b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{SLICE_LITERAL("what do ya want for nothing?"),
			"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{{repeated, sizeof(repeated)},
			"82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
	};

	(void)state;
	memset(keys[0], 0x0b, 20);
	memcpy(keys[2], counted, sizeof(counted));
	memset(repeated, 0xcd, sizeof(repeated));
	for (size_t i = 0; i < 3; i++) {
		struct relaykey_hasher hasher;
		uint8_t hash[RELAYKEY_HASH_LEN];
		char hex[2 * RELAYKEY_HASH_LEN + 1];
		relaykey_hasher_init(&hasher, keys[i]);
		relaykey_hash(&hasher, vectors[i].text, hash);
		for (size_t k = 0; k < sizeof(hash); k++)
			snprintf(hex + 2 * k, 3, "%02x", hash[k]);
		assert_string_equal(hex, vectors[i].hash);
	}
}

static void a_hasher_serves_any_number_of_keys(void **state)
{
	const uint8_t secret[RELAYKEY_SECRET_LEN] = {7};
	struct relaykey_hasher hasher;
	uint8_t first[RELAYKEY_HASH_LEN];
	uint8_t again[RELAYKEY_HASH_LEN];

	(void)state;
	relaykey_hasher_init(&hasher, secret);
	relaykey_hash(&hasher, SLICE_LITERAL("rk_a"), first);
	relaykey_hash(&hasher, SLICE_LITERAL("rk_b"), again);
	assert_memory_not_equal(first, again, sizeof(first));
	relaykey_hash(&hasher, SLICE_LITERAL("rk_a"), again);
	assert_memory_equal(first, again, sizeof(first));
}

/* Computed by python's zlib.crc32; the fourth has a checksum that starts with 0. */
static void the_checksum_is_crc32_in_base62(void **state)
{
	static const char *const keys[] = {"rk_dGlMoiyrlfxX1rTnyFf3vA7NUtFOY61fTudw",
		"rk_aF0kDQHBwtnOAmp48ddS880t0DnDzA1tBSXV",
		"rk_tAIKzCYuheDByziCzzvOJ1NQAx9G4L3hslMk",
		"rk_P1ZoQNObr0S2jBdzzC7mFxqyTMWMvX0FvqWI"};

	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		assert_true(relaykey_is_well_formed(slice_from_str(keys[i])));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(generates_what_it_takes),
		cmocka_unit_test(refuses_every_single_changed_character),
		cmocka_unit_test(refuses_other_lengths),
		cmocka_unit_test(knows_the_contracts_checksum),
		cmocka_unit_test(hashes_as_hmac_sha256),
		cmocka_unit_test(hashes_the_published_vectors),
		cmocka_unit_test(a_hasher_serves_any_number_of_keys),
		cmocka_unit_test(the_checksum_is_crc32_in_base62),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
