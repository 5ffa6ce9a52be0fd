#include "admin/control.h"
#include "admin/publish/haproxy_sync.h"
#include "common/board.h"
#include "common/errtext.h"

#include "admin/api/bulk.h"
#include "admin/api/server.h"
#include "admin/api/usage.h"
#include "admin/control_keeper.h"
#include "admin/publish/change.h"
#include "admin/publish/offload.h"
#include "admin/publish/publish.h"
#include "admin/store/history.h"
#include "admin/store/secrets.h"
#include "admin/store/store.h"
#include "admin/store/vault.h"
#include "admin/upkeep/accesslog.h"
#include "admin/upkeep/bans_takeover.h"
#include "admin/upkeep/clockwatch.h"
#include "admin/upkeep/egress_check.h"
#include "admin/upkeep/healing.h"
#include "admin/upkeep/healthwatch.h"
#include "admin/upkeep/historygap.h"
#include "admin/upkeep/key_purge.h"
#include "admin/upkeep/looptime.h"
#include "admin/upkeep/minute.h"
#include "admin/upkeep/outbound.h"
#include "admin/upkeep/probe.h"
#include "admin/upkeep/refresh.h"
#include "admin/upkeep/resources_upkeep.h"
#include "admin/upkeep/statewatch.h"
#include "admin/upkeep/storewatch.h"
#include "admin/upkeep/tunnelwatch.h"
#include "admin/upkeep/unbound.h"
#include "admin/upkeep/vault_rotation.h"
#include "admin/upkeep/watchfile.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/sandbox.h"

#include <errno.h>
#include <ev.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#define EXIT_CONFIG 78 /* EX_CONFIG: a restart would not help */
#define EXIT_FAILED 1
#define ANSWER_MS 1000 /* for commands that have come when control ends */
#define SYNC_S 1.0     /* a power cut loses at most one second of the state file */
#define BANS_S 1.0     /* bans and accounts of resources from the agent */
#define HISTORY_S 0.2  /* finished requests, to the store */
#define FLUSH_MS 2000  /* for access lines at the end */
#define SAVE_MS 500    /* between two tries to save the last requests */
#define RETRY_S 30.0   /* pending changes of HAProxy, and old keys */

/* The state file, to the disk. */
struct syncing {
	struct offload_job job;
	int fd;
	int error;
	bool under_way;
	bool failed; /* the last time; logged once */
};

/* The store's write-ahead log, into the database. */
struct checkpoint {
	struct offload_job job;
	struct store *store;
	struct store_place place; /* its copy for the thread */
	int error;
	bool under_way;
};

struct runner {
	struct control control;
	struct offload *syncer;
	struct syncing syncing;
	struct checkpoint checkpoint;
	struct looptime looptime;
	struct secrets secrets;
	struct history history;
	struct accesslog accesslog;
	struct server *server;
	ev_prepare before;
	ev_io keeper;
	ev_io peer;
	ev_timer sync;
	ev_timer bans; /* and the clock, which they follow */
	ev_timer history_timer;
	ev_idle history_idle; /* while requests wait to be saved, and nothing else is to do */
	struct healing healing;
	struct healthwatch healthwatch;
	struct storewatch storewatch;
	struct statewatch statewatch;
	struct watchfile *watchfile;
	struct minute minute;
	struct unbound unbound;
	struct tunnelwatch tunnelwatch;
	ev_timer retry;
	ev_idle merge;
	int room_error;		 /* of the last make_room() */
	int64_t save_at_ms;	 /* monotonic: the next try to save the last requests */
	int64_t answer_until_ms; /* monotonic: the last commands are answered; 0 = not ending yet */
	uint32_t peer_number;	 /* number of the agent that `peer` watches */
};

/* --- configuration --- */

static void take_config(struct control *c, struct slice text)
{
	struct config fresh;
	struct errtext e = {""};

	config_init(&fresh);
	if (config_parse(&fresh, c->start->config_path, text, &e) < 0) {
		log_event(LOG_LEVEL_ERROR, "configuration rejected", LOG_STR("reason", e.text));
		return;
	}
	config_reload(&c->config, &fresh);
	log_set_level(c->config.log_level);
	/* A new version, so that the agent sees a new snapshot. */
	if (store_bump_version(c->store, &e) < 0)
		log_event(
			LOG_LEVEL_ERROR, "configuration not published", LOG_STR("reason", e.text));
	change_publish(c, CHANGE_NOW, NULL, NULL);
}

