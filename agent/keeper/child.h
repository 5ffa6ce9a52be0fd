/* A child process as the keeper sees it. */
#ifndef RELAY_AGENT_KEEPER_CHILD_H
#define RELAY_AGENT_KEEPER_CHILD_H

#include "agent/keeper/supervise.h"
#include "agent/keeper/watch.h"
#include "common/channel.h"
#include "common/child.h"

#include <stdbool.h>
#include <sys/types.h>

struct child {
	enum child_role role;
	pid_t pid;	   /* 0 = not running */
	int fd;		   /* keeper's end of its channel; -1 = none. Owned */
	bool ready;	   /* it has reported CHANNEL_READY */
	bool is_dismissed; /* it was told to end, or only saves, for the next program */
	bool is_killed;	   /* because it did not answer */
	bool is_looping;   /* and it used the CPU */
	bool ever_ready;
	uint32_t ends[CHILD_END_COUNT]; /* its restarts by reason */
	enum child_end last_end;
	int64_t last_end_ms;		/* wall clock; 0 = it was never restarted */
	int64_t last_end_mono;		/* the same, monotonic */
	int64_t started_mono;		/* monotonic */
	int64_t restart_at;		/* monotonic ms; -1 = not waiting */
	uint32_t soon_crashes;		/* crashes by signal in a row, each soon after the start */
	int64_t down_since;		/* monotonic; without a child that serves, since */
	char failure[CHANNEL_TEXT_MAX]; /* its reason why it cannot start; "" = none given */
	char last_words[CHANNEL_TEXT_MAX + 32]; /* why the last one ended, for people */
	struct supervise supervise;
	struct watch watch;
};

void child_init(struct child *c, enum child_role role);
/* It runs as `pid`, with `fd` as the keeper's end of its channel. */
void child_started(struct child *c, pid_t pid, int fd);
void child_ready(struct child *c);

/* `fd` -1: none. A failure is logged. */
void child_send(const struct child *c, enum channel_type type, int fd);
/* With a number in `version`, without a descriptor. */
void child_send_number(const struct child *c, enum channel_type type, uint64_t number);
void child_describe(const struct child *c, struct channel_process *ret);

/* For how long nobody has answered in its place; 0 = it serves. */
int64_t child_silence_ms(const struct child *c, int64_t now_ms);
/* Why it does not serve: one sentence without a full stop. */
void child_explain(const struct child *c, int64_t now_ms, char *out, size_t size);

/* When child_watch() is due, monotonic; INT64_MAX = it does not run. */
int64_t child_watch_due(const struct child *c);
/* The child as the kernel sees it; to be read before its answers are, so that none is missed. */
struct watch_sample child_sample(const struct child *c);
/* Asks it, or kills it if it has not answered for too long; the second returns true. */
bool child_watch(struct child *c, const struct watch_sample *s);

/* It has ended, and does not serve any more. */
void child_left(struct child *c);
/* Its status of waitpid(). Says why it ended, and counts the restart. */
enum child_end child_ended(struct child *c, int status);
void child_log_end(const struct child *c, int status, enum child_end why, int64_t delay);
/* It died of a fault and not of a signal that somebody sent. */
bool child_is_crash(int status);

#endif
