/* A test directory with a store, a vault and a control without keeper and loop. */
#ifndef RELAY_TESTS_UNIT_ADMIN_ROOM_H
#define RELAY_TESTS_UNIT_ADMIN_ROOM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "admin/api/request.h"
#include "admin/control.h"
#include "admin/publish/change.h"
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

/* A publication as the agent sees it. */
struct room_seen {
	uint64_t version;
	struct snapshot_map snapshot_map, base_map;
	struct snapshot snapshot;
};

/* CPU time of this process in nanoseconds: it does not grow while others have the processor. */
int64_t room_cpu_ns(void);

struct room *room_new(void);
void room_free(struct room *r);
/* cmocka's setup and teardown. */
int room_setup(void **state);
int room_teardown(void **state);

/* Runs SQL statements on the room's store; a failing statement fails the test. */
void room_run(struct room *r, const char *sql);
int64_t room_number(struct room *r, const char *sql);
void room_put_token(struct room *r, int64_t account, const char *token);
/* Adds a key of tenant 1; the hash is that of `text`. */
void room_add_key(struct room *r, const char *text);

/* Lets control begin a round that is wanted, and reads the pending publication from the channel. */
void room_take(struct room *r, struct room_seen *ret);
void room_acknowledge(struct room *r, uint64_t version, int error);
/* Runs until no change is under way; the agent has answered already, or another process is the agent. */
void room_settle(struct room *r);
/* As request_run(), of a request that is answered when its change is in force: with that answer. */
unsigned room_run_request(struct room *r, struct request *request);
void room_seen_fini(struct room_seen *s);
/*
 * Runs a command as the server does, with an agent that takes the snapshot. The publication of a
 * change waits in the channel for room_take(). Returns the status; the caller puts `ret_answer`
 * (NULL = not wanted).
 */
unsigned room_call(struct room *r, enum command_id id, const char *name, const char *body,
	json_object **ret_answer);
/* Like room_call(), but expects an error with this status and text. */
void room_refuse(struct room *r, enum command_id id, const char *name, const char *body,
	unsigned status, const char *words);
/* Runs a successful command and reads the publication. */
void room_change(struct room *r, enum command_id id, const char *name, const char *body,
	struct room_seen *ret);
const struct snapshot_key *room_find_key(
	const struct room *r, const struct room_seen *s, const char *text);

#endif