static void reload_config(struct control *c)
{
	struct buffer text = {0};
	int fd = c->reload_fd;

	c->reload_fd = -1;
	int error = buffer_read_start(&text, fd, CONFIG_FILE_MAX); /* the agent reads it, too */
	close(fd);
	if (error)
		log_event(LOG_LEVEL_ERROR, "configuration unreadable", LOG_ERROR_CODE(error));
	else
		take_config(c, buffer_slice(&text));
	buffer_fini(&text);
}

/* --- the loop --- */

static void watch_peer(struct runner *r)
{
	struct publish *p = r->control.publish;

	if (r->peer_number == publish_peer_number(p))
		return;
	r->peer_number = publish_peer_number(p);
	ev_io_stop(r->control.loop, &r->peer);
	if (publish_fd(p) < 0)
		return;
	ev_io_set(&r->peer, publish_fd(p), EV_READ);
	ev_io_start(r->control.loop, &r->peer);
}

/* On the thread. */
static void write_checkpoint(struct offload_job *job)
{
	struct checkpoint *k = (struct checkpoint *)job;

	k->error = store_checkpoint_at(&k->place);
}

static void on_checkpoint(struct offload_job *job, bool ran)
{
	struct checkpoint *k = (struct checkpoint *)job;

	k->under_way = false;
	if (ran)
		store_checkpoint_done(k->store, k->error);
}

static void start_checkpoint(struct runner *r)
{
	struct checkpoint *k = &r->checkpoint;
	struct store *s = r->control.store;

	if (k->under_way || !store_wants_checkpoint(s))
		return;
	*k = (struct checkpoint){
		.job = {.work = write_checkpoint, .done = on_checkpoint}, .store = s};
	k->error = store_place_of(s, &k->place);
	k->under_way = !k->error;
	if (k->error)
		store_checkpoint_done(s, k->error);
	else
		offload_run(r->syncer, &k->job);
}

/* The lines first: where they go on after a restart is what the store has then. */
static void flush_requests(struct runner *r)
{
	int64_t deadline = clock_monotonic_ms() + FLUSH_MS;

	while (accesslog_poll(&r->accesslog) && clock_monotonic_ms() < deadline)
		;
	history_flush(&r->history);
}

/* A store that takes no changes, as on a full disk, is tried again while the drain lasts. */
static bool is_saving(struct runner *r, int64_t now)
{
	if (r->control.leaving || now >= r->control.drain_until_ms)
		return false;
	if (now >= r->save_at_ms) {
		flush_requests(r);
		r->save_at_ms = clock_monotonic_ms() + SAVE_MS;
	}
	return r->history.failed && history_waiting(&r->history) > 0;
}

/*
 * Before the end. A refresh token may be used once only: its reply is worth a wait. Commands are served meanwhile;
 * after that only those that have come.
 */
static bool is_busy(struct runner *r)
{
	struct control *c = &r->control;
	int64_t now = clock_monotonic_ms();

	if (bulk_is_busy(c->bulk) || changes_busy(c->changes) ||
		(refresh_drain(c->refresh) && now < c->drain_until_ms))
		return true;
	if (is_saving(r, now))
		return true;
	if (r->answer_until_ms == 0)
		r->answer_until_ms = now + ANSWER_MS;
	return server_drain(r->server) > 0 && now < r->answer_until_ms;
}

/*
 * Runs before the loop sleeps and handles the results of all events. A command that waits for its change
 * gets its answer even when the relay stops.
 */
static void on_before(struct ev_loop *loop, ev_prepare *w, int events)
{
	struct runner *r = w->data;
	struct control *c = &r->control;

	(void)events;
	if (c->reload_fd >= 0)
		reload_config(c);
	changes_run(c->changes);
	publish_send(c->publish);
	start_checkpoint(r);
	watch_peer(r);
	if (publish_wants_merge(c->publish))
		ev_idle_start(loop, &r->merge);
	if (c->keeper_gone || (c->draining && !is_busy(r)))
		ev_break(loop, EVBREAK_ALL);
}

