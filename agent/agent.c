#include "agent/agent.h"

#include "agent/bans.h"
#include "agent/check.h"
#include "agent/events.h"
#include "agent/held.h"
#include "agent/judge.h"
#include "agent/lost.h"
#include "agent/page.h"
#include "agent/peer.h"
#include "agent/snapshot_holder.h"
#include "agent/state.h"
#include "agent/timekeeper.h"
#include "agent/waiting.h"
#include "common/channel.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/sandbox.h"

#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define DRAIN_LOOK_S 0.05
#define LEAVE_STEP_S 0.002 /* HAProxy notices the ends of connections meanwhile */
#define EXPIRE_LOOK_S 60.0
#define SHOW_S 1.0 /* the board shows states that end by time this soon after their end */
#define STORE_SILENT_MS 30000 /* longer than a restart of control takes, also of one that hangs */
#define EXIT_BROKEN 1

/* The agent and the channels of its process. */
struct process {
	struct agent agent;
	struct snapshot_holder holder;
	ev_io keeper_io;
	ev_io control_io;
	ev_timer drain_timer;
	ev_timer leave_timer;
	ev_timer expire_timer;
	ev_timer show_timer;
	ev_prepare before_sleep;
	int64_t drain_until_ms; /* monotonic */
	int64_t store_told_ms;	/* monotonic: when control last told of the store */
	struct config config;	/* including reloads */
};

