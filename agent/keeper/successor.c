#include "agent/keeper/successor.h"

#include "agent/keeper/trial.h"
#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRIAL_MS 20000
#define END_MS 5000 /* of a process that has nothing to wait for */
#define EXIT_NO_PROGRAM 127

/* What the trial prints for people is not for the log; its errors are. */
static _Noreturn void run_trial(struct handover *h, const sigset_t *mask)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigprocmask(SIG_SETMASK, mask, NULL);
	if (null >= 0)
		dup2(null, STDOUT_FILENO);
	int error = handover_exec(h, "--check-config");
	log_event(LOG_LEVEL_ERROR, "cannot start the program", LOG_STR("program", h->program),
		LOG_ERROR_CODE(error));
	_exit(EXIT_NO_PROGRAM);
}

int successor_begin(struct successor *s, struct handover *h, const sigset_t *mask)
{
	if (s->step != SUCCESSOR_NONE)
		return -EBUSY;
	pid_t pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		run_trial(h, mask);
	*s = (struct successor){
		.step = SUCCESSOR_TRIES, .trial = pid, .deadline = clock_monotonic_ms() + TRIAL_MS};
	log_event(LOG_LEVEL_INFO, "replacing the program: checking the new one",
		LOG_STR("program", h->program));
	return 0;
}

static void judge_trial(struct successor *s, int status, struct errtext *ret_why)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;

	if (code != 0 && code != TRIAL_TAKES_ALL) {
		s->step = SUCCESSOR_NONE;
		errtext_set(ret_why, -ENOEXEC,
			"the program on disk cannot take over (%s %d); the log says why",
			WIFSIGNALED(status) ? "signal" : "exit code",
			WIFSIGNALED(status) ? WTERMSIG(status) : code);
		return;
	}
	s->takes_all = code == TRIAL_TAKES_ALL;
	s->step = SUCCESSOR_TRIED;
}

bool successor_trial_ended(struct successor *s, pid_t pid, int status, struct errtext *ret_why)
{
	if (s->trial != pid)
		return false;
	s->trial = 0;
	if (s->step == SUCCESSOR_TRIES)
		judge_trial(s, status, ret_why);
	return true;
}

bool successor_ends(const struct successor *s, enum child_role role)
{
	return s->step >= (role == CHILD_CONTROL ? SUCCESSOR_CONTROL_ENDS : SUCCESSOR_AGENT_ENDS);
}

bool successor_cancel(struct successor *s)
{
	bool was_on = s->step != SUCCESSOR_NONE;

	if (s->trial)
		kill(s->trial, SIGKILL);
	s->step = SUCCESSOR_NONE;
	return was_on;
}

static int64_t patience(enum successor_step step, int64_t drain_ms)
{
	return step == SUCCESSOR_CONTROL_ENDS ? drain_ms + END_MS : END_MS;
}

static enum successor_step after(const struct successor *s, bool control_runs, bool agent_runs)
{
	switch (s->step) {
	case SUCCESSOR_TRIED:
		return SUCCESSOR_CONTROL_ENDS;
	case SUCCESSOR_CONTROL_ENDS:
		return control_runs ? s->step : SUCCESSOR_AGENT_ENDS;
	case SUCCESSOR_AGENT_ENDS:
		if (agent_runs)
			return s->step;
		return s->takes_all ? SUCCESSOR_REPLACES : SUCCESSOR_SAVES;
	case SUCCESSOR_SAVES:
		return control_runs ? s->step : SUCCESSOR_REPLACES;
	case SUCCESSOR_NONE:
	case SUCCESSOR_TRIES:
	case SUCCESSOR_REPLACES:
		break;
	}
	return s->step;
}

bool successor_next(struct successor *s, bool control_runs, bool agent_runs, int64_t drain_ms)
{
	enum successor_step next = after(s, control_runs, agent_runs);

	if (next == s->step)
		return false;
	s->step = next;
	s->deadline = clock_monotonic_ms() + patience(next, drain_ms);
	return true;
}

int64_t successor_deadline(const struct successor *s)
{
	return s->step == SUCCESSOR_NONE || s->step == SUCCESSOR_REPLACES ? INT64_MAX : s->deadline;
}

void successor_overdue(struct successor *s, pid_t control, pid_t agent)
{
	pid_t late = control;

	if (s->step == SUCCESSOR_TRIES)
		late = s->trial;
	else if (s->step == SUCCESSOR_AGENT_ENDS)
		late = agent;
	log_event(LOG_LEVEL_WARNING, "replacing the program takes too long, killing a process",
		LOG_INT("pid", late));
	if (late > 0)
		kill(late, SIGKILL);
	s->deadline = clock_monotonic_ms() + END_MS;
}
