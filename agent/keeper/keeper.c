#include "agent/keeper/keeper.h"

#include "agent/keeper/firstrun.h"
#include "agent/keeper/keeper_state.h"
#include "agent/keeper/kept.h"
#include "agent/keeper/lockdown.h"
#include "agent/keeper/outdir.h"
#include "agent/keeper/pairs.h"
#include "agent/keeper/reload.h"
#include "agent/keeper/restarts.h"
#include "agent/keeper/signals.h"
#include "agent/keeper/standin.h"
#include "common/board.h"
#include "common/channel.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/statefile.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_CONFIG 78 /* EX_CONFIG: a restart cannot help */
#define MESSAGES_PER_TURN 64

static struct child *other_child(struct keeper *k, const struct child *c)
{
	return &k->children[c->role == CHILD_AGENT ? CHILD_CONTROL : CHILD_AGENT];
}

void keeper_report(struct keeper *k)
{
	struct channel_message m = {
		.type = CHANNEL_PROCESSES, .version = (uint64_t)k->successor.since_ms};
	struct child *control = &k->children[CHILD_CONTROL];

	for (size_t i = 0; i < CHILD_ROLE_COUNT; i++)
		child_describe(&k->children[i], &m.processes[i]);
	if (control->fd >= 0)
		channel_send(control->fd, &m, NULL, 0);
}

/* Control does not send this version to the next agent, and tells the operator. */
static void tell_given_up(struct keeper *k)
{
	const struct child *control = &k->children[CHILD_CONTROL];
	const struct channel_message m = {
		.type = CHANNEL_SNAPSHOT_GIVEN_UP, .version = k->snapshots.given_up};

	if (control->fd >= 0 && k->snapshots.given_up)
		channel_send(control->fd, &m, NULL, 0);
}

/* --- starting --- */

static void close_unneeded(const struct keeper *k, const struct child_start *start)
{
	for (uint32_t i = 0; i < k->listeners.count; i++) {
		bool needed = false;
		for (uint32_t n = 0; n < start->listener_count; n++)
			needed |= start->listeners[n].fd == k->listeners.rows[i].fd;
		if (!needed)
			close(k->listeners.rows[i].fd);
	}
	for (size_t i = 0; i < CHILD_ROLE_COUNT; i++) {
		if (k->children[i].fd >= 0 && k->children[i].fd != start->keeper_fd)
			close(k->children[i].fd);
	}
	if (k->writer.fd >= 0)
		close(k->writer.fd);
	close(k->signal_fd);
}

static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static _Noreturn void run_child(
	const struct keeper *k, const struct child *c, const struct child_start *start)
{
	bool is_agent = c->role == CHILD_AGENT;

	log_set_role(child_role_name(c->role));
	close_unneeded(k, start);
	signals_of_child(&k->original_mask);
	raise_file_limit();
	int error =
		identity_become(is_agent ? &k->ids.agent : &k->ids.control, k->ids.drop, !is_agent);
	/* a change of the user allows debuggers again */
	if (!error)
		error = lockdown_secrets();
	if (!error)
		error = lockdown_child();
	if (error) {
		log_event(LOG_LEVEL_ERROR, "cannot drop privileges", LOG_ERROR_CODE(error));
		_exit(EXIT_CONFIG);
	}
	exit(is_agent ? agent_main(start) : control_main(start));
}

static void fill_start(const struct keeper *k, enum child_role role, struct child_start *start)
{
	const struct snapshots_held *held = &k->snapshots.newest;

	*start = (struct child_start){
		.config = &k->config,
		.config_path = k->config_path,
		.make_store = k->is_first && !k->children[CHILD_CONTROL].ever_ready,
		.state_is_new = k->state_is_new,
		.as_root = k->ids.drop,
		.files_fd = -1,
		.statefile_fd = k->statefile_fd,
		.board_fd = k->board_fd,
		.snapshot_fd = held->fds[0],
		.keybase_fd = held->fds[1],
		.snapshot_version = held->version,
		.is_again = k->children[role].ever_ready,
		.only_saves = k->successor.step == SUCCESSOR_SAVES || k->drain.step == DRAIN_SAVES,
		.drain_until_ms = drain_is_on(&k->drain) ? k->drain.until_ms : 0,
	};
	listeners_for(&k->listeners, role, start);
}