static void close_fds(const int fds[CHANNEL_FDS_MAX])
{
	for (size_t i = 0; i < CHANNEL_FDS_MAX; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
}

/* --- snapshots --- */

static int load_snapshot(struct process *p, int snapshot_fd, int keybase_fd, struct errtext *e)
{
	struct agent *a = &p->agent;
	int error = snapshot_holder_load(&p->holder, snapshot_fd, keybase_fd, e);

	if (error) {
		board_add(&a->board->counters[BOARD_SNAPSHOT_REFUSED], 1);
		log_event(LOG_LEVEL_ERROR, "snapshot rejected", LOG_STR("error", e->text));
		return error;
	}
	bool is_first = !a->snapshot;
	a->snapshot = &p->holder.snapshot;
	if (is_first && a->peers)
		peers_accept(a->peers);
	a->room_is_stale = true;
	judge_show_all(a, timekeeper_now(a));
	board_set(&a->board->counters[BOARD_SNAPSHOT_VERSION], a->snapshot->head->version);
	log_event(
		LOG_LEVEL_DEBUG, "snapshot loaded", LOG_INT("version", a->snapshot->head->version));
	return 0;
}

/* Before the first byte is read, so that the keeper knows the version if reading it is the end. */
static void tell_used(const struct process *p, uint64_t version)
{
	const struct channel_message m = {.type = CHANNEL_SNAPSHOT_USE, .version = version};

	channel_send(p->keeper_io.fd, &m, NULL, 0);
}

static void take_snapshot(struct process *p, const struct channel_message *m, const int *fds)
{
	struct errtext e = {""};
	struct channel_message ack = {.type = CHANNEL_SNAPSHOT_ACK, .version = m->version};
	struct channel_message keep = {.type = CHANNEL_SNAPSHOT_KEEP, .version = m->version};

	tell_used(p, m->version);
	ack.error = load_snapshot(p, fds[0], fds[1], &e);
	snprintf(ack.text, sizeof(ack.text), "%.*s", (int)sizeof(ack.text) - 1, e.text);
	if (ack.error) {
		tell_used(p, p->agent.snapshot ? p->agent.snapshot->head->version : 0);
	} else {
		int error = channel_send(p->keeper_io.fd, &keep, fds, 2);
		if (error)
			log_event(LOG_LEVEL_WARNING, "cannot send snapshot to keeper",
				LOG_ERROR_CODE(error));
	}
	int error = channel_send(p->control_io.fd, &ack, NULL, 0);
	if (error)
		log_event(
			LOG_LEVEL_WARNING, "cannot send to control process", LOG_ERROR_CODE(error));
}

/* --- HAProxy's gauge --- */

static void release_healed(void *context, struct statefile_lease *lease, bool is_gone)
{
	struct agent *a = context;

	board_add(&a->board->counters[BOARD_HEALED], 1);
	a->away += lost_was_away(a, lease);
	if (is_gone)
		lost_put(a, lease);
	agent_release(a, lease, false);
}

static void heal(struct agent *a, const struct healer_reading *r)
{
	a->readings++;
	/* HAProxy reports an end before it removes the request from the gauge, and before it ends */
	events_drain(a->events);
	if (r->head->is_whole && r->head->workers)
		a->generations.oldest = r->head->oldest_gen;
	board_set(&a->board->counters[BOARD_GAUGE_READ_MS], (uint64_t)r->head->begun_ms);
	a->away = 0;
	uint32_t healed = healer_compare(&a->healer, &a->leases, r, release_healed, a);
	if (a->away)
		log_event(LOG_LEVEL_INFO, "requests ended while the relay was stopped",
			LOG_INT("count", a->away));
	if (healed > a->away)
		log_event(LOG_LEVEL_WARNING, "leases released that HAProxy does not have",
			LOG_INT("count", healed - a->away));
}

static bool read_reading(const void *block, size_t size, struct healer_reading *ret)
{
	const struct gauge_head *head = block;

	if (size < sizeof(*head) || head->rows > GAUGE_ROWS_MAX ||
		head->workers > GAUGE_WORKERS_MAX)
		return false;
	const struct gauge_row *rows = (const struct gauge_row *)(const void *)(head + 1);
	const uint32_t *workers = (const uint32_t *)(const void *)(rows + head->rows);
	if (size - sizeof(*head) < head->rows * sizeof(*rows) + head->workers * sizeof(*workers))
		return false;
	*ret = (struct healer_reading){head, rows, workers};
	return true;
}

static void take_gauge(struct agent *a, int fd)
{
	struct snapshot_map map;
	struct errtext e = {""};

	if (snapshot_map_open(fd, true, &map, &e)) {
		log_event(LOG_LEVEL_ERROR, "gauge rejected", LOG_STR("error", e.text));
		return;
	}
	struct healer_reading reading;
	if (read_reading(map.block, map.size, &reading))
		heal(a, &reading);
	else
		log_event(LOG_LEVEL_ERROR, "gauge rejected", LOG_STR("error", "cut short"));
	snapshot_map_close(&map);
}

static void on_expire(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct process *p = timer->data;

	(void)loop;
	(void)events;
	healer_expire(&p->agent.leases, timekeeper_now(&p->agent), release_healed, &p->agent);
}

/* --- the store --- */

static void take_store(struct process *p, int error)
{
	p->agent.state.store_is_down = error != 0;
	p->store_told_ms = clock_monotonic_ms();
}

/* Without control, nobody has the store. */
static void look_for_control(struct process *p)
{
	if (clock_monotonic_ms() - p->store_told_ms >= STORE_SILENT_MS)
		p->agent.state.store_is_down = true;
}

static void on_show(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct process *p = timer->data;

	(void)loop;
	(void)events;
	look_for_control(p);
	timekeeper_tick(&p->agent);
	judge_show_all(&p->agent, timekeeper_now(&p->agent));
	state_follow(&p->agent);
}

/* --- control --- */

static void on_control(struct ev_loop *loop, ev_io *io, int events)
{
	struct process *p = io->data;
	struct channel_message m;
	int fds[CHANNEL_FDS_MAX];

	(void)events;
	for (;;) {
		int error = channel_receive(io->fd, &m, fds);
		if (error == -EAGAIN)
			return;
		if (error == -EPIPE) {
			/* control ended: go on; the keeper sends a new channel */
			ev_io_stop(loop, io);
			return;
		}
		if (!error && m.type == CHANNEL_SNAPSHOT)
			take_snapshot(p, &m, fds);
		else if (!error && m.type == CHANNEL_GAUGE && fds[0] >= 0)
			take_gauge(&p->agent, fds[0]);
		else if (!error && m.type == CHANNEL_STORE)
			take_store(p, m.error);
		else if (!error && m.type == CHANNEL_USAGE)
			page_take(&p->agent, &m.usage, timekeeper_now(&p->agent));
		close_fds(fds);
	}
}

static void use_control_channel(struct process *p, int fd)
{
	ev_io_stop(p->agent.loop, &p->control_io);
	if (p->control_io.fd >= 0)
		close(p->control_io.fd);
	ev_io_set(&p->control_io, fd, EV_READ);
	ev_io_start(p->agent.loop, &p->control_io);
}

/* --- keeper --- */

/* Nothing waits, and no new request is admitted: only requests in progress are left. */
static void on_drain_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct process *p = timer->data;

	(void)events;
	events_drain(p->agent.events); /* who has reported its end is not in progress */
	uint32_t left = p->agent.leases.used;
	if (left && clock_monotonic_ms() < p->drain_until_ms)
		return;
	if (left)
		log_event(LOG_LEVEL_INFO,
			"stopping while requests are in progress, which HAProxy completes",
			LOG_INT("count", left));
	ev_break(loop, EVBREAK_ALL);
}

