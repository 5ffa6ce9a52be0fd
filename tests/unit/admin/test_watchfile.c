/* Watched auth.json files: control takes newer tokens and never writes the file. */
#include "tests/unit/admin/room.h"

#include "admin/upkeep/watchfile.h"
#include "common/clock.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOTICES "SELECT count(*) FROM notices WHERE acked_ms = 0 AND kind = 'watch_failed'"
#define GENERATION                                                                                 \
	"SELECT generation FROM credentials WHERE account_id = 1 AND field = 'access_token'"

struct scene {
	struct room *room;
	struct watchfile *watch;
	char path[ROOM_PATH_MAX];
	int written;
};

/*
 * The payload is {"exp":EXP,...} in base64url, three bytes at a time, so that no padding is needed.
 */
static const char *jwt(int64_t exp_s, char *out, size_t size)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	char payload[64];
	char text[128];
	size_t n = (size_t)snprintf(payload, sizeof(payload), "{\"exp\":%lld}", (long long)exp_s);
	size_t at = 0;

	while (n % 3)
		payload[n++] = ' ';
	for (size_t i = 0; i < n; i += 3) {
		uint32_t v = (uint32_t)(uint8_t)payload[i] << 16 |
			(uint32_t)(uint8_t)payload[i + 1] << 8 | (uint8_t)payload[i + 2];
		for (int shift = 18; shift >= 0; shift -= 6)
			text[at++] = digits[v >> shift & 63];
	}
	text[at] = '\0';
	snprintf(out, size, "e30.%s.sig", text);
	return out;
}

static char *document(int64_t exp_s, const char *last_refresh)
{
	char token[256];
	char *text = malloc(1024);

	assert_non_null(text);
	snprintf(text, 1024,
		"{\"tokens\":{\"access_token\":\"%s\",\"refresh_token\":\"rt-owner\","
		"\"id_token\":\"idt\",\"account_id\":\"acc\"},\"last_refresh\":\"%s\"}",
		jwt(exp_s, token, sizeof(token)), last_refresh);
	return text;
}

/* Writes like an editor: in place, or a new file under the same name. */
static void write_text(struct scene *s, const char *text)
{
	FILE *f = fopen(s->path, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	/* Each one is later than the last, whatever the clock of the file system. */
	const struct timespec times[2] = {{1000 + s->written, 0}, {1000 + s->written, 0}};
	s->written++;
	assert_int_equal(utimensat(AT_FDCWD, s->path, times, 0), 0);
}

static void write_tokens(struct scene *s, int64_t exp_s, const char *last_refresh)
{
	char *text = document(exp_s, last_refresh);

	write_text(s, text);
	free(text);
}

static void add_account(struct scene *s, int64_t exp_s)
{
	json_object *body = json_object_new_object();
	char *text = document(exp_s, "2026-01-01T00:00:00Z");
	struct room_seen seen;

	json_object_object_add(body, "name", json_object_new_string("a"));
	json_object_object_add(body, "upstream", json_object_new_string("codex"));
	json_object_object_add(body, "auth_json", json_object_new_string(text));
	json_object_object_add(body, "watch_path", json_object_new_string(s->path));
	room_change(s->room, COMMAND_ACCOUNTS_ADD, NULL, json_object_to_json_string(body), &seen);
	room_seen_fini(&seen);
	json_object_put(body);
	write_text(s, text);
	free(text);
}

static int setup(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->room = room_new();
	room_run(s->room,
		"INSERT INTO upstreams (name, url, provider, token_url, client_id, created_ms)"
		" VALUES ('codex', 'https://h', 'codex', 'https://t/oauth/token', 'app', 0)");
	s->room->control.loop = ev_loop_new(EVFLAG_AUTO);
	s->watch = watchfile_new(&s->room->control);
	assert_non_null(s->watch);
	snprintf(s->path, sizeof(s->path), "%s/auth.json", s->room->dir);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;

	watchfile_free(s->watch);
	ev_loop_destroy(s->room->control.loop);
	s->room->control.loop = NULL;
	room_free(s->room);
	free(s);
	return 0;
}

static void newer_tokens_reach_the_agent(void **state)
{
	struct scene *s = *state;
	struct room_seen seen;

	add_account(s, 1900000000);
	watchfile_poll(s->watch);
	assert_int_equal(room_number(s->room, GENERATION), 1);
	write_tokens(s, 1900000100, "2026-01-01T00:00:00Z");
	watchfile_poll(s->watch);
	assert_int_equal(room_number(s->room, GENERATION), 2);
	room_take(s->room, &seen);
	assert_true(seen.version == store_version(s->room->control.store));
	room_seen_fini(&seen);
	watchfile_poll(s->watch);
	assert_int_equal(room_number(s->room, GENERATION), 2);
}

static void the_owners_refresh_token_is_not_kept(void **state)
{
	struct scene *s = *state;

	add_account(s, 1900000000);
	write_tokens(s, 1900000100, "2026-01-01T00:00:00Z");
	watchfile_poll(s->watch);
	assert_int_equal(room_number(s->room, GENERATION), 2);
	assert_int_equal(room_number(s->room,
				 "SELECT count(*) FROM credentials WHERE field = 'refresh_token'"),
		0);
	assert_int_equal(
		room_number(s->room, "SELECT count(*) FROM credentials WHERE field = 'id_token'"),
		1);
}

static void the_file_is_never_written(void **state)
{
	struct scene *s = *state;
	struct stat before, after;

	add_account(s, 1900000000);
	write_tokens(s, 1900000100, "2026-01-01T00:00:00Z");
	assert_int_equal(stat(s->path, &before), 0);
	for (int i = 0; i < 3; i++)
		watchfile_poll(s->watch);
	assert_int_equal(stat(s->path, &after), 0);
	assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof(before.st_mtim));
	assert_memory_equal(&before.st_ctim, &after.st_ctim, sizeof(before.st_ctim));
}

