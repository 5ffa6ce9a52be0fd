/* The state of the keeper, and what its files call of each other. */
#ifndef RELAY_AGENT_KEEPER_KEEPER_STATE_H
#define RELAY_AGENT_KEEPER_KEEPER_STATE_H

#include "agent/keeper/child.h"
#include "agent/keeper/drain.h"
#include "agent/keeper/identity.h"
#include "agent/keeper/inherited.h"
#include "agent/keeper/listeners.h"
#include "agent/keeper/snapshots.h"
#include "agent/keeper/successor.h"
#include "agent/keeper/writer.h"
#include "common/config.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct keeper {
	struct config config;
	const char *config_path;
	const char *program; /* its path, which may lead to another file by now */
	struct identities ids;
	struct inherited inherited; /* at the start */
	struct listeners listeners;
	bool is_first; /* there may be no store yet */
	int statefile_fd;
	bool state_is_new; /* there was none, or one that could not be used */
	int signal_fd;
	sigset_t original_mask;
	/* CHILD_KEEPER: the keeper itself, for the report */
	struct child children[CHILD_ROLE_COUNT];
	struct writer writer;
	int board_fd;
	struct snapshots snapshots;
	struct successor successor;
	struct drain drain;
	int exit_code;
	int64_t stand_in_at; /* monotonic ms; the next answer in control's place */
};

/* keeper.c. A child that cannot be started is started later. */
void keeper_start_child(struct keeper *k, struct child *c);
/* Control gets the state of all processes, and since when the program is being replaced. */
void keeper_report(struct keeper *k);

/* stopping.c: the first call drains, the second stops at once. */
void stopping_begin(struct keeper *k, int exit_code);
/* After each change of a child, and on time. */
void stopping_go_on(struct keeper *k);

/* replacement.c: SIGUSR2, from the signal to the next program. */
void replacement_begin(struct keeper *k);
/* After each change of a child, and on time. */
void replacement_go_on(struct keeper *k);
/* True if the process was the trial, whose end was one of a child's. */
bool replacement_trial_ended(struct keeper *k, pid_t pid, int status);
/* True while control is down because of it; then why, one sentence without a full stop. */
bool replacement_explains(const struct keeper *k, char *out, size_t size);

#endif
