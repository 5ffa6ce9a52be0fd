#include "admin/upkeep/healing.h"

#include "admin/control.h"
#include "admin/publish/publish.h"
#include "common/channel.h"
#include "common/errtext.h"
#include "common/log.h"
#include "common/snapshot.h"
#include "haproxy/gauge.h"
#include "haproxy/render_parts.h"

#include <errno.h>
#include <unistd.h>

#define READ_S 1.0
#define PAUSE_MAX_S 30.0
#define HURRY_S 0.02
#define HURRIES 5
#define QUESTION_MS 300

static void hand_over(const struct control *c, struct slice gauge)
{
	const struct channel_message m = {.type = CHANNEL_GAUGE};
	int fd = snapshot_seal("relay-gauge", gauge);

	if (fd < 0)
		return;
	/* No agent, or a busy one: the next reading is one second later. */
	if (publish_fd(c->publish) >= 0)
		channel_send(publish_fd(c->publish), &m, &fd, 1);
	close(fd);
}

static void note_success(struct healing *h)
{
	if (h->failures > 1)
		log_event(LOG_LEVEL_INFO, "HAProxy's gauge is readable again",
			LOG_STR("table", RENDER_TRACK));
	h->failures = 0;
	h->pause_s = READ_S;
}

/*
 * A HAProxy that does not run costs nothing to ask, and its first process must be known soon: the agent
 * takes a process that no reading named for one of another HAProxy.
 */
static void note_failure(struct healing *h, int error, const char *reason)
{
	/* A reload may cause one failure. */
	if (++h->failures == 2)
		log_event(LOG_LEVEL_WARNING,
			"cannot read HAProxy's gauge: slots of lost requests stay occupied",
			LOG_STR("reason", reason));
	if (error == -ENOENT || error == -ECONNREFUSED)
		return;
	h->pause_s = h->pause_s * 2 < PAUSE_MAX_S ? h->pause_s * 2 : PAUSE_MAX_S;
}

/* On the thread: a HAProxy that hangs holds up nothing of control's. */
static void read_gauge(struct offload_job *job)
{
	struct healing *h = (struct healing *)job;

	h->error = gauge_read(h->config.haproxy_admin_socket.s, h->config.haproxy_master_socket.s,
		QUESTION_MS, &h->gauge, &h->why);
}

static void wait_for_next(struct healing *h)
{
	ev_timer_stop(h->control->loop, &h->timer);
	ev_timer_set(&h->timer, h->hurries ? HURRY_S : h->pause_s, 0);
	ev_timer_start(h->control->loop, &h->timer);
}

void healing_hurry(struct healing *h)
{
	if (h->hurries)
		return;
	h->hurries = HURRIES;
	/* else a reading is under way, which may have begun before the process */
	if (ev_is_active(&h->timer))
		wait_for_next(h);
}

static void on_read(struct offload_job *job, bool ran)
{
	struct healing *h = (struct healing *)job;

	if (h->error && h->tries > 1 && !h->hurries)
		h->hurries = h->tries - 1;
	if (ran && h->error && h->error != -EAGAIN)
		note_failure(h, h->error, h->why.text);
	if (ran && !h->error) {
		note_success(h);
		hand_over(h->control, buffer_slice(&h->gauge));
	}
	buffer_fini(&h->gauge);
	if (ran)
		wait_for_next(h);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct healing *h = timer->data;
	const struct config *config = &h->control->config;

	(void)events;
	ev_timer_stop(loop, timer);
	h->tries = h->hurries;
	h->hurries = 0;
	if (!config->haproxy_admin_socket.s[0] && !config->haproxy_master_socket.s[0]) {
		wait_for_next(h);
		return;
	}
	h->config = *config;
	offload_run(h->control->asker, &h->job);
}

void healing_start(struct healing *h, struct control *c)
{
	*h = (struct healing){
		.job = {.work = read_gauge, .done = on_read}, .control = c, .pause_s = READ_S};
	ev_timer_init(&h->timer, on_timer, READ_S, 0);
	h->timer.data = h;
	ev_timer_start(c->loop, &h->timer);
}
