#include "admin/control_keeper.h"

#include "admin/control.h"
#include "admin/publish/publish.h"
#include "admin/store/notices.h"
#include "common/channel.h"
#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* Takes the descriptor out of the message. */
static int take(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* The keeper restarts a control process whose loop does not come here for a while. */
static void answer(const struct control *c, uint64_t number)
{
	const struct channel_message m = {.type = CHANNEL_PONG, .version = number};

	channel_send(c->keeper_fd, &m, NULL, 0);
}

#define PROGRAM_SUBJECT "program"

static void raise_not_replaced(struct control *c, const char *why)
{
	struct errtext e = {""};
	char text[NOTICES_MESSAGE_MAX];

	snprintf(text, sizeof(text),
		"SIGUSR2 has changed nothing, the running program goes on: %.*s", CHANNEL_TEXT_MAX,
		why);
	if (notices_raise(c->store, NOTICE_NOT_REPLACED, PROGRAM_SUBJECT, text, &e))
		log_event(LOG_LEVEL_ERROR, "notice not stored", LOG_STR("reason", e.text));
}

void control_keeper_replaced(struct control *c)
{
	struct errtext e = {""};

	if (notices_resolve(c->store, NOTICE_NOT_REPLACED, PROGRAM_SUBJECT, &e))
		log_event(LOG_LEVEL_ERROR, "notice not ended", LOG_STR("reason", e.text));
}

static void take_message(struct control *c, const struct channel_message *m, int *fd)
{
	switch (m->type) {
	case CHANNEL_PEER:
		if (*fd >= 0)
			publish_set_peer(c->publish, take(fd));
		break;
	case CHANNEL_RELOAD:
		if (c->reload_fd >= 0)
			close(c->reload_fd);
		c->reload_fd = take(fd);
		break;
	case CHANNEL_LEAVE:
		c->leaving = true;
		c->draining = true;
		c->drain_until_ms = clock_monotonic_ms() + (int64_t)m->version;
		break;
	case CHANNEL_DRAIN:
		c->leaving = false;
		c->draining = true;
		c->drain_until_ms = clock_monotonic_ms() + (int64_t)m->version;
		break;
	case CHANNEL_PING:
		c->pinged_ms = clock_monotonic_ms();
		answer(c, m->version);
		break;
	case CHANNEL_SNAPSHOT_GIVEN_UP:
		publish_give_up(c->publish, m->version);
		break;
	case CHANNEL_NOT_REPLACED:
		raise_not_replaced(c, m->text);
		break;
	case CHANNEL_PROCESSES:
		memcpy(c->processes, m->processes, sizeof(c->processes));
		c->replacing_ms = (int64_t)m->version;
		break;
	default:
		log_event(LOG_LEVEL_WARNING, "unknown message from the keeper",
			LOG_INT("type", m->type));
	}
}

void control_keeper_receive(struct control *c)
{
	struct channel_message m;
	int fds[CHANNEL_FDS_MAX];
	int error = 0;

	while (!c->keeper_gone) {
		error = channel_receive(c->keeper_fd, &m, fds);
		if (error)
			break;
		take_message(c, &m, &fds[0]);
		for (size_t i = 0; i < CHANNEL_FDS_MAX; i++)
			if (fds[i] >= 0)
				close(fds[i]);
	}
	if (error == -EPIPE)
		c->keeper_gone = true;
}
