#include "agent/keeper/successor.h"

#include "common/clock.h"
#include "common/log.h"

#include <signal.h>
#include <unistd.h>

#define TRIAL_MS 20000
#define TRIAL_LATE "it did not end within 20 s" /* the same, for people */
#define END_MS 5000				/* of a process that has nothing to wait for */

void successor_init(struct successor *s)
{
	s->step = SUCCESSOR_NONE;
	s->is_again = false;
	s->since_ms = 0;
	trial_process_init(&s->trial);
}

static void end(struct successor *s)
{
	s->step = SUCCESSOR_NONE;
	s->since_ms = 0;
	s->is_again = false;
}

int successor_begin(struct successor *s, struct handover *h, const sigset_t *mask)
{
	if (s->step > SUCCESSOR_TRIED) {
		s->is_again = true;
		log_write(LOG_LEVEL_INFO,
			"SIGUSR2 during a replacement: the program is replaced once more afterwards",
			NULL);
		return 0;
	}
	int error = trial_process_start(&s->trial, h, mask);
	if (error) {
		end(s);
		return error;
	}
	if (!s->since_ms)
		s->since_ms = clock_wall_ms();
	s->step = SUCCESSOR_TRIES;
	s->deadline = clock_monotonic_ms() + TRIAL_MS;
	log_event(LOG_LEVEL_INFO, "replacing the program: checking the new one",
		LOG_STR("program", h->program));
	return 0;
}

bool successor_trial_ended(struct successor *s, pid_t pid, int status, const char *config_path,
	struct errtext *ret_why)
{
	if (!s->trial.pid || s->trial.pid != pid)
		return false;
	int error = trial_process_judge(&s->trial, status, config_path, &s->takes_all, ret_why);
	if (error) {
		end(s);
		return true;
	}
	s->step = SUCCESSOR_TRIED;
	log_write(LOG_LEVEL_INFO, "replacing the program: the new one can take over", NULL);
	return true;
}

void successor_pass_on(struct successor *s)
{
	/* blocked, so it waits for whoever reads it next */
	if (s->is_again)
		kill(getpid(), SIGUSR2);
	s->is_again = false;
}

bool successor_ends(const struct successor *s, enum child_role role)
{
	return s->step >= (role == CHILD_CONTROL ? SUCCESSOR_CONTROL_ENDS : SUCCESSOR_AGENT_ENDS);
}

bool successor_cancel(struct successor *s)
{
	bool was_on = s->step != SUCCESSOR_NONE;

	trial_process_forget(&s->trial);
	end(s);
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
	bool waits = s->step == SUCCESSOR_NONE || s->step == SUCCESSOR_TRIED ||
		s->step == SUCCESSOR_REPLACES;

	return waits ? INT64_MAX : s->deadline;
}

void successor_overdue(struct successor *s, pid_t control, pid_t agent)
{
	pid_t late = s->step == SUCCESSOR_AGENT_ENDS ? agent : control;

	s->deadline = clock_monotonic_ms() + END_MS;
	if (s->step == SUCCESSOR_TRIES) {
		trial_process_kill(&s->trial, TRIAL_LATE);
		return;
	}
	log_event(LOG_LEVEL_WARNING, "replacing the program takes too long, killing a process",
		LOG_INT("pid", late));
	if (late > 0)
		kill(late, SIGKILL);
}
