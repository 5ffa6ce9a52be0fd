/* A directory of its own with a store, a vault and a control that has no keeper and no loop. */
#ifndef RELAY_TESTS_UNIT_ADMIN_ROOM_H
#define RELAY_TESTS_UNIT_ADMIN_ROOM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "admin/api/request.h"
#include "admin/control.h"
#include "admin/publish/haproxy_sync.h"
#include "admin/publish/publish.h"
#include "admin/store/credential.h"
#include "admin/store/history.h"
#include "admin/store/secrets.h"
#include "admin/store/sql.h"
#include "admin/store/store.h"
#include "admin/store/vault.h"
#include "common/channel.h"
#include "common/snapshot.h"

#define ROOM_PATH_MAX 256

struct room {
	char dir[64];
	char url[ROOM_PATH_MAX];
	char db[ROOM_PATH_MAX];
	char key_file[ROOM_PATH_MAX];
	int board_fd;
	struct board *board; /* writable */
	struct control control;
	struct secrets secrets;
	struct history history;
	int agent_fd; /* the agent's end of the channel */
	struct errtext e;
};

/* What an agent sees of one publication. */
struct room_seen {
	uint64_t version;
	struct snapshot_map snapshot_map, base_map;
	struct snapshot snapshot;
};

struct room *room_new(void);
void room_free(struct room *r);
/* cmocka's setup and teardown. */
int room_setup(void **state);
int room_teardown(void **state);

/* Runs SQL on the room's store, one statement after the other; fails the test when it fails. */
void room_run(struct room *r, const char *sql);
int64_t room_number(struct room *r, const char *sql);
void room_put_token(struct room *r, int64_t account, const char *token);
/* Adds a key of tenant 1; the hash is that of `text`. */
void room_add_key(struct room *r, const char *text);

/* Takes the publication that waits in the channel. */
void room_take(struct room *r, struct room_seen *ret);
void room_acknowledge(struct room *r, uint64_t version, int error);
void room_seen_fini(struct room_seen *s);
/*
 * Runs a command as the server does, with an agent that takes the snapshot; the publication of a change
 * waits in the channel for room_take(). Returns the status; `ret_answer` (NULL = not wanted) is put by
 * the caller.
 */
unsigned room_call(struct room *r, enum command_id id, const char *name, const char *body,
	json_object **ret_answer);
/* As room_call(), of a command that is refused: with this status and these words. */
void room_refuse(struct room *r, enum command_id id, const char *name, const char *body,
	unsigned status, const char *words);
/* One that is done, and what the agent sees then. */
void room_change(struct room *r, enum command_id id, const char *name, const char *body,
	struct room_seen *ret);
const struct snapshot_key *room_find_key(
	const struct room *r, const struct room_seen *s, const char *text);

#endif
