#include "tests/unit/admin/room.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct slice plain = {"a secret that must not be seen", 30};

static int open_vault(struct room *r)
{
	vault_close(r->control.vault);
	r->control.vault = NULL;
	return vault_open(r->control.store, r->key_file, &r->control.vault, &r->e);
}

static void write_key(struct room *r, const char *text, mode_t mode)
{
	unlink(r->key_file);
	int fd = open(r->key_file, O_WRONLY | O_CREAT | O_EXCL, mode);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void opens_only_in_its_own_place(void **state)
{
	struct room *r = *state;
	const struct vault *v = r->control.vault;
	const struct vault_place here = {"access_token", 7, 3};
	const struct vault_place others[] = {
		{"refresh_token", 7, 3}, {"access_token", 8, 3}, {"access_token", 7, 4}};
	struct buffer sealed = {0};
	struct buffer out = {0};

	assert_int_equal(vault_seal(v, &here, plain, &sealed, &r->e), 0);
	assert_null(memmem(sealed.data, sealed.len, plain.p, plain.n));
	assert_int_equal(vault_unseal(v, &here, buffer_slice(&sealed), &out, &r->e), 0);
	assert_true(slice_eq(buffer_slice(&out), plain));
	buffer_clear(&out);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(
			vault_unseal(v, &others[i], buffer_slice(&sealed), &out, &r->e), -EBADMSG);
		assert_int_equal(out.len, 0);
	}
	buffer_fini(&sealed);
	buffer_fini(&out);
}

static void refuses_every_changed_byte_and_every_cut(void **state)
{
	struct room *r = *state;
	const struct vault_place here = {"x", 1, 1};
	struct buffer sealed = {0};
	struct buffer out = {0};

	assert_int_equal(vault_seal(r->control.vault, &here, plain, &sealed, &r->e), 0);
	for (size_t i = 0; i < sealed.len; i++) {
		struct slice cut = {sealed.data, i};
		assert_int_equal(vault_unseal(r->control.vault, &here, cut, &out, &r->e), -EBADMSG);
		sealed.data[i] ^= 1;
		assert_int_equal(
			vault_unseal(r->control.vault, &here, buffer_slice(&sealed), &out, &r->e),
			-EBADMSG);
		sealed.data[i] ^= 1;
	}
	buffer_fini(&sealed);
	buffer_fini(&out);
}

