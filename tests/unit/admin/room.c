#include "tests/unit/admin/room.h"

#include "admin/api/deferred.h"
#include "admin/upkeep/clockwatch.h"

#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int64_t room_cpu_ns(void)
{
	struct timespec t;

	assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t), 0);
	return t.tv_sec * (int64_t)1000000000 + t.tv_nsec;
}

static void remove_tree(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	char path[ROOM_PATH_MAX * 2];

	while (d && (entry = readdir(d))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		if (unlink(path) < 0)
			remove_tree(path);
	}
	if (d)
		closedir(d);
	rmdir(dir);
}

static void open_control(struct room *r)
{
	struct control *c = &r->control;
	int pair[2];

	config_init(&c->config);
	c->keeper_fd = c->reload_fd = c->files_fd = -1;
	assert_int_equal(store_open(r->url, &c->store, &r->e), 0);
	clockwatch_start(c);
	assert_int_equal(vault_open(c->store, r->key_file, &c->vault, &r->e), 0);
	assert_int_equal(secrets_load(c->store, c->vault, "", &r->secrets, &r->e), 0);
	c->secrets = &r->secrets;
	r->board_fd = board_create();
	assert_true(r->board_fd >= 0);
	r->board = board_map(r->board_fd, true, &r->e);
	assert_non_null(r->board);
	c->board = r->board;
	r->history = (struct history){.store = c->store, .board = c->board, .config = &c->config};
	c->history = &r->history;
	c->publish = publish_new(c);
	assert_non_null(c->publish);
	c->changes = changes_new(c);
	assert_non_null(c->changes);
	c->haproxy = haproxy_sync_new(c, &r->e);
	assert_non_null(c->haproxy);
	assert_int_equal(channel_pair(pair), 0);
	publish_set_peer(c->publish, pair[0]);
	r->agent_fd = pair[1];
}

