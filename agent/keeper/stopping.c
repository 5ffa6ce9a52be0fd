#include "agent/keeper/keeper_state.h"
#include "common/clock.h"
#include "common/log.h"

#include <signal.h>

static void kill_children(const struct keeper *k)
{
	for (size_t i = CHILD_CONTROL; i < CHILD_ROLE_COUNT; i++) {
		if (k->children[i].pid)
			kill(k->children[i].pid, SIGKILL);
	}
}

/* The old children drain. Those that have ended already for the next program are needed again. */
static void give_up_replacement(struct keeper *k)
{
	if (!successor_cancel(&k->successor))
		return;
	log_write(LOG_LEVEL_WARNING, "replacement of the program given up, because the relay stops",
		NULL);
	for (size_t i = CHILD_CONTROL; i < CHILD_ROLE_COUNT; i++) {
		struct child *c = &k->children[i];
		if (!c->pid && c->restart_at < 0)
			keeper_start_child(k, c);
	}
}

void stopping_begin(struct keeper *k, int exit_code)
{
	int64_t now = clock_monotonic_ms();

	if (drain_is_on(&k->drain)) {
		log_write(LOG_LEVEL_WARNING, "second stop signal, killing child processes", NULL);
		drain_hasten(&k->drain, now);
		kill_children(k);
		return;
	}
	k->exit_code = exit_code;
	log_write(LOG_LEVEL_INFO, "stopping", NULL);
	drain_begin(&k->drain, now, (int64_t)k->config.drain_ms, exit_code == 0);
	child_send_number(&k->children[CHILD_AGENT], CHANNEL_DRAIN, k->config.drain_ms);
	give_up_replacement(k);
}

static void end_overdue(struct keeper *k)
{
	struct child *late =
		&k->children[k->drain.step == DRAIN_AGENT ? CHILD_AGENT : CHILD_CONTROL];

	late->restart_at = -1;
	if (!late->pid)
		return;
	log_event(LOG_LEVEL_WARNING, "child process did not stop in time, killing it",
		LOG_STR("child", child_role_name(late->role)), LOG_INT("pid", late->pid));
	kill(late->pid, SIGKILL);
}

static void save_again(struct keeper *k)
{
	log_write(LOG_LEVEL_WARNING,
		"control has ended before it saved the last requests, another one saves them",
		NULL);
	keeper_start_child(k, &k->children[CHILD_CONTROL]);
}

void stopping_go_on(struct keeper *k)
{
	const struct child *agent = &k->children[CHILD_AGENT];
	const struct child *control = &k->children[CHILD_CONTROL];
	int64_t now = clock_monotonic_ms();

	if (drain_overdue(&k->drain, now))
		end_overdue(k);
	while (drain_next(
		&k->drain, agent->pid || agent->restart_at >= 0, control->pid != 0, now)) {
		if (k->drain.step == DRAIN_CONTROL)
			child_send_number(
				control, CHANNEL_DRAIN, (uint64_t)drain_left_ms(&k->drain, now));
		else if (k->drain.step == DRAIN_SAVES)
			save_again(k);
		else if (!k->drain.saved && k->exit_code == 0)
			log_write(LOG_LEVEL_ERROR,
				"control has not saved the last requests: the history lacks them",
				NULL);
	}
}