static void makes_a_key_file_that_only_its_owner_reads(void **state)
{
	struct room *r = *state;
	struct stat st;

	assert_int_equal(stat(r->key_file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0400);
	assert_int_equal(st.st_size, 65);
	assert_int_equal(open_vault(r), 0);
}

static void names_a_wrong_key_file(void **state)
{
	struct room *r = *state;

	write_key(r, "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n", 0400);
	assert_int_equal(open_vault(r), -EKEYREJECTED);
	assert_non_null(strstr(r->e.text, r->key_file));
	assert_non_null(strstr(r->e.text, "not the one"));
}

static void names_a_missing_key_file_and_makes_no_new_one(void **state)
{
	struct room *r = *state;

	unlink(r->key_file);
	assert_int_equal(open_vault(r), -ENOENT);
	assert_non_null(strstr(r->e.text, "missing"));
	assert_int_equal(access(r->key_file, F_OK), -1);
}

static void does_not_mistake_damage_for_a_wrong_key_file(void **state)
{
	struct room *r = *state;

	room_run(r,
		"UPDATE settings SET value = '0101' || substr(value, 5) || '00'"
		" WHERE name = 'vault.data_key.1'");
	assert_int_equal(open_vault(r), -EBADMSG);
	assert_non_null(strstr(r->e.text, "damaged"));
	room_run(r, "DELETE FROM settings WHERE name = 'vault.data_key.1'");
	assert_int_equal(open_vault(r), -EBADMSG);
}

static void refuses_a_lost_key_id_with_a_foreign_key_file(void **state)
{
	struct room *r = *state;

	room_run(r, "DELETE FROM settings WHERE name = 'vault.key_id'");
	assert_int_equal(open_vault(r), 0);
	unlink(r->key_file);
	assert_int_equal(open_vault(r), -ENOENT);
	assert_int_equal(access(r->key_file, F_OK), -1);
}

static void refuses_a_key_file_that_others_read_or_that_is_no_key(void **state)
{
	struct room *r = *state;

	assert_int_equal(chmod(r->key_file, 0440), 0);
	assert_int_equal(open_vault(r), -EPERM);
	assert_non_null(strstr(r->e.text, "chmod"));
	write_key(r, "hello\n", 0400);
	assert_int_equal(open_vault(r), -EINVAL);
	write_key(r, "", 0400);
	assert_int_equal(open_vault(r), -EINVAL);
}

static void secrets_stay_the_same(void **state)
{
	struct room *r = *state;
	struct secrets again;

	assert_int_equal(secrets_load(r->control.store, r->control.vault, "", &again, &r->e), 0);
	assert_memory_equal(again.hash_secret, r->secrets.hash_secret, RELAYKEY_SECRET_LEN);
	assert_string_equal(again.record_secret, r->secrets.record_secret);
	assert_int_equal(strlen(again.record_secret), SECRETS_RECORD_LEN);
	assert_true(again.record_is_ours);
	assert_string_equal(again.id_key, r->secrets.id_key);
	assert_int_equal(strlen(again.id_key), SECRETS_ID_KEY_TEXT_LEN);
	assert_int_equal(
		secrets_load(r->control.store, r->control.vault, "given", &again, &r->e), 0);
	assert_string_equal(again.record_secret, "given");
	assert_false(again.record_is_ours);
	assert_int_equal(
		room_number(r, "SELECT count(*) FROM settings WHERE value LIKE '%given%'"), 0);
}

static void add_account(struct room *r)
{
	room_run(r,
		"INSERT INTO upstreams (name, url, provider, created_ms)"
		" VALUES ('u', 'https://h', 'openai', 0);"
		"INSERT INTO accounts (name, upstream_id, source, created_ms)"
		" VALUES ('a', 1, 'token', 0)");
}

static void every_write_of_a_credential_is_a_generation(void **state)
{
	struct room *r = *state;
	struct credential c;

	add_account(r);
	assert_int_equal(credential_get(r->control.store, r->control.vault, 1,
				 CREDENTIAL_ACCESS_TOKEN, &c, &r->e),
		-ENOENT);
	room_put_token(r, 1, "sk-one");
	room_run(r, "CREATE TABLE saved AS SELECT sealed FROM credentials");
	room_put_token(r, 1, "sk-two");
	assert_int_equal(credential_get(r->control.store, r->control.vault, 1,
				 CREDENTIAL_ACCESS_TOKEN, &c, &r->e),
		0);
	assert_true(slice_eq_str(buffer_slice(&c.value), "sk-two"));
	assert_int_equal(c.generation, 2);
	credential_fini(&c);
	/* A value from an older generation does not open. */
	room_run(r, "UPDATE credentials SET sealed = (SELECT sealed FROM saved)");
	assert_int_equal(credential_get(r->control.store, r->control.vault, 1,
				 CREDENTIAL_ACCESS_TOKEN, &c, &r->e),
		-EBADMSG);
}

static void a_credential_is_bounded_and_fits_a_header(void **state)
{
	struct room *r = *state;
	char big[SEAM_CREDENTIAL_MAX + 1];
	struct slice s = {big, SEAM_CREDENTIAL_MAX};

	memset(big, 'k', sizeof(big));
	assert_int_equal(credential_check(CREDENTIAL_ACCESS_TOKEN, s, &r->e), 0);
	s.n++;
	assert_int_equal(credential_check(CREDENTIAL_ACCESS_TOKEN, s, &r->e), -EFBIG);
	assert_int_equal(credential_check(CREDENTIAL_REFRESH_TOKEN, s, &r->e), 0);
	assert_int_equal(
		credential_check(CREDENTIAL_REFRESH_TOKEN, SLICE_LITERAL("a b\n"), &r->e), 0);
	assert_int_equal(
		credential_check(CREDENTIAL_ACCESS_TOKEN, (struct slice){"", 0}, &r->e), -EINVAL);
	assert_int_equal(
		credential_check(CREDENTIAL_ACCESS_TOKEN, SLICE_LITERAL("sk-a\r\nX: y"), &r->e),
		-EINVAL);
	assert_int_equal(
		credential_check(CREDENTIAL_ACCOUNT_ID, SLICE_LITERAL("a b"), &r->e), -EINVAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(opens_only_in_its_own_place),
		TEST(refuses_every_changed_byte_and_every_cut),
		TEST(makes_a_key_file_that_only_its_owner_reads),
		TEST(names_a_wrong_key_file),
		TEST(names_a_missing_key_file_and_makes_no_new_one),
		TEST(does_not_mistake_damage_for_a_wrong_key_file),
		TEST(refuses_a_lost_key_id_with_a_foreign_key_file),
		TEST(refuses_a_key_file_that_others_read_or_that_is_no_key),
		TEST(secrets_stay_the_same),
		TEST(every_write_of_a_credential_is_a_generation),
		TEST(a_credential_is_bounded_and_fits_a_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
