#include "agent/keeper/keeper_state.h"
#include "agent/keeper/kept.h"
#include "agent/keeper/restarts.h"
#include "common/channel.h"
#include "common/log.h"

#include <stdio.h>
#include <string.h>

void replacement_failed(struct keeper *k, const char *why)
{
	struct channel_message m = {.type = CHANNEL_NOT_REPLACED};

	log_event(LOG_LEVEL_ERROR, "program not replaced, going on as before",
		LOG_STR("program", k->program), LOG_STR("reason", why));
	snprintf(m.text, sizeof(m.text), "%s", why);
	if (k->children[CHILD_CONTROL].fd >= 0)
		channel_send(k->children[CHILD_CONTROL].fd, &m, NULL, 0);
}

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
		log_event(LOG_LEVEL_ERROR, "program not replaced", LOG_ERROR_CODE(error));
}

static void become_next(struct keeper *k)
{
	struct handover h;

	fill_handover(k, &h);
	int error = handover_exec(&h, NULL);
	handover_fini(&h);
	successor_cancel(&k->successor);
	keeper_start_child(k, &k->children[CHILD_AGENT]);
	keeper_start_child(k, &k->children[CHILD_CONTROL]);
	replacement_failed(k, strerror(-error));
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

	while (successor_next(
		&k->successor, control->pid, agent->pid, (int64_t)k->config.drain_ms)) {
		if (k->successor.step == SUCCESSOR_CONTROL_ENDS)
			dismiss(control, CHANNEL_DRAIN, k->config.drain_ms);
		else if (k->successor.step == SUCCESSOR_AGENT_ENDS)
			dismiss(agent, CHANNEL_LEAVE, 0);
		else if (k->successor.step == SUCCESSOR_SAVES)
			start_saving(k, control);
		else if (k->successor.step == SUCCESSOR_REPLACES)
			become_next(k);
	}
}