static void on_keeper(struct ev_loop *loop, ev_io *w, int events)
{
	struct runner *r = w->data;

	(void)loop;
	(void)events;
	control_keeper_receive(&r->control);
}

static void on_peer(struct ev_loop *loop, ev_io *w, int events)
{
	struct runner *r = w->data;

	(void)loop;
	(void)events;
	if (publish_receive(r->control.publish))
		healing_hurry(&r->healing);
}

static void make_room(struct runner *r)
{
	int error = usage_make_room(&r->control);

	if (error && error != r->room_error)
		log_event(LOG_LEVEL_ERROR, "state file cannot grow", LOG_ERROR_CODE(error));
	r->room_error = error;
}

/* On the thread: a slow disk takes its time. */
static void sync_state(struct offload_job *job)
{
	struct syncing *s = (struct syncing *)job;

	s->error = fdatasync(s->fd) < 0 ? errno : 0;
}

static void on_synced(struct offload_job *job, bool ran)
{
	struct syncing *s = (struct syncing *)job;

	s->under_way = false;
	if (ran && s->error && !s->failed)
		log_event(LOG_LEVEL_ERROR, "cannot sync the state file", LOG_ERROR_CODE(s->error));
	s->failed = s->error != 0;
}

static void on_sync(struct ev_loop *loop, ev_timer *w, int events)
{
	struct runner *r = w->data;

	(void)loop;
	(void)events;
	make_room(r);
	statewatch_poll(&r->statewatch, &r->control);
	historygap_poll(&r->control, &r->history);
	if (r->syncing.under_way)
		return;
	r->syncing.under_way = true;
	offload_run(r->syncer, &r->syncing.job);
}

static void on_bans(struct ev_loop *loop, ev_timer *w, int events)
{
	struct runner *r = w->data;

	(void)loop;
	(void)events;
	clockwatch_poll(&r->control);
	bans_takeover_poll(&r->control);
	resources_upkeep_poll(&r->control, &r->history);
}

static void on_history(struct ev_loop *loop, ev_timer *w, int events)
{
	struct runner *r = w->data;

	(void)events;
	bool more = accesslog_poll(&r->accesslog);
	if (history_poll(&r->history) || more)
		ev_idle_start(loop, &r->history_idle);
}

/* Commands run between two steps. */
static void on_history_idle(struct ev_loop *loop, ev_idle *w, int events)
{
	struct runner *r = w->data;

	(void)events;
	bool more = accesslog_poll(&r->accesslog);
	if (!history_poll(&r->history) && !more)
		ev_idle_stop(loop, w);
}

static void on_retry(struct ev_loop *loop, ev_timer *w, int events)
{
	struct runner *r = w->data;

	(void)loop;
	(void)events;
	changes_retry(r->control.changes);
	key_purge_poll(&r->control);
}

static void on_idle(struct ev_loop *loop, ev_idle *w, int events)
{
	struct runner *r = w->data;

	(void)events;
	publish_merge(r->control.publish);
	if (!publish_wants_merge(r->control.publish))
		ev_idle_stop(loop, w);
}

static void start_watchers(struct runner *r)
{
	struct ev_loop *loop = r->control.loop;

	ev_prepare_init(&r->before, on_before);
	ev_io_init(&r->keeper, on_keeper, r->control.keeper_fd, EV_READ);
	/* before a command: a question that waits is no silence of the keeper */
	ev_set_priority(&r->keeper, EV_MAXPRI);
	ev_io_init(&r->peer, on_peer, -1, EV_READ);
	ev_timer_init(&r->sync, on_sync, SYNC_S, SYNC_S);
	ev_timer_init(&r->bans, on_bans, BANS_S, BANS_S);
	ev_timer_init(&r->history_timer, on_history, HISTORY_S, HISTORY_S);
	ev_idle_init(&r->history_idle, on_history_idle);
	ev_set_priority(&r->history_idle, EV_MINPRI);
	ev_timer_init(&r->retry, on_retry, RETRY_S, RETRY_S);
	ev_idle_init(&r->merge, on_idle);
	r->merge.data = r;
	r->bans.data = r->history_timer.data = r->history_idle.data = r;
	r->before.data = r->keeper.data = r->peer.data = r->sync.data = r->retry.data = r;
	r->syncing = (struct syncing){.job = {.work = sync_state, .done = on_synced},
		.fd = r->control.start->statefile_fd};
	ev_prepare_start(loop, &r->before);
	ev_io_start(loop, &r->keeper);
	if (r->control.start->statefile_fd >= 0)
		ev_timer_start(loop, &r->sync);
	ev_timer_start(loop, &r->bans);
	ev_timer_start(loop, &r->history_timer);
	looptime_start(&r->looptime, loop);
	r->control.looptime = &r->looptime;
	healing_start(&r->healing, &r->control);
	healthwatch_start(&r->healthwatch, &r->control);
	minute_start(&r->minute, loop);
	unbound_start(&r->unbound, &r->control);
	tunnelwatch_start(&r->tunnelwatch, &r->control);
	storewatch_start(&r->storewatch, &r->control);
	ev_timer_start(loop, &r->retry);
}

