/* Rotation of the vault's keys: at every point of it each value opens, with every key file that is in place. */
#include "tests/unit/admin/room.h"

#include "admin/store/vault_rotate.h"
#include "admin/upkeep/refresh_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ACCOUNTS 70 /* more than a batch */

static void fill(struct room *r)
{
	const struct refresh_raw raw = {200, SLICE_LITERAL("a reply"), "", 1, 0};

	room_run(r,
		"INSERT INTO upstreams (name, url, provider, created_ms)"
		" VALUES ('u', 'https://h', 'openai', 0)");
	for (int64_t i = 1; i <= ACCOUNTS; i++) {
		char text[128];
		snprintf(text, sizeof(text),
			"INSERT INTO accounts (name, upstream_id, source, created_ms)"
			" VALUES ('a%d', 1, 'token', 0)",
			(int)i);
		room_run(r, text);
		snprintf(text, sizeof(text), "sk-%d", (int)i);
		room_put_token(r, i, text);
	}
	assert_int_equal(refresh_journal_intend(r->control.store, 1, 1, 1, &r->e), 0);
	assert_int_equal(
		refresh_journal_reply(r->control.store, r->control.vault, 1, 1, &raw, &r->e), 0);
	assert_int_equal(refresh_journal_keep(r->control.store, 1, true, &r->e), 0);
	assert_int_equal(
		refresh_journal_reply(r->control.store, r->control.vault, 1, 1, &raw, &r->e), 0);
}

static int reopen(struct room *r)
{
	vault_close(r->control.vault);
	r->control.vault = NULL;
	return vault_open(r->control.store, r->key_file, &r->control.vault, &r->e);
}

static void check_secrets(struct room *r)
{
	struct secrets again;

	assert_int_equal(secrets_load(r->control.store, r->control.vault, "", &again, &r->e), 0);
	assert_memory_equal(again.hash_secret, r->secrets.hash_secret, RELAYKEY_SECRET_LEN);
	assert_string_equal(again.id_key, r->secrets.id_key);
	assert_string_equal(again.record_secret, r->secrets.record_secret);
}

static int open_unread(struct row *row, void *context)
{
	struct room *r = context;
	const struct vault_place at = {VAULT_PLACE_REPLY, 1, 1};
	struct buffer plain = {0};

	assert_int_equal(
		vault_unseal(r->control.vault, &at, row_text(row, "unread"), &plain, &r->e), 0);
	assert_true(slice_eq_str(buffer_slice(&plain), "a reply"));
	buffer_fini(&plain);
	return 0;
}

/* Everything opens, for this process and for one that starts now. */
static void check(struct room *r)
{
	for (int pass = 0; pass < 2; pass++) {
		for (int64_t i = 1; i <= ACCOUNTS; i++) {
			struct credential c;
			char text[32];
			assert_int_equal(credential_get(r->control.store, r->control.vault, i,
						 CREDENTIAL_ACCESS_TOKEN, &c, &r->e),
				0);
			snprintf(text, sizeof(text), "sk-%d", (int)i);
			assert_true(slice_eq_str(buffer_slice(&c.value), text));
			credential_fini(&c);
		}
		struct refresh_row row;
		assert_int_equal(
			refresh_journal_get(r->control.store, r->control.vault, 1, &row, &r->e), 0);
		assert_true(slice_eq_str(buffer_slice(&row.reply), "a reply"));
		refresh_row_fini(&row);
		assert_int_equal(sql_one(r->control.store, &r->e, open_unread, r,
					 "SELECT unread FROM refreshes WHERE account_id = 1", ""),
			0);
		check_secrets(r);
		if (reopen(r))
			fail_msg("%s", r->e.text);
	}
}

static struct vault_status status(struct room *r)
{
	struct vault_status s;

	assert_int_equal(vault_get_status(r->control.vault, r->control.store, &s, &r->e), 0);
	return s;
}

static void begin(struct room *r, bool keeps_file)
{
	if (vault_rotate_begin(r->control.vault, r->control.store, r->key_file, keeps_file, &r->e))
		fail_msg("%s", r->e.text);
}

