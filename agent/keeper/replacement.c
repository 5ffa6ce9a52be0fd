#include "agent/keeper/keeper_state.h"
#include "agent/keeper/kept.h"
#include "agent/keeper/restarts.h"
#include "common/channel.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/statefile.h"

#include <stdio.h>
#include <string.h>

/* --- what the operator learns --- */

static void log_failure(const struct keeper *k, const char *why, const char *words)
{
	const struct log_field fields[] = {LOG_STR("program", k->program), LOG_STR("reason", why),
		words[0] ? LOG_STR("output", words) : (struct log_field){0}, {0}};

	log_write(LOG_LEVEL_ERROR, "program not replaced, going on as before", fields);
}

/* The notice has room for one of the lines. */
static void tell_control(const struct keeper *k, const char *why, const char *words)
{
	struct channel_message m = {.type = CHANNEL_NOT_REPLACED};
	const struct child *control = &k->children[CHILD_CONTROL];
	const char *newline = strrchr(words, '\n');
	const char *last = newline ? newline + 1 : words;

	snprintf(m.text, sizeof(m.text), "%s%s%s", why, last[0] ? ": " : "", last);
	if (control->fd >= 0)
		channel_send(control->fd, &m, NULL, 0);
}

/* `words`: the last lines of the trial; "" = none. */
static void tell_failure(struct keeper *k, const char *why, const char *words)
{
	log_failure(k, why, words);
	tell_control(k, why, words);
	keeper_report(k);
}

bool replacement_explains(const struct keeper *k, char *out, size_t size)
{
	int64_t ms = clock_wall_ms() - k->successor.since_ms;

	if (!successor_ends(&k->successor, CHILD_CONTROL))
		return false;
	snprintf(out, size, "the program is being replaced, for %lld s so far",
		(long long)(ms > 0 ? ms / 1000 : 0));
	return true;
}

/* --- the steps --- */

static void fill_handover(struct keeper *k, struct handover *h)
{
	*h = (struct handover){
		.program = k->program, .config_path = k->config_path, .restarts_fd = -1};
	listeners_hand_over(&k->listeners, h);
	kept_hand_over(&k->board_fd, &k->snapshots, h);
	restarts_hand_over(k->children, h);
	handover_keep(h, &k->statefile_fd);
	handover_keep(h, &k->signal_fd);
	handover_keep(h, &k->writer.fd);
	handover_keep(h, &k->successor.trial.fd);
	for (size_t i = CHILD_CONTROL; i < CHILD_ROLE_COUNT; i++)
		handover_keep(h, &k->children[i].fd);
}

void replacement_begin(struct keeper *k)
{
	struct handover h;

	if (drain_is_on(&k->drain)) {
		log_write(LOG_LEVEL_WARNING, "program not replaced: the relay stops", NULL);
		return;
	}
	fill_handover(k, &h);
	int error = successor_begin(&k->successor, &h, &k->original_mask);
	handover_fini(&h);
	if (error)
		tell_failure(k, strerror(-error), "");
	else
		keeper_report(k);
}

bool replacement_trial_ended(struct keeper *k, pid_t pid, int status)
{
	struct errtext why = {""};
	char words[TRIAL_WORDS_MAX];

	if (!successor_trial_ended(&k->successor, pid, status, k->config_path, &why))
		return false;
	trial_process_words(&k->successor.trial, words);
	if (why.text[0])
		tell_failure(k, why.text, words);
	return true;
}

/* Returns only if that failed. */
static void become_next(struct keeper *k)
{
	const char *why = "the program or the configuration on disk has changed since its check";
	struct handover h;

	fill_handover(k, &h);
	successor_pass_on(&k->successor);
	statefile_end(k->statefile_fd);
	if (trial_process_has_tried(&k->successor.trial, &h))
		why = strerror(-handover_exec(&h, NULL));
	handover_fini(&h);
	statefile_begin(k->statefile_fd);
	successor_cancel(&k->successor);
	keeper_start_child(k, &k->children[CHILD_AGENT]);
	keeper_start_child(k, &k->children[CHILD_CONTROL]);
	tell_failure(k, why, "");
}

static bool is_starting(const struct child *c)
{
	return c->pid && !c->ready;
}

/* A start may convert a store, and a new agent may wait for its snapshot: neither is begun twice. */
static bool has_to_wait(const struct keeper *k)
{
	return k->successor.step == SUCCESSOR_TRIED &&
		(is_starting(&k->children[CHILD_CONTROL]) ||
			is_starting(&k->children[CHILD_AGENT]));
}

static void dismiss(struct child *c, enum channel_type type, uint64_t number)
{
	c->is_dismissed = true;
	child_send_number(c, type, number);
}

static void start_saving(struct keeper *k, struct child *control)
{
	keeper_start_child(k, control);
	control->is_dismissed = true;
}

void replacement_go_on(struct keeper *k)
{
	struct child *control = &k->children[CHILD_CONTROL];
	struct child *agent = &k->children[CHILD_AGENT];

	while (!has_to_wait(k) &&
		successor_next(
			&k->successor, control->pid, agent->pid, (int64_t)k->config.drain_ms)) {
		if (k->successor.step == SUCCESSOR_CONTROL_ENDS)
			dismiss(control, CHANNEL_LEAVE, k->config.drain_ms);
		else if (k->successor.step == SUCCESSOR_AGENT_ENDS)
			dismiss(agent, CHANNEL_LEAVE, 0);
		else if (k->successor.step == SUCCESSOR_SAVES)
			start_saving(k, control);
		else if (k->successor.step == SUCCESSOR_REPLACES)
			become_next(k);
	}
}