/* --- start and end --- */

static int listener_of(const struct child_start *start, enum child_socket what)
{
	for (uint32_t i = 0; i < start->listener_count; i++)
		if (start->listeners[i].what == what)
			return start->listeners[i].fd;
	return -1;
}

static int open_state(struct runner *r, struct errtext *e)
{
	struct control *c = &r->control;

	c->board = board_map(c->start->board_fd, false, e);
	if (!c->board)
		return -EIO;
	const char *url = c->config.store_url.s;
	int error = c->start->make_store ? store_open(url, &c->store, e)
					 : store_open_existing(url, &c->store, e);
	if (!error)
		clockwatch_start(c);
	if (!error)
		error = usage_open(c, e);
	if (!error)
		error = vault_open(c->store, c->config.key_file.s, &c->vault, e);
	if (!error)
		error = secrets_load(c->store, c->vault, c->config.spop_secret.s, &r->secrets, e);
	r->history = (struct history){.store = c->store,
		.board = c->board,
		.config = &c->config,
		.retention = &c->clock.retention};
	c->secrets = &r->secrets;
	r->accesslog.control = c;
	c->history = &r->history;
	minute_init(&r->minute, c->board);
	c->minute = &r->minute;
	c->unbound = &r->unbound;
	c->tunnelwatch = &r->tunnelwatch;
	return error;
}

static int open_links(struct runner *r, struct errtext *e)
{
	struct control *c = &r->control;

	c->publish = publish_new(c);
	c->changes = changes_new(c);
	c->haproxy = haproxy_sync_new(c, e);
	/* not the default one, which takes the ends of all child processes, also of those of a thread */
	c->loop = ev_loop_new(EVFLAG_AUTO);
	c->worker = c->loop ? offload_new(c->loop) : NULL;
	c->asker = c->loop ? offload_new(c->loop) : NULL;
	c->copier = c->loop ? offload_new(c->loop) : NULL;
	r->syncer = c->loop ? offload_new(c->loop) : NULL;
	c->outbound = c->loop ? outbound_new(c->loop) : NULL;
	c->egress_check = c->outbound ? egress_check_new(c) : NULL;
	c->bulk = c->loop ? bulk_new(c) : NULL;
	if (!c->publish || !c->changes || !c->haproxy || !c->egress_check || !c->worker ||
		!c->asker || !c->copier || !r->syncer || !c->bulk)
		return errtext_set(e, -ENOMEM, "out of memory");
	publish_set_peer(c->publish, c->start->peer_fd);
	return 0;
}

/*
 * A new version: the configuration may have changed since the last run of control. Without room on the disk,
 * control serves what the store has.
 */
static int raise_version(struct control *c, struct errtext *e)
{
	int error = store_bump_version(c->store, e);

	if (!error || store_is_up(c->store))
		return error;
	log_event(LOG_LEVEL_ERROR, "the store takes no changes: control only reads",
		LOG_STR("reason", e->text));
	return 0;
}