static void put_file_in_place(struct room *r)
{
	if (vault_rotate_key_file(r->control.vault, r->control.store, r->key_file, &r->e))
		fail_msg("%s", r->e.text);
}

/* `checks`: a crash after every batch. */
static void seal_all(struct room *r, struct vault_walk *walk, bool checks)
{
	while (!walk->is_done) {
		assert_int_equal(
			vault_rotate_values(r->control.vault, r->control.store, walk, &r->e), 0);
		if (checks)
			check(r);
	}
}

static int finish(struct room *r)
{
	return vault_rotate_end(r->control.vault, r->control.store, 1234, &r->e);
}

static void read_file(const char *path, char out[128])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, out, 127);

	assert_true(fd >= 0 && n > 0);
	out[n] = '\0';
	close(fd);
}

static void write_file(const char *path, const char *text)
{
	unlink(path);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static const char *next_file(struct room *r, char out[512])
{
	snprintf(out, 512, "%s.next", r->key_file);
	return out;
}

static void after_every_step_all_values_open(void **state)
{
	struct room *r = *state;
	struct vault_walk walk = {0};
	char old[128];
	char path[512];

	fill(r);
	read_file(r->key_file, old);
	const struct vault_status before = status(r);
	assert_int_equal(before.values, ACCOUNTS + 2 + 3);
	begin(r, false);
	check(r);
	assert_int_equal(status(r).left, before.values);
	assert_int_equal(
		vault_rotate_begin(r->control.vault, r->control.store, r->key_file, false, &r->e),
		-EBUSY);
	put_file_in_place(r);
	check(r);
	put_file_in_place(r);
	seal_all(r, &walk, true);
	assert_int_equal(walk.damaged, 0);
	assert_int_equal(status(r).left, 0);
	assert_int_equal(finish(r), 0);
	check(r);
	const struct vault_status after = status(r);
	assert_false(after.is_rotating);
	assert_int_equal(after.version, before.version + 1);
	assert_int_equal(after.rotated_ms, 1234);
	assert_string_not_equal(after.key_id, before.key_id);
	assert_int_equal(access(next_file(r, path), F_OK), -1);
	assert_int_equal(
		room_number(r, "SELECT count(*) FROM settings WHERE name GLOB 'vault.data_key.*'"),
		1);
	write_file(r->key_file, old);
	assert_int_equal(reopen(r), -EKEYREJECTED);
}

/* The rows of before, put back, are of no use with the new keys. */
static void what_the_old_key_sealed_does_not_open(void **state)
{
	struct room *r = *state;
	struct vault_walk walk = {0};
	struct credential c;

	fill(r);
	room_run(r, "CREATE TABLE saved AS SELECT sealed FROM credentials WHERE account_id = 1");
	begin(r, false);
	put_file_in_place(r);
	seal_all(r, &walk, false);
	assert_int_equal(finish(r), 0);
	room_run(r,
		"UPDATE credentials SET sealed = (SELECT sealed FROM saved) WHERE account_id = 1");
	assert_int_equal(credential_get(r->control.store, r->control.vault, 1,
				 CREDENTIAL_ACCESS_TOKEN, &c, &r->e),
		-EBADMSG);
}

static void a_crash_between_the_file_and_the_store_harms_nothing(void **state)
{
	struct room *r = *state;
	struct vault_walk walk = {0};
	char path[512];
	char left[128];

	fill(r);
	/* a new key file, and no store that knows it */
	read_file(r->key_file, left);
	left[0] = left[0] == 'a' ? 'b' : 'a';
	write_file(next_file(r, path), left);
	begin(r, false);
	/* in place, and the store does not know it yet */
	assert_int_equal(rename(path, r->key_file), 0);
	check(r);
	put_file_in_place(r);
	check(r);
	seal_all(r, &walk, false);
	assert_int_equal(finish(r), 0);
	check(r);
}

static void a_lost_new_key_file_leaves_the_old_one(void **state)
{
	struct room *r = *state;
	struct vault_walk walk = {0};
	char path[512];
	char foreign[128];

	fill(r);
	const struct vault_status before = status(r);
	begin(r, false);
	unlink(next_file(r, path));
	check(r);
	/* nor is a foreign one taken in its place */
	read_file(r->key_file, foreign);
	foreign[0] = foreign[0] == 'a' ? 'b' : 'a';
	write_file(path, foreign);
	put_file_in_place(r);
	check(r);
	seal_all(r, &walk, false);
	assert_int_equal(finish(r), 0);
	check(r);
	assert_string_equal(status(r).key_id, before.key_id);
}

static void new_values_are_sealed_with_the_new_key_at_once(void **state)
{
	struct room *r = *state;
	struct vault_walk walk = {0};

	fill(r);
	begin(r, true);
	const struct vault_status before = status(r);
	room_put_token(r, 5, "sk-5");
	assert_int_equal(status(r).left, before.left - 1);
	seal_all(r, &walk, false);
	room_put_token(r, 6, "sk-6");
	assert_int_equal(finish(r), 0);
	check(r);
}

static void a_kept_key_file_stays_as_it_is(void **state)
{
	struct room *r = *state;
	struct vault_walk walk = {0};
	char before[128];
	char after[128];

	fill(r);
	read_file(r->key_file, before);
	begin(r, true);
	put_file_in_place(r);
	seal_all(r, &walk, true);
	assert_int_equal(finish(r), 0);
	check(r);
	read_file(r->key_file, after);
	assert_string_equal(before, after);
	assert_int_equal(status(r).version, 2);
}

static void a_damaged_value_keeps_the_old_key(void **state)
{
	struct room *r = *state;
	struct vault_walk walk = {0};

	fill(r);
	/* the seal of another place does not open here */
	room_run(r,
		"UPDATE credentials SET sealed ="
		" (SELECT sealed FROM credentials WHERE account_id = 8) WHERE account_id = 7");
	begin(r, false);
	put_file_in_place(r);
	seal_all(r, &walk, false);
	assert_int_equal(walk.damaged, 1);
	assert_int_equal(walk.account, 7);
	assert_int_equal(finish(r), -EAGAIN);
	assert_true(status(r).is_rotating);
	room_put_token(r, 7, "sk-7");
	assert_int_equal(finish(r), 0);
	check(r);
}

static void a_file_that_cannot_be_replaced_changes_nothing(void **state)
{
	struct room *r = *state;
	char path[512];

	fill(r);
	snprintf(path, sizeof(path), "%s.real", r->key_file);
	assert_int_equal(rename(r->key_file, path), 0);
	assert_int_equal(symlink(path, r->key_file), 0);
	assert_int_equal(
		vault_rotate_begin(r->control.vault, r->control.store, r->key_file, false, &r->e),
		-EINVAL);
	assert_non_null(strstr(r->e.text, "is a link"));
	assert_non_null(strstr(r->e.text, "--keep-key-file"));
	assert_false(status(r).is_rotating);
	check(r);
	begin(r, true);
	check(r);
}

static void versions_go_round(void **state)
{
	struct room *r = *state;

	fill(r);
	for (int i = 0; i < 260; i++) {
		struct vault_walk walk = {0};
		begin(r, true);
		seal_all(r, &walk, false);
		assert_int_equal(finish(r), 0);
	}
	check(r);
	assert_int_equal(status(r).version, (1 + 260 - 1) % 255 + 1);
}

/* Otherwise a rotation would forget it. */
static void a_sealed_setting_has_a_name_that_rotations_know(void **state)
{
	struct room *r = *state;

	assert_int_equal(vault_put_setting(r->control.vault, r->control.store, "other",
				 SLICE_LITERAL("x"), &r->e),
		-EINVAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(after_every_step_all_values_open),
		TEST(what_the_old_key_sealed_does_not_open),
		TEST(a_crash_between_the_file_and_the_store_harms_nothing),
		TEST(a_lost_new_key_file_leaves_the_old_one),
		TEST(new_values_are_sealed_with_the_new_key_at_once),
		TEST(a_kept_key_file_stays_as_it_is),
		TEST(a_damaged_value_keeps_the_old_key),
		TEST(a_file_that_cannot_be_replaced_changes_nothing),
		TEST(versions_go_round),
		TEST(a_sealed_setting_has_a_name_that_rotations_know),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
