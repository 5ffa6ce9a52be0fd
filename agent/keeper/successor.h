/*
 * SIGUSR2: the keeper replaces itself and both children by the program that is on disk now (docs/UPGRADE.md). A
 * trial comes first: the program checks the configuration and what it would take over. The process id stays.
 */
#ifndef RELAY_AGENT_KEEPER_SUCCESSOR_H
#define RELAY_AGENT_KEEPER_SUCCESSOR_H

#include "agent/keeper/handover.h"
#include "agent/keeper/trial_process.h"
#include "common/child.h"
#include "common/errtext.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* In this order. */
enum successor_step {
	SUCCESSOR_NONE,
	SUCCESSOR_TRIES,	/* the trial runs */
	SUCCESSOR_TRIED,	/* until no child is starting */
	SUCCESSOR_CONTROL_ENDS, /* while the agent still answers */
	SUCCESSOR_AGENT_ENDS,
	SUCCESSOR_SAVES, /* control again: what the board has, if the program does not take it over */
	SUCCESSOR_REPLACES,
};

struct successor {
	enum successor_step step;
	struct trial_process trial;
	bool takes_all;
	bool is_again;	  /* SIGUSR2 came once more when it was too late for another trial */
	int64_t since_ms; /* Unix time of the first SIGUSR2; 0 = the program is not being replaced */
	int64_t deadline; /* monotonic ms, of this step */
};

void successor_init(struct successor *s);
/*
 * SIGUSR2. Starts the trial, with the signals of `mask` blocked; a trial that runs ends. Later it is remembered, and the
 * next program is replaced in turn. 0 or -errno.
 */
int successor_begin(struct successor *s, struct handover *h, const sigset_t *mask);
/* True if the process was the trial of `config_path`. One that failed sets `ret_why`. */
bool successor_trial_ended(struct successor *s, pid_t pid, int status, const char *config_path,
	struct errtext *ret_why);
/* The signal is for the next program, too, or for this one if it stays. */
void successor_pass_on(struct successor *s);
/* A child of this role that ends now is not started again. */
bool successor_ends(const struct successor *s, enum child_role role);
/* The relay stops, or the program cannot be replaced. False: it was not being replaced. */
bool successor_cancel(struct successor *s);
/*
 * Goes on to the next step if the children are as this one wants them. True if it has: the caller does what the new
 * step says. `drain_ms`: patience with work in progress.
 */
bool successor_next(struct successor *s, bool control_runs, bool agent_runs, int64_t drain_ms);
/* Monotonic ms; INT64_MAX = none. */
int64_t successor_deadline(const struct successor *s);
/* The step takes too long: its process is to be killed, which this does to the trial. */
void successor_overdue(struct successor *s, pid_t control, pid_t agent);

#endif