static void take_started(struct keeper *k, struct child *c, pid_t pid, struct pairs *p)
{
	child_started(c, pid, p->to_keeper[0]);
	if (c->role == CHILD_AGENT)
		snapshots_start(&k->snapshots, c->started_mono);
	else
		tell_given_up(k);
	if (p->to_writer[0] >= 0)
		writer_use(&k->writer, p->to_writer[0]);
	child_send(other_child(k, c), CHANNEL_PEER, p->to_peer[0]);
	close(p->to_peer[0]);
	p->to_keeper[0] = p->to_writer[0] = p->to_peer[0] = -1;
	pairs_close(p);
	keeper_report(k);
}

static int start_child(struct keeper *k, struct child *c)
{
	struct child_start start;
	struct pairs p;
	int error = pairs_make(c->role == CHILD_CONTROL, &p);

	if (error)
		return error;
	fill_start(k, c->role, &start);
	start.keeper_fd = p.to_keeper[1];
	start.peer_fd = p.to_peer[1];
	start.files_fd = p.to_writer[1];
	pid_t pid = fork();
	if (pid < 0) {
		error = -errno;
		pairs_close(&p);
		return error;
	}
	if (pid == 0) {
		close(p.to_keeper[0]);
		close(p.to_peer[0]);
		if (p.to_writer[0] >= 0)
			close(p.to_writer[0]);
		run_child(k, c, &start);
	}
	take_started(k, c, pid, &p);
	return 0;
}

void keeper_start_child(struct keeper *k, struct child *c)
{
	int error = start_child(k, c);

	if (!error)
		return;
	log_event(LOG_LEVEL_ERROR, "cannot start child process",
		LOG_STR("child", child_role_name(c->role)), LOG_ERROR_CODE(error));
	c->restart_at = clock_monotonic_ms() +
		supervise_delay_ms(&c->supervise, false, clock_monotonic_ms());
}

/* --- ending --- */

static void look_at_snapshot(struct keeper *k, const struct child *agent, int status)
{
	bool is_fault = child_is_crash(status) || agent->is_looping;
	/* the fault of an endless loop was before its end */
	int64_t when = agent->is_looping ? agent->watch.asked_ms : clock_monotonic_ms();

	if (!snapshots_end(&k->snapshots, is_fault, when))
		return;
	log_event(LOG_LEVEL_ERROR, "snapshot crashes the agent, using the one before",
		LOG_INT("given_up", k->snapshots.given_up),
		LOG_INT("used", k->snapshots.newest.version));
	tell_given_up(k);
}

static void restart(struct keeper *k, struct child *c, int status)
{
	if (c->role == CHILD_AGENT)
		look_at_snapshot(k, c, status);
	int64_t delay = supervise_delay_ms(&c->supervise, c->ready, clock_monotonic_ms());
	child_log_end(c, status, child_ended(c, status), delay);
	c->pid = 0;
	if (delay == 0)
		keeper_start_child(k, c);
	else
		c->restart_at = clock_monotonic_ms() + delay;
}

static void take_end(struct keeper *k, struct child *c, int status)
{
	bool hopeless = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_CONFIG && !c->ever_ready;
	bool done = status == 0 && !c->is_dismissed;

	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	if (drain_ends(&k->drain, c->role, done, hopeless, clock_monotonic_ms()) ||
		successor_ends(&k->successor, c->role)) {
		c->pid = 0;
	} else if (c->is_dismissed) {
		/* for a replacement that was given up */
		child_left(c);
		c->pid = 0;
		keeper_start_child(k, c);
	} else if (hopeless) {
		c->pid = 0;
		log_event(LOG_LEVEL_ERROR, "child process cannot run, stopping",
			LOG_STR("child", child_role_name(c->role)));
		stopping_begin(k, 1);
	} else {
		restart(k, c, status);
	}
}