static void older_tokens_are_ignored(void **state)
{
	struct scene *s = *state;

	add_account(s, 1900000000);
	write_tokens(s, 1800000000, "2026-01-01T00:00:00Z");
	watchfile_poll(s->watch);
	assert_int_equal(room_number(s->room, GENERATION), 1);
	/* A refresh by the owner after ours counts. */
	write_tokens(s, 1800000000, "2099-01-01T00:00:00Z");
	watchfile_poll(s->watch);
	assert_int_equal(room_number(s->room, GENERATION), 2);
}

static void an_unusable_file_raises_one_notice(void **state)
{
	static const char *const broken[] = {"", "{\"tokens\":{\"acc", "[]", "{\"tokens\":{}}",
		"{\"tokens\":{\"account_id\":\"a\",\"refresh_token\":\"r\"}}",
		"{\"tokens\":{\"account_id\":\"a\",\"refresh_token\":\"r\",\"access_token\":\"x\"}}"};
	struct scene *s = *state;

	add_account(s, 1900000000);
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		write_text(s, broken[i]);
		watchfile_poll(s->watch);
		assert_int_equal(room_number(s->room, NOTICES), 0);
		for (int k = 0; k < 5; k++)
			watchfile_poll(s->watch);
		assert_int_equal(room_number(s->room, NOTICES), 1);
		assert_int_equal(
			room_number(s->room,
				"SELECT count FROM notices WHERE acked_ms = 0 AND subject ="
				" 'account/a'"),
			1);
		write_tokens(s, 1900000000, "2026-01-01T00:00:00Z");
		watchfile_poll(s->watch);
		assert_int_equal(room_number(s->room, NOTICES), 0);
	}
	assert_int_equal(room_number(s->room, GENERATION), 1);
}

static void special_files_are_not_read(void **state)
{
	struct scene *s = *state;

	add_account(s, 1900000000);
	assert_int_equal(unlink(s->path), 0);
	for (int kind = 0; kind < 4; kind++) {
		if (kind == 1)
			assert_int_equal(mkfifo(s->path, 0600), 0);
		else if (kind == 2)
			assert_int_equal(mkdir(s->path, 0700), 0);
		else if (kind == 3)
			assert_int_equal(symlink("/dev/zero", s->path), 0);
		for (int k = 0; k < 3; k++)
			watchfile_poll(s->watch);
		assert_int_equal(room_number(s->room, NOTICES), 1);
		if (kind)
			assert_int_equal(remove(s->path), 0);
	}
}

