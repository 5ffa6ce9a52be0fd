/*
 * Messages between keeper, control and agent: SOCK_SEQPACKET pairs, one fixed struct per message, with
 * descriptors. Both ends are of the same build. Messages of a wrong size or type are refused anyway,
 * because control and agent do not trust each other.
 */
#ifndef RELAY_COMMON_CHANNEL_H
#define RELAY_COMMON_CHANNEL_H

#include "common/child.h"

#include <stdint.h>
#include <sys/types.h>

#define CHANNEL_FDS_MAX 2
#define CHANNEL_TEXT_MAX 200

enum channel_type {
	CHANNEL_SNAPSHOT = 1,  /* control -> agent: version; fds = snapshot, key base */
	CHANNEL_SNAPSHOT_ACK,  /* agent -> control: version, error (0 or -errno), text */
	CHANNEL_SNAPSHOT_KEEP, /* agent -> keeper: version; fds = snapshot, key base it accepted */
	CHANNEL_PEER,	       /* keeper -> child: fds[0] = the new channel to the other child */
	CHANNEL_RELOAD,	       /* keeper -> child: fds[0] = the configuration's text, checked */
	CHANNEL_DRAIN, /* keeper -> child: finish the work in progress, for `version` ms at most,
				  then exit 0; nothing new begins */
	CHANNEL_READY, /* child -> keeper: the child serves */
	CHANNEL_PROCESSES, /* keeper -> control: processes, whenever one changed; version = Unix time in ms since when the program is being replaced, 0 = it is not */
	CHANNEL_GAUGE,	   /* control -> agent: fds[0] = HAProxy's requests in progress, gauge.h */
	CHANNEL_USAGE,	   /* control -> agent: usage */
	/*
	 * On a separate channel. control -> keeper: text = name of a file for HAProxy, fds[0] = its content,
	 * version = number of the question. keeper -> control: error and text, the number again; 0 = the last.
	 */
	CHANNEL_FILE,
	CHANNEL_PING, /* keeper -> child: version = number of the question; the child's loop answers */
	CHANNEL_PONG,	      /* child -> keeper: the number again */
	CHANNEL_SNAPSHOT_USE, /* agent -> keeper: version that it tries or returns to; 0 = none */
	CHANNEL_FAILED,	      /* child -> keeper: text = why it cannot start; it ends */
	CHANNEL_SNAPSHOT_GIVEN_UP, /* keeper -> control: version that has crashed the agent */
	CHANNEL_STORE, /* control -> agent, every few seconds: error; 0 = the store takes changes */
	CHANNEL_NOT_REPLACED, /* keeper -> control: text = why SIGUSR2 has changed nothing */
	/*
	 * keeper -> child: another one follows. The agent answers what has arrived, control finishes the work in
	 * progress, for `version` ms at most; then it exits 0.
	 */
	CHANNEL_LEAVE,
	CHANNEL_WANTS_GAUGE, /* agent -> control: a process of HAProxy asks that no gauge has named */
};

struct channel_process {
	int32_t pid; /* 0 = not running */
	uint32_t restarts;
	uint32_t ends[CHILD_END_COUNT]; /* `restarts` by reason */
	uint32_t state;			/* enum child_state */
	uint32_t last_end;		/* enum child_end, if `last_end_ms` */
	int64_t last_end_ms;		/* Unix time of the last restart; 0 = none */
	int64_t last_end_mono;		/* the same, monotonic */
	int64_t started_ms;		/* monotonic; 0 = it does not run */
};

/*
 * What the usage page of a provider says about an account. A page that says that no limit is reached ends
 * only the window that the account was in when control asked, so a later window stays.
 */
struct channel_usage {
	uint32_t account;		/* id */
	uint16_t used;			/* of the fullest limit, in 1/65535 */
	uint16_t is_full;		/* a limit is reached until `until_ms` */
	uint64_t credential_generation; /* of the credential that asked */
	int64_t used_until_ms;		/* Unix time at which that limit ends; 0 = unknown */
	int64_t until_ms;
	int64_t window_ms; /* end of the window that the page ends; 0 = none */
};

struct channel_message {
	uint32_t type; /* enum channel_type */
	int32_t error;
	uint64_t version;
	struct channel_process processes[CHILD_ROLE_COUNT];
	char text[CHANNEL_TEXT_MAX]; /* NUL-terminated */
	struct channel_usage usage;
};

/* A close-on-exec, non-blocking pair. 0 or -errno. */
int channel_pair(int ret_fds[2]);
/* 0, -EAGAIN (queue full: the caller keeps the message), -EPIPE (peer gone), -errno. Keeps the fds open. */
int channel_send(int fd, const struct channel_message *m, const int *fds, size_t nfds);
/*
 * One message. The caller owns the received descriptors; unused places are -1.
 * 0, -EAGAIN (no message), -EPIPE (peer gone), -EBADMSG (not a message; its fds were closed).
 */
int channel_receive(int fd, struct channel_message *ret, int ret_fds[CHANNEL_FDS_MAX]);

#endif