static void start_draining(struct process *p, int64_t until_ms)
{
	p->agent.state.draining = true;
	waiting_refuse_all(&p->agent);
	p->drain_until_ms = until_ms;
	ev_timer_start(p->agent.loop, &p->drain_timer);
}

static void on_leave_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct process *p = timer->data;

	(void)events;
	if (peers_leave(p->agent.peers))
		return;
	waiting_send_back_all(&p->agent);
	ev_break(loop, EVBREAK_ALL);
}

static void reload(struct process *p, int fd)
{
	struct buffer text = {0};
	struct config fresh;
	struct errtext e = {""};
	int error = buffer_read_start(&text, fd, CONFIG_FILE_MAX); /* control reads it, too */

	if (!error)
		error = config_parse(&fresh, p->agent.start->config_path, buffer_slice(&text), &e);
	buffer_fini(&text);
	if (error) {
		log_event(LOG_LEVEL_ERROR, "configuration not reloaded", LOG_STR("error", e.text));
		return;
	}
	config_reload(&p->config, &fresh);
	log_set_level(p->config.log_level);
}

static void handle_keeper(
	struct process *p, const struct channel_message *m, int fds[CHANNEL_FDS_MAX])
{
	if (m->type == CHANNEL_PEER && fds[0] >= 0) {
		use_control_channel(p, fds[0]);
		fds[0] = -1;
	} else if (m->type == CHANNEL_RELOAD && fds[0] >= 0) {
		reload(p, fds[0]);
	} else if (m->type == CHANNEL_DRAIN) {
		start_draining(p, clock_monotonic_ms() + (int64_t)m->version);
	} else if (m->type == CHANNEL_PING) {
		const struct channel_message pong = {.type = CHANNEL_PONG, .version = m->version};
		channel_send(p->keeper_io.fd, &pong, NULL, 0);
	} else if (m->type == CHANNEL_LEAVE) {
		ev_timer_start(p->agent.loop, &p->leave_timer);
	}
}

static void on_keeper(struct ev_loop *loop, ev_io *io, int events)
{
	struct process *p = io->data;
	struct channel_message m;
	int fds[CHANNEL_FDS_MAX];

	(void)events;
	for (;;) {
		int error = channel_receive(io->fd, &m, fds);
		if (error == -EAGAIN)
			return;
		if (error == -EPIPE) {
			ev_break(loop, EVBREAK_ALL);
			return;
		}
		if (!error)
			handle_keeper(p, &m, fds);
		close_fds(fds);
	}
}

/* --- start --- */

static void ask_for_reading(struct process *p)
{
	const struct channel_message m = {.type = CHANNEL_WANTS_GAUGE};

	p->agent.wants_reading = false;
	/* No control: the next one reads when it starts. */
	if (p->control_io.fd >= 0)
		channel_send(p->control_io.fd, &m, NULL, 0);
}