static void a_huge_file_is_not_read(void **state)
{
	struct scene *s = *state;

	add_account(s, 1900000000);
	assert_int_equal(truncate(s->path, (off_t)1 << 40), 0);
	watchfile_poll(s->watch);
	watchfile_poll(s->watch);
	assert_int_equal(room_number(s->room, NOTICES), 1);
}

static void a_credential_of_another_kind_ends_the_watch(void **state)
{
	struct scene *s = *state;
	struct room_seen seen;

	add_account(s, 1900000000);
	room_change(s->room, COMMAND_ACCOUNTS_SET, "a", "{\"token\":\"sk-1\"}", &seen);
	room_seen_fini(&seen);
	write_tokens(s, 1900000100, "2099-01-01T00:00:00Z");
	watchfile_poll(s->watch);
	assert_int_equal(room_number(s->room, GENERATION), 2);
	assert_int_equal(
		room_number(s->room, "SELECT count(*) FROM accounts WHERE source = 'watch'"), 0);
}

static void a_watch_requires_a_file_and_an_absolute_path(void **state)
{
	struct scene *s = *state;

	room_refuse(s->room, COMMAND_ACCOUNTS_ADD, NULL,
		"{\"name\":\"b\",\"upstream\":\"codex\",\"token\":\"x\",\"watch_path\":\"/a\"}",
		400, "only with a credential file");
	char *text = document(1900000000, "2026-01-01T00:00:00Z");
	json_object *body = json_object_new_object();
	json_object_object_add(body, "name", json_object_new_string("b"));
	json_object_object_add(body, "upstream", json_object_new_string("codex"));
	json_object_object_add(body, "auth_json", json_object_new_string(text));
	json_object_object_add(body, "watch_path", json_object_new_string("auth.json"));
	room_refuse(s->room, COMMAND_ACCOUNTS_ADD, NULL, json_object_to_json_string(body), 400,
		"absolute");
	json_object_put(body);
	free(text);
}

/* --- newer or not --- */

static bool newer(int64_t exp_ms, int64_t last_refresh_ms, int64_t stored_exp_ms)
{
	struct credential stored = {.expires_ms = stored_exp_ms, .updated_ms = 5000};
	const struct credential_file file = {.access_token = SLICE_LITERAL("new"),
		.expires_ms = exp_ms,
		.last_refresh_ms = last_refresh_ms};

	buffer_append_str(&stored.value, "old");
	bool result = watchfile_is_newer(&file, &stored);
	buffer_fini(&stored.value);
	return result;
}

static void newer_by_its_refresh_or_else_by_its_expiry(void **state)
{
	(void)state;
	assert_true(newer(9000, 0, 8000));
	assert_true(newer(8000, 0, 8000));
	assert_false(newer(7999, 0, 8000));
	assert_false(newer(7000, 5000, 8000));
	assert_true(newer(7000, 5001, 8000));
	assert_true(newer(9000, 1, 8000));
	/* API keys have no time. */
	assert_true(newer(0, 0, 0));
	assert_false(newer(0, 1, 0));
	struct credential same = {.updated_ms = 1};
	buffer_append_str(&same.value, "new");
	const struct credential_file file = {
		.access_token = SLICE_LITERAL("new"), .last_refresh_ms = 99, .expires_ms = 99};
	assert_false(watchfile_is_newer(&file, &same));
	buffer_fini(&same.value);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(newer_tokens_reach_the_agent),
		TEST(the_owners_refresh_token_is_not_kept),
		TEST(the_file_is_never_written),
		TEST(older_tokens_are_ignored),
		TEST(an_unusable_file_raises_one_notice),
		TEST(special_files_are_not_read),
		TEST(a_huge_file_is_not_read),
		TEST(a_credential_of_another_kind_ends_the_watch),
		TEST(a_watch_requires_a_file_and_an_absolute_path),
		cmocka_unit_test(newer_by_its_refresh_or_else_by_its_expiry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
