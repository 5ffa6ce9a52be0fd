#include "agent/keeper/child.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/procstat.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

/* Sanitizers make a child many times slower. */
#ifdef RELAY_INSTRUMENTED
#define SLOWER 10
#else
#define SLOWER 1
#endif

/* In a start control may convert a large store, and a child that is killed must begin again. */
#define START_AGENT_MS (60000 * SLOWER)
#define START_CONTROL_MS (600000 * SLOWER)
#define HUNG_AGENT_MS (1000 * SLOWER)
#define HUNG_CONTROL_MS (20000 * SLOWER)

void child_init(struct child *c, enum child_role role)
{
	int64_t now_ms = clock_monotonic_ms();

	*c = (struct child){.role = role, .fd = -1, .restart_at = -1, .down_since = now_ms};
	supervise_init(&c->supervise, now_ms);
}

void child_started(struct child *c, pid_t pid, int fd)
{
	c->pid = pid;
	c->fd = fd;
	c->ready = false;
	c->is_dismissed = c->is_killed = c->is_looping = false;
	c->started_mono = clock_monotonic_ms();
	c->restart_at = -1;
	watch_start(&c->watch, c->role == CHILD_AGENT ? START_AGENT_MS : START_CONTROL_MS,
		c->started_mono);
}

void child_ready(struct child *c)
{
	c->ready = c->ever_ready = true;
	c->supervise.failed_starts = 0;
	watch_serve(&c->watch, c->role == CHILD_AGENT ? HUNG_AGENT_MS : HUNG_CONTROL_MS);
	log_event(LOG_LEVEL_INFO, "child process ready", LOG_STR("child", child_role_name(c->role)),
		LOG_INT("pid", c->pid));
}

static void send_message(const struct child *c, const struct channel_message *m, int fd)
{
	if (c->fd < 0)
		return;
	int error = channel_send(c->fd, m, &fd, fd >= 0 ? 1 : 0);
	if (error)
		log_event(LOG_LEVEL_ERROR, "cannot send to child process",
			LOG_STR("child", child_role_name(c->role)), LOG_ERROR_CODE(error));
}

void child_send(const struct child *c, enum channel_type type, int fd)
{
	const struct channel_message m = {.type = type};

	send_message(c, &m, fd);
}

void child_send_number(const struct child *c, enum channel_type type, uint64_t number)
{
	const struct channel_message m = {.type = type, .version = number};

	send_message(c, &m, -1);
}

static enum child_state state_of(const struct child *c)
{
	if (c->role == CHILD_KEEPER)
		return CHILD_SERVING;
	if (!c->pid)
		return CHILD_DOWN;
	if (c->is_killed)
		return CHILD_HUNG;
	return c->ready ? CHILD_SERVING : CHILD_STARTING;
}

void child_describe(const struct child *c, struct channel_process *ret)
{
	*ret = (struct channel_process){
		.pid = c->pid,
		.state = state_of(c),
		.last_end = c->last_end,
		.last_end_ms = c->last_end_ms,
		.last_end_mono = c->last_end_mono,
		.started_ms = c->started_mono,
	};
	for (size_t i = 0; i < CHILD_END_COUNT; i++) {
		ret->ends[i] = c->ends[i];
		ret->restarts += c->ends[i];
	}
}

/* --- for an operator --- */

int64_t child_silence_ms(const struct child *c, int64_t now_ms)
{
	if (!c->ready)
		return now_ms - c->down_since;
	return c->watch.is_asked ? c->watch.silent_ms : 0;
}

static long long seconds(int64_t ms)
{
	return ms > 0 ? (ms + 999) / 1000 : 0;
}

static void explain_down(const struct child *c, int64_t now_ms, char *out, size_t size)
{
	if (c->restart_at >= 0)
		snprintf(out, size, "%s; the next start is in %lld s",
			c->last_words[0] ? c->last_words : "it could not be started",
			seconds(c->restart_at - now_ms));
	else
		snprintf(out, size, "the relay is stopping");
}