static void reap(struct keeper *k)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (writer_ended(&k->writer, pid, status))
			continue;
		if (replacement_trial_ended(k, pid, status))
			continue;
		for (size_t i = CHILD_CONTROL; i < CHILD_ROLE_COUNT; i++) {
			if (k->children[i].pid == pid)
				take_end(k, &k->children[i], status);
		}
	}
	keeper_report(k);
}

/* --- messages and signals --- */

static void handle_message(struct keeper *k, struct child *c, const struct channel_message *m,
	int fds[CHANNEL_FDS_MAX])
{
	if (m->type == CHANNEL_READY) {
		child_ready(c);
		keeper_report(k);
		return;
	}
	if (m->type == CHANNEL_FAILED) {
		memcpy(c->failure, m->text, sizeof(c->failure));
		return;
	}
	if (m->type == CHANNEL_PONG) {
		watch_answer(&c->watch, m->version);
		return;
	}
	if (c->role == CHILD_AGENT && m->type == CHANNEL_SNAPSHOT_USE) {
		snapshots_use(&k->snapshots, m->version, clock_monotonic_ms());
		return;
	}
	if (c->role == CHILD_AGENT && m->type == CHANNEL_SNAPSHOT_KEEP && fds[0] >= 0 &&
		fds[1] >= 0) {
		snapshots_keep(&k->snapshots, m->version, fds, clock_monotonic_ms());
		fds[0] = fds[1] = -1;
		return;
	}
	log_event(LOG_LEVEL_ERROR, "unexpected message from child process",
		LOG_STR("child", child_role_name(c->role)), LOG_INT("type", m->type));
}