static void on_before_sleep(struct ev_loop *loop, ev_prepare *prepare, int events)
{
	struct process *p = prepare->data;

	(void)loop;
	(void)events;
	state_settle(&p->agent);
	if (p->agent.wants_reading)
		ask_for_reading(p);
}

static void watch_channels(struct process *p)
{
	const struct child_start *start = p->agent.start;

	ev_io_init(&p->keeper_io, on_keeper, start->keeper_fd, EV_READ);
	ev_io_init(&p->control_io, on_control, start->peer_fd, EV_READ);
	ev_timer_init(&p->drain_timer, on_drain_timer, DRAIN_LOOK_S, DRAIN_LOOK_S);
	ev_timer_init(&p->leave_timer, on_leave_timer, 0, LEAVE_STEP_S);
	ev_timer_init(&p->expire_timer, on_expire, EXPIRE_LOOK_S, EXPIRE_LOOK_S);
	ev_timer_init(&p->show_timer, on_show, SHOW_S, SHOW_S);
	p->keeper_io.data = p->control_io.data = p->drain_timer.data = p->expire_timer.data = p;
	ev_prepare_init(&p->before_sleep, on_before_sleep);
	p->show_timer.data = p->before_sleep.data = p->leave_timer.data = p;
	ev_prepare_start(p->agent.loop, &p->before_sleep);
	ev_timer_start(p->agent.loop, &p->show_timer);
	ev_io_start(p->agent.loop, &p->keeper_io);
	ev_io_start(p->agent.loop, &p->control_io);
	ev_timer_start(p->agent.loop, &p->expire_timer);
}

static int process_start(struct process *p, const struct child_start *start, struct errtext *e)
{
	struct agent *a = &p->agent;
	struct errtext refused = {""};

	p->config = *start->config;
	p->store_told_ms = clock_monotonic_ms();
	a->start = start;
	a->started_ms = clock_wall_ms();
	int error = state_open(a, e);
	if (error)
		return error;
	a->loop = ev_loop_new(EVFLAG_AUTO);
	if (!a->loop)
		return errtext_set(e, -ENOMEM, "cannot create the event loop");
	if (start->snapshot_fd >= 0)
		load_snapshot(p, start->snapshot_fd, start->keybase_fd, &refused);
	watch_channels(p);
	p->agent.peers = peers_new(a);
	p->agent.events = events_new(a);
	a->waiting = waiting_new(a);
	a->checks = checks_new(a);
	bool all = a->peers && a->events && a->waiting && a->checks;
	return all ? 0 : errtext_set(e, -ENOMEM, "out of memory");
}

static void process_stop(struct process *p)
{
	peers_free(p->agent.peers);
	events_free(p->agent.events);
	waiting_free(p->agent.waiting);
	checks_free(p->agent.checks);
	snapshot_holder_fini(&p->holder);
	state_close(&p->agent);
	ev_loop_destroy(p->agent.loop);
}

/* From here on no file is opened. An agent without the filter still serves. */
static void enter_sandbox(void)
{
	tzset(); /* reads a file at its first use */
	int error = sandbox_agent();
	if (error)
		log_event(LOG_LEVEL_WARNING, "no filter for system calls", LOG_ERROR_CODE(error));
}

int agent_main(const struct child_start *start)
{
	static struct process p; /* large, and one per process */
	struct channel_message ready = {.type = CHANNEL_READY};
	struct errtext e = {""};

	prctl(PR_SET_NAME, "relay-agent");
	if (process_start(&p, start, &e)) {
		log_event(LOG_LEVEL_ERROR, "agent cannot start", LOG_STR("error", e.text));
		return EXIT_BROKEN;
	}
	if (start->drain_until_ms)
		start_draining(&p, start->drain_until_ms);
	enter_sandbox();
	channel_send(start->keeper_fd, &ready, NULL, 0);
	ev_run(p.agent.loop, 0);
	process_stop(&p);
	return 0;
}