static int start_all(struct runner *r, struct errtext *e)
{
	struct control *c = &r->control;
	int error = open_state(r, e);

	if (!error)
		error = open_links(r, e);
	if (!error)
		error = raise_version(c, e);
	if (!error)
		error = publish_build(c->publish, e);
	if (error)
		return error;
	historygap_poll(c, &r->history);
	if (c->start->state_is_new && !c->start->is_again && c->clock.was_known)
		statewatch_lost(c);
	publish_send(c->publish);
	/* HAProxy files that a crash left unwritten or an upgrade renders differently */
	change_publish(c, CHANGE_HAPROXY, NULL, NULL);
	if (!c->start->is_again)
		control_keeper_replaced(c);
	start_watchers(r);
	c->refresh = refresh_new(c);
	c->probe = probe_new(c);
	r->watchfile = watchfile_new(c);
	c->rotation = vault_rotation_new(c);
	if (!c->refresh || !c->probe || !r->watchfile || !c->rotation)
		return errtext_set(e, -ENOMEM, "out of memory");
	control_keeper_receive(c); /* `status` needs the processes */
	return server_start(c, listener_of(c->start, CHILD_SOCKET_ADMIN),
		listener_of(c->start, CHILD_SOCKET_METRICS), &r->server, e);
}

static void stop_all(struct runner *r)
{
	struct control *c = &r->control;

	/* their jobs tell others that they end */
	offload_free(c->asker);
	offload_free(c->worker);
	offload_free(c->copier);
	offload_free(r->syncer);
	c->asker = c->worker = c->copier = NULL;
	bulk_free(c->bulk);
	c->bulk = NULL;
	server_stop(r->server);
	storewatch_stop(&r->storewatch);
	healthwatch_stop(&r->healthwatch);
	unbound_stop(&r->unbound);
	tunnelwatch_stop(&r->tunnelwatch);
	watchfile_free(r->watchfile);
	vault_rotation_free(r->control.rotation);
	probe_free(c->probe);
	refresh_free(c->refresh);
	egress_check_free(c->egress_check);
	outbound_free(c->outbound);
	changes_free(c->changes);
	if (c->loop)
		ev_loop_destroy(c->loop);
	haproxy_sync_free(c->haproxy);
	publish_free(c->publish);
	secrets_wipe(&r->secrets);
	vault_close(c->vault);
	history_fini(&r->history);
	store_close(c->store);
	usage_close(c);
	if (c->board)
		board_unmap((struct board *)(uintptr_t)c->board);
}

static int exit_code(int error)
{
	return error == -ENOMEM || error == -EIO || error == -EBUSY ? EXIT_FAILED : EXIT_CONFIG;
}

/* For relayadm, which the keeper answers meanwhile. */
static void tell_failure(const struct child_start *start, const struct errtext *e)
{
	struct channel_message m = {.type = CHANNEL_FAILED};

	snprintf(m.text, sizeof(m.text), "%.*s", (int)sizeof(m.text) - 1, e->text);
	channel_send(start->keeper_fd, &m, NULL, 0);
}

/* What an agent has left on a board that no control process will read. */
static int save_board(struct runner *r, struct errtext *e)
{
	int error = open_state(r, e);

	if (error)
		return error;
	flush_requests(r);
	historygap_note(&r->control, &r->history);
	return 0;
}

int control_main(const struct child_start *start)
{
	struct errtext e = {""};
	const struct channel_message ready = {.type = CHANNEL_READY};
	struct runner r = {.control = {
				   .start = start,
				   .config = *start->config,
				   .started_ms = clock_monotonic_ms(),
				   .keeper_fd = start->keeper_fd,
				   .files_fd = start->files_fd,
				   .reload_fd = -1,
			   }};

	prctl(PR_SET_NAME, "relay-control");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0);
	signal(SIGPIPE, SIG_IGN);
	int error = sandbox_control();
	if (error)
		log_event(LOG_LEVEL_WARNING, "no filter for system calls", LOG_ERROR_CODE(error));
	error = start->only_saves ? save_board(&r, &e) : start_all(&r, &e);
	if (error) {
		log_event(LOG_LEVEL_ERROR, "control cannot start", LOG_STR("reason", e.text));
		tell_failure(start, &e);
	}
	if (error || start->only_saves) {
		stop_all(&r);
		return error ? exit_code(error) : 0;
	}
	r.control.pinged_ms = clock_monotonic_ms();
	channel_send(start->keeper_fd, &ready, NULL, 0);
	ev_run(r.control.loop, 0);
	looptime_stop(&r.looptime);
	flush_requests(&r);
	if (!r.control.leaving)
		historygap_note(&r.control, &r.history);
	stop_all(&r);
	return 0;
}
