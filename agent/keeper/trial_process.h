/*
 * The process of a trial (trial.h) as the keeper sees it. The keeper reads what it prints, so a log that nobody reads
 * does not hold it up. The process has a group of processes, which ends with it.
 */
#ifndef RELAY_AGENT_KEEPER_TRIAL_PROCESS_H
#define RELAY_AGENT_KEEPER_TRIAL_PROCESS_H

#include "agent/keeper/handover.h"
#include "common/errtext.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#define TRIAL_OUTPUT_MAX 16384 /* a process that prints more is killed */
#define TRIAL_WORDS_MAX 1000   /* a line of the log has room for them */

struct trial_process {
	pid_t pid;		     /* 0 = none */
	int fd;			     /* reads its output; -1 = none. Owned */
	const char *killed;	     /* why the keeper has killed it; NULL = it has not */
	struct stat program, config; /* the files that it tries */
	size_t len;
	char output[TRIAL_OUTPUT_MAX];
};

void trial_process_init(struct trial_process *t);
/* With the signals of `mask` blocked. Ends one that runs. 0 or -errno. */
int trial_process_start(struct trial_process *t, struct handover *h, const sigset_t *mask);
/* Takes what it has printed. */
void trial_process_read(struct trial_process *t);
/* `why` is kept by pointer. */
void trial_process_kill(struct trial_process *t, const char *why);
/* Kills it, and knows nothing of it any more. */
void trial_process_forget(struct trial_process *t);
/*
 * It has ended, with this status of waitpid(). 0 if the program can take over, else a negative errno. A program that
 * does not know the option or the configuration is refused, whatever its exit code is.
 */
int trial_process_judge(struct trial_process *t, int status, const char *config_path,
	bool *ret_takes_all, struct errtext *e);
/* The program and the configuration are those that it has tried. */
bool trial_process_has_tried(const struct trial_process *t, const struct handover *h);
/* The last lines that it printed, in ASCII and without the last newline. */
void trial_process_words(const struct trial_process *t, char ret[TRIAL_WORDS_MAX]);

#endif