void child_explain(const struct child *c, int64_t now_ms, char *out, size_t size)
{
	if (!c->pid)
		explain_down(c, now_ms, out, size);
	else if (c->ready)
		snprintf(out, size, "it has not answered for %lld s, and is restarted after %d s",
			seconds(child_silence_ms(c, now_ms)), HUNG_CONTROL_MS / 1000);
	else
		snprintf(out, size, "it has been starting for %lld s%s%s",
			seconds(now_ms - c->started_mono),
			c->last_words[0] ? "; the one before: " : "", c->last_words);
}

/* --- the watchdog --- */

int64_t child_watch_due(const struct child *c)
{
	return c->pid && !c->is_killed ? watch_due(&c->watch) : INT64_MAX;
}

struct watch_sample child_sample(const struct child *c)
{
	struct procstat p;

	procstat_read(c->pid, &p);
	return (struct watch_sample){.is_runnable = p.state == 'R', .cpu_ms = p.cpu_ms};
}

/* A full channel is a question that waits, too. */
static void ask(const struct child *c)
{
	const struct channel_message m = {.type = CHANNEL_PING, .version = c->watch.number};

	if (c->fd >= 0)
		channel_send(c->fd, &m, NULL, 0);
}

static void kill_hung(struct child *c)
{
	struct procstat p;
	char state[] = "?";

	procstat_read(c->pid, &p);
	state[0] = p.state;
	log_event(LOG_LEVEL_ERROR,
		c->ready ? "child process does not answer, killing it"
			 : "child process does not get ready, killing it",
		LOG_STR("child", child_role_name(c->role)), LOG_INT("pid", c->pid),
		LOG_INT("silent_ms", c->watch.silent_ms), LOG_STR("process_state", state));
	c->is_killed = true;
	c->is_looping = p.state == 'R';
	kill(c->pid, SIGKILL);
}

bool child_watch(struct child *c, const struct watch_sample *s)
{
	switch (watch_look(&c->watch, clock_monotonic_ms(), s)) {
	case WATCH_NOTHING:
		return false;
	case WATCH_ASK:
		ask(c);
		return false;
	case WATCH_HUNG:
		break;
	}
	kill_hung(c);
	return true;
}

/* --- its end --- */

bool child_is_crash(int status)
{
	if (!WIFSIGNALED(status))
		return false;
	int sig = WTERMSIG(status);
	return sig == SIGSEGV || sig == SIGABRT || sig == SIGBUS || sig == SIGFPE ||
		sig == SIGILL || sig == SIGSYS;
}

static enum child_end why(const struct child *c, int status)
{
	if (child_is_crash(status))
		return CHILD_END_CRASH;
	if (c->is_killed)
		return c->ready ? CHILD_END_HUNG : CHILD_END_START;
	if (WIFSIGNALED(status))
		return CHILD_END_KILLED;
	return c->ready ? CHILD_END_EXIT : CHILD_END_START;
}

static void note_last_words(struct child *c, int status)
{
	if (c->failure[0])
		snprintf(c->last_words, sizeof(c->last_words), "%s", c->failure);
	else if (c->last_end == CHILD_END_HUNG)
		snprintf(c->last_words, sizeof(c->last_words), "it did not answer and was killed");
	else if (WIFSIGNALED(status))
		snprintf(c->last_words, sizeof(c->last_words), "it ended by signal %d",
			WTERMSIG(status));
	else
		snprintf(c->last_words, sizeof(c->last_words), "it ended with exit code %d",
			WEXITSTATUS(status));
	c->failure[0] = '\0';
}

void child_left(struct child *c)
{
	if (c->ready)
		c->down_since = clock_monotonic_ms();
	c->ready = false;
}

enum child_end child_ended(struct child *c, int status)
{
	c->last_end = why(c, status);
	child_left(c);
	c->last_end_ms = clock_wall_ms();
	c->last_end_mono = clock_monotonic_ms();
	c->ends[c->last_end]++;
	note_last_words(c, status);
	return c->last_end;
}

void child_log_end(const struct child *c, int status, enum child_end why, int64_t delay)
{
	log_event(LOG_LEVEL_ERROR, "child process ended, restarting it",
		LOG_STR("child", child_role_name(c->role)), LOG_INT("pid", c->pid),
		LOG_STR("reason", child_end_name(why)),
		LOG_INT("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0),
		LOG_INT("exit_code", WIFEXITED(status) ? WEXITSTATUS(status) : -1),
		LOG_INT("delay_ms", delay));
}
