/* What the keeper hands to a child at fork. The child owns the descriptors. */
#ifndef RELAY_COMMON_CHILD_H
#define RELAY_COMMON_CHILD_H

#include "common/address.h"
#include "common/config.h"

#include <stdbool.h>
#include <stdint.h>

#define CHILD_LISTENERS_MAX (ADDRESS_LIST_MAX + 4)

enum child_role {
	CHILD_KEEPER,
	CHILD_CONTROL,
	CHILD_AGENT,
	CHILD_ROLE_COUNT,
};

const char *child_role_name(enum child_role r); /* "keeper", "control", "agent" */

/* Why a child was restarted. */
enum child_end {
	CHILD_END_CRASH,  /* it died of a fault: SIGSEGV, SIGABRT, ... */
	CHILD_END_KILLED, /* another signal: kill(1), the kernel without memory */
	CHILD_END_EXIT,	  /* it served, and ended */
	CHILD_END_HUNG,	  /* it served, did not answer the keeper any more, and was killed */
	CHILD_END_START,  /* it ended, or was killed, before it served */
	CHILD_END_COUNT,
};

const char *child_end_name(
	enum child_end e); /* "crash", "killed", "exit", "hung", "start"; else "?" */

enum child_state {
	CHILD_DOWN, /* it does not run: the keeper waits before the next start */
	CHILD_STARTING,
	CHILD_SERVING,
	CHILD_HUNG, /* killed, but the kernel has not ended it yet */
	CHILD_STATE_COUNT,
};

const char *child_state_name(
	enum child_state s); /* "down", "starting", "serving", "hung"; else "?" */

enum child_socket {
	CHILD_SOCKET_SPOP,    /* agent; several */
	CHILD_SOCKET_EVENTS,  /* agent; datagrams */
	CHILD_SOCKET_CHECK,   /* agent; TCP, of HAProxy's agent-check */
	CHILD_SOCKET_ADMIN,   /* control; Unix */
	CHILD_SOCKET_METRICS, /* control; TCP */
};

struct child_listener {
	enum child_socket what;
	struct address address;
	int fd;
};

struct child_start {
	const struct config *config;
	const char *config_path; /* for messages */
	bool make_store;	 /* control: this is the first start, so there may be no store */
	bool state_is_new;	 /* there was no state file, or one that could not be used */
	bool as_root;		 /* root has started the relay */
	int keeper_fd;		 /* channel to the keeper */
	int peer_fd;		 /* channel to the other child */
	int files_fd;		 /* control: the keeper writes HAProxy's files; -1 = none */
	int statefile_fd;
	int board_fd;
	int snapshot_fd; /* agent: the last accepted snapshot, -1 = none yet */
	int keybase_fd;
	uint64_t snapshot_version;
	bool is_again;	 /* another child of this role was ready before, of the same keeper */
	bool only_saves; /* control: saves what the board has, and exits */
	int64_t drain_until_ms; /* agent: it drains from the start, monotonic; 0 = it does not */
	struct child_listener listeners[CHILD_LISTENERS_MAX];
	uint32_t listener_count;
};

/* The two mains; they return the exit code. */
int agent_main(const struct child_start *start);
int control_main(const struct child_start *start);
/* `spoa-relay --init`: makes store and key file. 0 or a negative errno with the reason. */
int control_init(const struct config *config, struct errtext *e);

#endif