static void close_fds(int fds[CHANNEL_FDS_MAX])
{
	for (size_t i = 0; i < CHANNEL_FDS_MAX; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
}

static void receive_from(struct keeper *k, struct child *c)
{
	struct channel_message m;
	int fds[CHANNEL_FDS_MAX];

	for (int i = 0; i < MESSAGES_PER_TURN && c->fd >= 0; i++) {
		int error = channel_receive(c->fd, &m, fds);
		if (error == -EAGAIN)
			return;
		if (error == -EPIPE) {
			close(c->fd);
			c->fd = -1;
			return;
		}
		if (!error)
			handle_message(k, c, &m, fds);
		close_fds(fds);
	}
}

static void reload(struct keeper *k)
{
	int fd = reload_config(&k->config, k->config_path);

	if (fd < 0)
		return;
	for (size_t i = CHILD_CONTROL; i < CHILD_ROLE_COUNT; i++)
		child_send(&k->children[i], CHANNEL_RELOAD, fd);
	close(fd);
	log_write(LOG_LEVEL_INFO, "configuration reloaded", NULL);
}

static void handle_signal(struct keeper *k, int sig)
{
	if (sig == SIGCHLD)
		reap(k);
	else if (sig == SIGHUP)
		reload(k);
	else if (sig == SIGUSR2)
		replacement_begin(k);
	else
		stopping_begin(k, 0);
}

static void receive_signals(struct keeper *k)
{
	struct signalfd_siginfo info;

	while (read(k->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		handle_signal(k, (int)info.ssi_signo);
}

/* --- the loop --- */

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t next_deadline(const struct keeper *k)
{
	int64_t next = drain_deadline(&k->drain);

	for (size_t i = CHILD_CONTROL; i < CHILD_ROLE_COUNT; i++) {
		const struct child *c = &k->children[i];
		if (c->restart_at >= 0)
			next = earlier(next, c->restart_at);
		next = earlier(next, child_watch_due(c));
	}
	const struct child *control = &k->children[CHILD_CONTROL];
	if (!control->ready && control->down_since + STANDIN_AFTER_MS > k->stand_in_at)
		next = earlier(next, control->down_since + STANDIN_AFTER_MS);
	else if (!control->ready)
		next = earlier(next, k->stand_in_at);
	return earlier(next, successor_deadline(&k->successor));
}

static int poll_timeout(const struct keeper *k)
{
	int64_t next = next_deadline(k);

	if (next == INT64_MAX)
		return -1;
	int64_t left = next - clock_monotonic_ms();
	if (left < 0)
		return 0;
	return left > INT_MAX ? INT_MAX : (int)left;
}

static void act_on_time(struct keeper *k)
{
	int64_t now = clock_monotonic_ms();

	for (size_t i = CHILD_CONTROL; i < CHILD_ROLE_COUNT; i++) {
		struct child *c = &k->children[i];
		if (c->restart_at >= 0 && now >= c->restart_at)
			keeper_start_child(k, c);
	}
	if (now >= successor_deadline(&k->successor))
		successor_overdue(&k->successor, k->children[CHILD_CONTROL].pid,
			k->children[CHILD_AGENT].pid);
	replacement_go_on(k);
	stopping_go_on(k);
}

static void watch_children(struct keeper *k)
{
	for (size_t i = CHILD_CONTROL; i < CHILD_ROLE_COUNT; i++) {
		struct child *c = &k->children[i];
		if (clock_monotonic_ms() < child_watch_due(c))
			continue;
		const struct watch_sample sample = child_sample(c);
		receive_from(k, c);
		if (child_watch(c, &sample))
			keeper_report(k);
	}
}

/* On time and not when a connection arrives: a descriptor that is lacking must not make a busy loop. */
static void stand_in(struct keeper *k)
{
	const struct child *control = &k->children[CHILD_CONTROL];
	int64_t now = clock_monotonic_ms();
	char reason[512];

	if (child_silence_ms(control, now) < STANDIN_AFTER_MS || now < k->stand_in_at)
		return;
	k->stand_in_at = now + STANDIN_EVERY_MS;
	if (k->drain.step > DRAIN_AGENT)
		snprintf(reason, sizeof(reason), "the relay is stopping");
	else if (!replacement_explains(k, reason, sizeof(reason)))
		child_explain(control, now, reason, sizeof(reason));
	standin_answer(listeners_admin(&k->listeners), reason);
}

static void run(struct keeper *k)
{
	while (k->drain.step != DRAIN_OVER) {
		struct pollfd fds[] = {
			{.fd = k->signal_fd, .events = POLLIN},
			{.fd = k->children[CHILD_CONTROL].fd, .events = POLLIN},
			{.fd = k->children[CHILD_AGENT].fd, .events = POLLIN},
			{.fd = writer_fd(&k->writer), .events = POLLIN},
			{.fd = k->successor.trial.fd, .events = POLLIN},
		};
		poll(fds, sizeof(fds) / sizeof(fds[0]), poll_timeout(k));
		receive_from(k, &k->children[CHILD_CONTROL]);
		receive_from(k, &k->children[CHILD_AGENT]);
		writer_receive(&k->writer, &k->config, &k->ids);
		trial_process_read(&k->successor.trial);
		receive_signals(k);
		act_on_time(k);
		watch_children(k);
		stand_in(k);
	}
}

/* --- start --- */

static int open_state(struct keeper *k, struct errtext *e)
{
	char path[PATH_MAX];
	enum statefile_event event;
	uid_t uid = k->ids.drop ? k->ids.control.uid : (uid_t)-1;
	int error = config_state_path(&k->config, "state", path, sizeof(path));

	if (error)
		return errtext_set(e, error, "[relay] state_dir is too long");
	k->statefile_fd = statefile_open(path, uid, k->ids.control.gid, &event, e);
	if (k->statefile_fd < 0)
		return k->statefile_fd;
	if (event == STATEFILE_CONVERTED)
		log_event(LOG_LEVEL_INFO, "state file converted", LOG_STR("file", e->text));
	if (event == STATEFILE_SET_ASIDE)
		log_event(LOG_LEVEL_ERROR, "state file unusable, starting with a new one",
			LOG_STR("error", e->text));
	k->state_is_new = event == STATEFILE_MADE || event == STATEFILE_SET_ASIDE;
	statefile_begin(k->statefile_fd);
	kept_take(&k->inherited, &k->board_fd, &k->snapshots);
	if (k->board_fd < 0)
		k->board_fd = board_create();
	return k->board_fd < 0 ? errtext_set(e, k->board_fd, "cannot create shared memory: %s",
					 strerror(-k->board_fd))
			       : 0;
}

static int open_everything(struct keeper *k, struct errtext *e)
{
	int error = identities_find(&k->config, &k->ids, e);

	if (!error)
		error = identity_make_directory(k->config.state_dir.s, 0700, &k->ids.control, e);
	if (!error && k->ids.drop)
		error = identity_check_private(k->config.state_dir.s, &k->ids.control, e);
	if (!error)
		error = listeners_make_directories(&k->config, &k->ids, e);
	if (!error && k->config.haproxy_output_dir.s[0])
		error = outdir_prepare(k->config.haproxy_output_dir.s, &k->ids, e);
	if (!error)
		error = firstrun_check(&k->config, &k->is_first, e);
	/* the state file's lock comes before the sockets: a second instance must not disturb the first */
	if (!error)
		error = open_state(k, e);
	if (!error)
		error = listeners_open(&k->config, &k->ids, &k->inherited, &k->listeners, e);
	inherited_fini(&k->inherited);
	return error ? error : lockdown_keeper();
}

static void keeper_init(
	struct keeper *k, const struct config *c, const char *config_path, const char *program)
{
	*k = (struct keeper){.config = *c,
		.config_path = config_path,
		.program = program,
		.statefile_fd = -1,
		.signal_fd = -1,
		.writer = {.fd = -1}};
	k->board_fd = -1;
	snapshots_init(&k->snapshots);
	successor_init(&k->successor);
	for (size_t i = 0; i < CHILD_ROLE_COUNT; i++)
		child_init(&k->children[i], (enum child_role)i);
	inherited_init(&k->inherited);
	restarts_take(&k->inherited, k->children);
	k->children[CHILD_KEEPER].pid = getpid();
	k->children[CHILD_KEEPER].started_mono = clock_monotonic_ms();
}

int keeper_main(const struct config *c, const char *config_path, const char *program)
{
	static struct keeper k; /* large, and one per process */
	struct errtext e = {""};

	keeper_init(&k, c, config_path, program);
	int error = lockdown_secrets();
	if (!error)
		error = open_everything(&k, &e);
	if (!error)
		error = k.signal_fd = signals_catch(&k.original_mask);
	if (error < 0) {
		log_event(LOG_LEVEL_ERROR, "cannot start",
			LOG_STR("error", e.text[0] ? e.text : strerror(-error)));
		if (k.statefile_fd >= 0)
			statefile_end(k.statefile_fd);
		listeners_close(&k.listeners);
		return 1;
	}
	/* with a snapshot of the keeper before, the agent serves at once */
	keeper_start_child(&k, &k.children[CHILD_AGENT]);
	keeper_start_child(&k, &k.children[CHILD_CONTROL]);
	run(&k);
	listeners_close(&k.listeners);
	if (k.drain.saved)
		statefile_end(k.statefile_fd);
	log_write(LOG_LEVEL_INFO, "stopped", NULL);
	return k.exit_code;
}