struct room *room_new(void)
{
	struct room *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	snprintf(r->dir, sizeof(r->dir), "/tmp/relay-room-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	snprintf(r->db, sizeof(r->db), "%s/relay.db", r->dir);
	snprintf(r->url, sizeof(r->url), "sqlite:%s/relay.db", r->dir);
	snprintf(r->key_file, sizeof(r->key_file), "%s/vault.key", r->dir);
	open_control(r);
	return r;
}

void room_free(struct room *r)
{
	changes_free(r->control.changes);
	haproxy_sync_free(r->control.haproxy);
	publish_free(r->control.publish);
	vault_close(r->control.vault);
	history_fini(&r->history);
	store_close(r->control.store);
	board_unmap(r->board);
	close(r->board_fd);
	close(r->agent_fd);
	remove_tree(r->dir);
	free(r);
}

int room_setup(void **state)
{
	*state = room_new();
	return 0;
}

int room_teardown(void **state)
{
	room_free(*state);
	return 0;
}

void room_run(struct room *r, const char *sql)
{
	char *copy = strdup(sql);
	char *rest = copy;
	char *one;

	while ((one = strsep(&rest, ";"))) {
		if (!*one)
			continue;
		if (sql_run(r->control.store, &r->e, one, "") < 0)
			fail_msg("%s: %s", one, r->e.text);
	}
	free(copy);
}

int64_t room_number(struct room *r, const char *sql)
{
	int64_t n = 0;

	if (sql_number(r->control.store, &r->e, &n, sql, "") < 0)
		fail_msg("%s: %s", sql, r->e.text);
	return n;
}

void room_put_token(struct room *r, int64_t account, const char *token)
{
	assert_int_equal(credential_put(r->control.store, r->control.vault, account,
				 CREDENTIAL_ACCESS_TOKEN, slice_from_str(token), 0, &r->e),
		0);
}

static void hash_of(const struct room *r, const char *text, uint8_t hash[RELAYKEY_HASH_LEN])
{
	relaykey_hash(&r->secrets.hasher, slice_from_str(text), hash);
}

void room_add_key(struct room *r, const char *text)
{
	struct store *s = r->control.store;
	uint8_t hash[RELAYKEY_HASH_LEN];

	hash_of(r, text, hash);
	assert_int_equal(store_bump_version(s, &r->e), 0);
	struct slice bytes = {(const char *)hash, sizeof(hash)};
	int error = sql_run(s, &r->e,
		"INSERT INTO keys (tenant_id, hash, last4, created_ms, version, allow_ip)"
		" VALUES (1, ?1, 'abcd', 0, ?2, '10.0.0.0/8')",
		"bi", &bytes, (int64_t)store_version(s));
	assert_int_equal(error, 0);
}

void room_take(struct room *r, struct room_seen *ret)
{
	struct channel_message m;
	int fds[CHANNEL_FDS_MAX];

	publish_receive(r->control.publish);
	changes_run(r->control.changes);
	assert_int_equal(channel_receive(r->agent_fd, &m, fds), 0);
	assert_int_equal(m.type, CHANNEL_SNAPSHOT);
	ret->version = m.version;
	assert_int_equal(snapshot_map_open(fds[0], true, &ret->snapshot_map, &r->e), 0);
	assert_int_equal(snapshot_map_open(fds[1], false, &ret->base_map, &r->e), 0);
	if (snapshot_open(ret->snapshot_map.block, ret->snapshot_map.size, ret->base_map.block,
		    ret->base_map.size, &ret->snapshot, &r->e) < 0)
		fail_msg("%s", r->e.text);
	close(fds[0]);
	close(fds[1]);
}

void room_acknowledge(struct room *r, uint64_t version, int error)
{
	struct channel_message m = {
		.type = CHANNEL_SNAPSHOT_ACK, .version = version, .error = error};

	snprintf(m.text, sizeof(m.text), "%s", error ? "a row points outside" : "");
	assert_int_equal(channel_send(r->agent_fd, &m, NULL, 0), 0);
}

void room_seen_fini(struct room_seen *s)
{
	snapshot_map_close(&s->snapshot_map);
	snapshot_map_close(&s->base_map);
}

const struct snapshot_key *room_find_key(
	const struct room *r, const struct room_seen *s, const char *text)
{
	uint8_t hash[RELAYKEY_HASH_LEN];
	const struct keytable *table;

	hash_of(r, text, hash);
	return snapshot_key(&s->snapshot, hash, &table);
}

void room_settle(struct room *r)
{
	struct control *c = &r->control;

	changes_run(c->changes);
	while (changes_busy(c->changes)) {
		struct pollfd answer = {.fd = publish_fd(c->publish), .events = POLLIN};
		poll(&answer, 1, 10);
		publish_receive(c->publish);
		publish_send(c->publish);
		changes_run(c->changes);
	}
}

unsigned room_run_request(struct room *r, struct request *request)
{
	unsigned status = request_run(request);

	if (!request->deferred)
		return status;
	room_settle(r);
	assert_true(deferred_is_done(request->deferred));
	json_object_put(request->answer);
	status = deferred_take(request->deferred, &request->answer);
	deferred_release(request->deferred);
	return status;
}

unsigned room_call(struct room *r, enum command_id id, const char *name, const char *body,
	json_object **ret_answer)
{
	struct request request = {
		.control = &r->control,
		.command = command_row(id),
		.name = name,
		.body = json_tokener_parse(body),
		.answer = json_object_new_object(),
	};
	unsigned status;

	assert_non_null(request.body);
	/* Sent in advance: control reads the acknowledgement later. */
	if (request.command->changes)
		room_acknowledge(r, store_version(r->control.store) + 1, 0);
	if (command_body_check(request.command, request.body, &request.error))
		status = request_refuse(&request, 400, request.error.text);
	else
		status = room_run_request(r, &request);
	json_object_put(request.body);
	if (ret_answer)
		*ret_answer = request.answer;
	else
		json_object_put(request.answer);
	return status;
}

void room_refuse(struct room *r, enum command_id id, const char *name, const char *body,
	unsigned status, const char *words)
{
	uint64_t before = store_version(r->control.store);
	json_object *answer;

	assert_int_equal(room_call(r, id, name, body, &answer), status);
	const char *text = json_object_to_json_string_ext(answer, JSON_C_TO_STRING_NOSLASHESCAPE);
	if (!strstr(text, words))
		fail_msg("%s lacks \"%s\"", text, words);
	json_object_put(answer);
	assert_true(store_version(r->control.store) == before);
}

void room_change(struct room *r, enum command_id id, const char *name, const char *body,
	struct room_seen *ret)
{
	json_object *answer;

	if (room_call(r, id, name, body, &answer) != 200)
		fail_msg("%s", json_object_to_json_string(answer));
	json_object_put(answer);
	room_take(r, ret);
	assert_true(ret->version == store_version(r->control.store));
}
