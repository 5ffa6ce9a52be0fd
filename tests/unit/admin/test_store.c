#include "tests/unit/admin/room.h"

#include "admin/store/keycount.h"
#include "admin/store/notices_kept.h"
#include "admin/store/schema.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void reopen_fails(struct room *r, int code, const char *word)
{
	struct store *s = NULL;

	assert_int_equal(store_open(r->url, &s, &r->e), code);
	assert_null(s);
	assert_non_null(strstr(r->e.text, word));
	assert_non_null(strstr(r->e.text, r->db));
}

/* Closes the room's store, so that the test can damage the file. */
static void shut(struct room *r)
{
	vault_close(r->control.vault);
	store_close(r->control.store);
	r->control.vault = NULL;
	r->control.store = NULL;
}

static void write_at(const char *path, off_t at, const char *text, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, text, n, at), (ssize_t)n);
	close(fd);
}

static void reopens_its_own_database(void **state)
{
	struct room *r = *state;
	struct stat st;

	room_run(r, "INSERT INTO tenants (name, created_ms) VALUES ('acme', 0)");
	shut(r);
	assert_int_equal(stat(r->db, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(store_open(r->url, &r->control.store, &r->e), 0);
	assert_int_equal(room_number(r, "SELECT count(*) FROM tenants"), 1);
	assert_int_equal(room_number(r, "SELECT count(*) FROM egresses"), 1);
	assert_int_equal(room_number(r, "PRAGMA foreign_keys"), 1);
	assert_int_equal(room_number(r, "PRAGMA synchronous"), 2);
}

static int64_t count_keys(struct room *r)
{
	return room_number(r, "SELECT " KEYCOUNT_ALL);
}

static void counts_keys_as_they_come_and_go(void **state)
{
	struct room *r = *state;

	room_run(r, "INSERT INTO tenants (name, created_ms) VALUES ('a', 0), ('b', 0)");
	assert_int_equal(count_keys(r), 0);
	assert_int_equal(room_number(r, "SELECT " KEYCOUNT_OF("1")), 0);
	room_run(r,
		"INSERT INTO keys (tenant_id, hash, last4, created_ms, version) VALUES"
		" (1, x'01', '', 0, 1), (1, x'02', '', 0, 1), (2, x'03', '', 0, 1)");
	assert_int_equal(count_keys(r), 3);
	room_run(r, "UPDATE keys SET revoked_ms = 5 WHERE id = 1");
	room_run(r, "UPDATE keys SET revoked_ms = 6 WHERE id = 1");
	assert_int_equal(count_keys(r), 2);
	assert_int_equal(room_number(r, "SELECT " KEYCOUNT_OF("1")), 1);
	room_run(r, "UPDATE keys SET expires_ms = 7 WHERE id = 2");
	assert_int_equal(count_keys(r), 1);
	assert_int_equal(room_number(r, "SELECT " KEYCOUNT_OF("1")), 0);
	room_run(r, "UPDATE keys SET expires_ms = unixepoch() * 1000 + 3600000 WHERE id = 2");
	assert_int_equal(count_keys(r), 2);
	room_run(r, "UPDATE keys SET revoked_ms = 0 WHERE id = 1");
	assert_int_equal(room_number(r, "SELECT " KEYCOUNT_OF("1")), 2);
	room_run(r, "DELETE FROM keys WHERE tenant_id = 1");
	assert_int_equal(count_keys(r), 1);
	assert_int_equal(room_number(r, "SELECT " KEYCOUNT_OF("2")), 1);
}

static void makes_no_store_where_one_is_expected(void **state)
{
	struct room *r = *state;
	struct store *s = NULL;
	struct stat st;

	shut(r);
	assert_int_equal(store_open_existing(r->url, &r->control.store, &r->e), 0);
	store_close(r->control.store);
	r->control.store = NULL;
	assert_int_equal(truncate(r->db, 0), 0);
	assert_int_equal(store_open_existing(r->url, &s, &r->e), -ENOENT);
	assert_non_null(strstr(r->e.text, "--init"));
	assert_int_equal(unlink(r->db), 0);
	assert_int_equal(store_open_existing(r->url, &s, &r->e), -ENOENT);
	assert_int_equal(stat(r->db, &st), -1);
}

static int64_t open_notices(struct room *r)
{
	int64_t n = -1;

	assert_int_equal(notices_count_open(r->control.store, &n, &r->e), 0);
	return n;
}

static void takes_no_change_while_its_file_is_gone(void **state)
{
	struct room *r = *state;
	struct store *s = r->control.store;
	char aside[ROOM_PATH_MAX + 8];
	size_t kept;

	store_watch(s);
	assert_true(store_is_up(s));
	assert_string_equal(store_fault(s), "");
	snprintf(aside, sizeof(aside), "%s.aside", r->db);
	assert_int_equal(rename(r->db, aside), 0);
	store_watch(s);
	assert_false(store_is_up(s));
	assert_non_null(strstr(store_fault(s), r->db));
	assert_int_equal(store_begin(s, &r->e), -EIO);
	assert_int_equal(store_set_setting(s, "a", "b", &r->e), -EIO);
	assert_int_equal(room_number(r, "SELECT count(*) FROM egresses"), 1);
	assert_int_equal(notices_raise(s, NOTICE_STORE_DOWN, "store/store", "gone", &r->e), -EIO);
	notices_raise(s, NOTICE_STORE_DOWN, "store/store", "still gone", &r->e);
	const struct kept_notice *rows = notices_kept_rows(s, &kept);
	assert_int_equal(kept, 1);
	assert_int_equal(rows[0].count, 2);
	assert_string_equal(rows[0].message, "still gone");
	assert_int_equal(open_notices(r), 1);

	assert_int_equal(rename(aside, r->db), 0);
	store_watch(s);
	assert_true(store_is_up(s));
	notices_kept_rows(s, &kept);
	assert_int_equal(kept, 0);
	assert_int_equal(open_notices(r), 1);
	assert_int_equal(notices_resolve(s, NOTICE_STORE_DOWN, "store/store", &r->e), 0);
	assert_int_equal(open_notices(r), 0);
}

static void rejects_a_file_that_is_no_database(void **state)
{
	struct room *r = *state;
	char text[4096];

	memset(text, 'x', sizeof(text));
	shut(r);
	unlink(r->db);
	write_at(r->db, 0, text, sizeof(text));
	reopen_fails(r, -EBADMSG, "not a database");
}

static void refuses_a_damaged_database(void **state)
{
	struct room *r = *state;
	char text[512];

	room_run(r, "INSERT INTO tenants (name, created_ms) VALUES ('acme', 0)");
	for (int i = 0; i < 300; i++)
		room_add_key(r, (snprintf(text, sizeof(text), "key-%d", i), text));
	shut(r);
	memset(text, 0xee, sizeof(text));
	struct stat st;
	assert_int_equal(stat(r->db, &st), 0);
	for (off_t at = 4096 * 2; at < st.st_size; at += 4096)
		write_at(r->db, at, text, sizeof(text));
	reopen_fails(r, -EBADMSG, "damaged");
}

static void refuses_a_database_of_another_program(void **state)
{
	struct room *r = *state;
	sqlite3 *db;

	shut(r);
	unlink(r->db);
	assert_int_equal(sqlite3_open(r->db, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "CREATE TABLE other (a)", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(chmod(r->db, 0600), 0);
	reopen_fails(r, -EBADMSG, "another program");
	/* The refused file is unchanged. */
	assert_int_equal(sqlite3_open(r->db, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "SELECT a FROM other", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void refuses_a_newer_schema(void **state)
{
	struct room *r = *state;

	room_run(r, "PRAGMA user_version = 4711");
	shut(r);
	reopen_fails(r, -EBADMSG, "newer");
}

/* --- migrations --- */

static void execute(sqlite3 *db, const char *sql)
{
	char *problem = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &problem) != SQLITE_OK)
		fail_msg("%.60s: %s", sql, problem);
}

/* Replaces the room's store by one of the schema before the migration with `word`, without rows. */
static sqlite3 *make_old_store(struct room *r, const char *word)
{
	size_t count;
	const char *const *steps = schema_migrations(&count);
	char mark[96];
	sqlite3 *db;
	size_t n = 0;

	shut(r);
	unlink(r->db);
	write_at(r->db, 0, "", 0);
	assert_int_equal(sqlite3_open(r->db, &db), SQLITE_OK);
	for (; n < count && !strstr(steps[n], word); n++)
		execute(db, steps[n]);
	assert_true(n < count);
	snprintf(mark, sizeof(mark), "PRAGMA application_id = %d; PRAGMA user_version = %zu",
		SCHEMA_APPLICATION_ID, n);
	execute(db, mark);
	return db;
}

#define OLD_KEY(id, tenant, created, expires, revoked, version)                                    \
	"INSERT INTO keys (id, tenant_id, hash, last4, created_ms, expires_ms, revoked_ms,"        \
	" version) VALUES (" #id ", " #tenant ", CAST('h" #id "' AS BLOB), 'abcd', " #created      \
	", " #expires ", " #revoked ", " #version ");"

static void keys_of_an_old_store_get_the_families_that_it_knows(void **state)
{
	static const int64_t families[] = {0, 0, 1, 0, 3, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0};
	struct room *r = *state;
	sqlite3 *db = make_old_store(r, "ALTER TABLE keys ADD COLUMN family");
	char sql[64];

	execute(db, "INSERT INTO tenants (name, created_ms) VALUES ('a', 0), ('b', 0)");
	/* rotated at once; with a grace; with a grace and a lifetime */
	execute(db, OLD_KEY(1, 1, 10, 0, 50, 7) OLD_KEY(2, 1, 50, 0, 0, 7));
	execute(db, OLD_KEY(3, 2, 10, 90, 0, 8) OLD_KEY(4, 2, 60, 0, 0, 8));
	execute(db, OLD_KEY(5, 2, 10, 90, 0, 9) OLD_KEY(6, 2, 60, 140, 0, 9));
	/* issued together: two, two with a lifetime, three */
	execute(db, OLD_KEY(7, 1, 10, 0, 0, 10) OLD_KEY(8, 1, 11, 0, 0, 10));
	execute(db, OLD_KEY(9, 1, 10, 80, 0, 11) OLD_KEY(10, 1, 11, 80, 0, 11));
	execute(db,
		OLD_KEY(11, 1, 10, 0, 0, 12) OLD_KEY(12, 1, 11, 0, 0, 12)
			OLD_KEY(13, 1, 11, 0, 0, 12));
	/* changed again since its rotation: not known any more */
	execute(db, OLD_KEY(14, 1, 10, 0, 70, 13));
	sqlite3_close(db);
	if (store_open(r->url, &r->control.store, &r->e))
		fail_msg("%s", r->e.text);
	for (size_t id = 1; id < sizeof(families) / sizeof(families[0]); id++) {
		snprintf(sql, sizeof(sql), "SELECT family FROM keys WHERE id = %zu", id);
		assert_int_equal(room_number(r, sql), families[id]);
	}
	assert_int_equal(room_number(r, "SELECT sum(daily + monthly) FROM keys"), 0);
}

static void pools_of_an_old_store_keep_their_stickiness_and_members(void **state)
{
	struct room *r = *state;
	sqlite3 *db = make_old_store(r, "'soft','hard','free'");

	execute(db,
		"INSERT INTO upstreams (id, name, url, provider, created_ms)"
		" VALUES (1, 'u', 'https://u', 'codex', 0);"
		"INSERT INTO accounts (id, name, upstream_id, source, created_ms)"
		" VALUES (1, 'a', 1, 'token', 0);"
		"INSERT INTO pools (id, name, upstream_id, sticky, created_ms)"
		" VALUES (1, 's', 1, 'soft', 0), (2, 'h', 1, 'hard', 0);"
		"INSERT INTO pool_members VALUES (1, 1, 0), (2, 1, 0)");
	sqlite3_close(db);
	if (store_open(r->url, &r->control.store, &r->e))
		fail_msg("%s", r->e.text);
	assert_int_equal(room_number(r, "SELECT id FROM pools WHERE sticky = 'soft'"), 1);
	assert_int_equal(room_number(r, "SELECT id FROM pools WHERE sticky = 'hard'"), 2);
	assert_int_equal(room_number(r, "SELECT count(*) FROM pool_members"), 2);
	room_run(r, "UPDATE pools SET sticky = 'free' WHERE id = 1");
}

static void refuses_a_file_that_others_can_read(void **state)
{
	struct room *r = *state;

	shut(r);
	assert_int_equal(chmod(r->db, 0644), 0);
	reopen_fails(r, -EPERM, "chmod");
}

static void names_a_missing_directory(void **state)
{
	struct room *r = *state;
	struct store *s;

	assert_int_equal(store_open("sqlite:/nowhere/at/all.db", &s, &r->e), -ENOENT);
	assert_non_null(strstr(r->e.text, "/nowhere/at/all.db"));
	assert_int_equal(store_open("postgresql://db", &s, &r->e), -EINVAL);
}

static int run(struct room *r, const char *sql)
{
	return sql_run(r->control.store, &r->e, sql, "");
}

static void explains_a_violated_constraint(void **state)
{
	struct room *r = *state;

	room_run(r,
		"INSERT INTO upstreams (name, url, provider, created_ms)"
		" VALUES ('u', 'https://h', 'openai', 0);"
		"INSERT INTO pools (name, upstream_id, created_ms) VALUES ('p', 1, 0)");
	assert_int_equal(
		run(r, "INSERT INTO pools (name, upstream_id, created_ms) VALUES ('p', 1, 0)"),
		-EEXIST);
	assert_int_equal(run(r, "DELETE FROM upstreams"), -EBUSY);
	assert_int_equal(
		run(r, "INSERT INTO pools (name, upstream_id, created_ms) VALUES ('q', 9, 0)"),
		-EBUSY);
	assert_int_equal(run(r, "UPDATE pools SET strategy = 'magic'"), -EINVAL);
	/* A failed statement can run again. */
	assert_int_equal(run(r, "DELETE FROM upstreams"), -EBUSY);
	assert_int_equal(room_number(r, "SELECT count(*) FROM pools"), 1);
}

static void rolls_back_uncommitted_changes(void **state)
{
	struct room *r = *state;
	struct store *s = r->control.store;
	uint64_t before = store_version(s);

	assert_int_equal(store_begin(s, &r->e), 0);
	assert_int_equal(store_bump_version(s, &r->e), 0);
	assert_int_equal((int)store_version(s), (int)before + 1);
	assert_true(store_begin(s, &r->e) < 0);
	store_rollback(s);
	assert_int_equal((int)store_version(s), (int)before);
}

static void keeps_more_texts_than_it_caches(void **state)
{
	struct room *r = *state;
	char sql[64];

	for (int i = 0; i < 2000; i++) {
		snprintf(sql, sizeof(sql), "SELECT %d", i);
		assert_int_equal(room_number(r, sql), i);
	}
	assert_int_equal(room_number(r, "SELECT 7"), 7);
}

static void copies_itself_while_it_is_open(void **state)
{
	struct room *r = *state;
	char path[ROOM_PATH_MAX];
	char url[ROOM_PATH_MAX + 16];
	struct store *copy;

	room_run(r, "INSERT INTO tenants (name, created_ms) VALUES ('acme', 0)");
	snprintf(path, sizeof(path), "%s/copy.db", r->dir);
	snprintf(url, sizeof(url), "sqlite:%s", path);
	assert_int_equal(store_backup(r->control.store, path, &r->e), 0);
	assert_int_equal(store_backup(r->control.store, path, &r->e), -EEXIST);
	assert_int_equal(store_open(url, &copy, &r->e), 0);
	int64_t count = 0;
	assert_int_equal(sql_number(copy, &r->e, &count,
				 "SELECT count(*) FROM tenants WHERE name = 'acme'", ""),
		0);
	assert_int_equal(count, 1);
	store_close(copy);
	assert_int_equal(store_backup(r->control.store, "/nowhere/copy.db", &r->e), -ENOENT);
}

static const char insert_tenant[] = "INSERT INTO tenants (name, created_ms) VALUES (?1, 0)";

static int64_t count_tenants(struct room *r)
{
	return room_number(r, "SELECT count(*) FROM tenants");
}

static struct store *begin_aside(struct room *r)
{
	struct store *aside = NULL;

	assert_int_equal(store_open_aside(r->control.store, &aside, &r->e), 0);
	assert_false(store_has_aside(r->control.store));
	assert_int_equal(store_begin(aside, &r->e), 0);
	assert_int_equal(sql_run(aside, &r->e, insert_tenant, "t", "aside"), 0);
	assert_true(store_has_aside(r->control.store));
	return aside;
}

static void a_change_aside_is_seen_when_it_is_committed(void **state)
{
	struct room *r = *state;
	struct store *aside = begin_aside(r);

	assert_int_equal(count_tenants(r), 0);
	assert_int_equal(store_commit(aside, &r->e), 0);
	assert_false(store_is_lost(aside));
	assert_false(store_has_aside(r->control.store));
	assert_int_equal(count_tenants(r), 1);
	store_close(aside);
	assert_int_equal(sql_run(r->control.store, &r->e, insert_tenant, "t", "after"), 0);
}

static void a_change_aside_makes_way_and_begins_again(void **state)
{
	struct room *r = *state;
	struct store *own = r->control.store;
	struct store *aside = begin_aside(r);

	assert_int_equal(sql_run(own, &r->e, insert_tenant, "t", "first"), 0);
	assert_true(store_is_lost(aside));
	assert_int_equal(sql_run(aside, &r->e, insert_tenant, "t", "late"), -EAGAIN);
	assert_int_equal(store_commit(aside, &r->e), -EAGAIN);
	assert_int_equal(count_tenants(r), 1);
	assert_int_equal(store_begin(aside, &r->e), 0);
	assert_false(store_is_lost(aside));
	assert_int_equal(store_begin(own, &r->e), 0);
	assert_true(store_is_lost(aside));
	assert_int_equal(store_commit(own, &r->e), 0);
	assert_int_equal(store_begin(aside, &r->e), 0);
	assert_int_equal(sql_run(aside, &r->e, insert_tenant, "t", "again"), 0);
	assert_int_equal(store_commit(aside, &r->e), 0);
	assert_int_equal(count_tenants(r), 2);
	store_close(aside);
}

static void readers_do_not_disturb_a_change_aside(void **state)
{
	struct room *r = *state;
	struct store *aside = begin_aside(r);

	assert_int_equal(count_tenants(r), 0);
	assert_int_equal(store_version(r->control.store), store_version(aside));
	assert_false(store_is_lost(aside));
	store_close(aside);
	assert_int_equal(count_tenants(r), 0);
}

static void nothing_is_changed_aside_while_the_file_is_gone(void **state)
{
	struct room *r = *state;
	struct store *aside = begin_aside(r);
	struct store *other = NULL;
	char elsewhere[PATH_MAX];

	snprintf(elsewhere, sizeof(elsewhere), "%.4000s.moved", r->db);
	assert_int_equal(rename(r->db, elsewhere), 0);
	store_watch(r->control.store);
	assert_int_equal(store_commit(aside, &r->e), -EIO);
	store_close(aside);
	assert_int_equal(store_open_aside(r->control.store, &other, &r->e), -EIO);
	assert_int_equal(rename(elsewhere, r->db), 0);
}

/* About a page each. */
static void commit_pages(struct room *r, int count)
{
	for (int i = 0; i < count; i++)
		room_run(r,
			"INSERT INTO settings (name, value) VALUES (hex(randomblob(8)),"
			" hex(randomblob(2000)))");
}

static off_t log_size(struct room *r)
{
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%.4000s-wal", r->db);
	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static void a_thread_writes_the_checkpoint(void **state)
{
	struct room *r = *state;
	struct store *s = r->control.store;
	struct store_place place;

	assert_int_equal(store_place_of(s, &place), 0);
	room_run(r, "PRAGMA synchronous = OFF");
	for (int i = 0; i < 4; i++) {
		assert_false(store_wants_checkpoint(s));
		for (int n = 0; !store_wants_checkpoint(s) && n < 100; n++)
			commit_pages(r, 10);
		assert_true(store_wants_checkpoint(s));
		assert_int_equal(store_checkpoint_at(&place), 0);
		store_checkpoint_done(s, 0);
		commit_pages(r, 1);
	}
	assert_true(log_size(r) < 8 << 20);
}

static void a_store_without_checkpoints_makes_them_itself(void **state)
{
	struct room *r = *state;
	struct store *s = r->control.store;

	room_run(r, "PRAGMA synchronous = OFF");
	store_checkpoint_done(s, -EIO);
	commit_pages(r, 2000);
	assert_false(store_wants_checkpoint(s));
	assert_true(log_size(r) < 8 << 20);
}

static void no_checkpoint_touches_another_file(void **state)
{
	struct room *r = *state;
	struct store_place place;
	char elsewhere[PATH_MAX];

	assert_int_equal(store_place_of(r->control.store, &place), 0);
	snprintf(elsewhere, sizeof(elsewhere), "%.4000s.moved", r->db);
	assert_int_equal(rename(r->db, elsewhere), 0);
	assert_int_equal(store_checkpoint_at(&place), -EIO);
	write_at(r->db, 0, "another", 7);
	assert_int_equal(store_checkpoint_at(&place), -EIO);
	assert_int_equal(rename(elsewhere, r->db), 0);
	assert_int_equal(store_checkpoint_at(&place), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(counts_keys_as_they_come_and_go),
		TEST(makes_no_store_where_one_is_expected),
		TEST(takes_no_change_while_its_file_is_gone),
		TEST(reopens_its_own_database),
		TEST(rejects_a_file_that_is_no_database),
		TEST(refuses_a_damaged_database),
		TEST(refuses_a_database_of_another_program),
		TEST(refuses_a_newer_schema),
		TEST(keys_of_an_old_store_get_the_families_that_it_knows),
		TEST(pools_of_an_old_store_keep_their_stickiness_and_members),
		TEST(refuses_a_file_that_others_can_read),
		TEST(names_a_missing_directory),
		TEST(explains_a_violated_constraint),
		TEST(rolls_back_uncommitted_changes),
		TEST(keeps_more_texts_than_it_caches),
		TEST(copies_itself_while_it_is_open),
		TEST(a_change_aside_is_seen_when_it_is_committed),
		TEST(a_change_aside_makes_way_and_begins_again),
		TEST(readers_do_not_disturb_a_change_aside),
		TEST(nothing_is_changed_aside_while_the_file_is_gone),
		TEST(a_thread_writes_the_checkpoint),
		TEST(a_store_without_checkpoints_makes_them_itself),
		TEST(no_checkpoint_touches_another_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
