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

/* The checksum of CONTRACT.md, worked out elsewhere (python's zlib.crc32, base62 by hand). */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(generates_what_it_takes),
		cmocka_unit_test(refuses_every_single_changed_character),
		cmocka_unit_test(refuses_other_lengths),
		cmocka_unit_test(knows_the_contracts_checksum),
		cmocka_unit_test(hashes_as_hmac_sha256),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
