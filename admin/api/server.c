#include "admin/api/server.h"

#include "admin/api/bulk.h"
#include "admin/api/deferred.h"
#include "admin/api/server_connections.h"
#include "admin/api/server_exchange.h"
#include "admin/api/server_stream.h"
#include "admin/publish/haproxy_sync.h"
#include "common/acceptor.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/quiet.h"

#include <errno.h>
#include <ev.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define HEAD_MAX ((size_t)32 << 10) /* libmicrohttpd's own memory of one connection */
#define ACCEPTS_PER_WAKE 64
#define ACCEPT_PAUSE_S 0.1
#define SWEEP_S 1.0

/*
 * One daemon of libmicrohttpd on control's loop, which watches its epoll descriptor and its timer. The
 * connections are accepted here: libmicrohttpd forgets its listener when it is full, and has no limit for a
 * user.
 */
struct listener {
	struct server *server;
	const char *name;	   /* for the log */
	int fd;			   /* -1 = none */
	struct MHD_Daemon *daemon; /* NULL = not served */
	struct server_connections connections;
	struct acceptor acceptor;
	struct quiet quiet;
	ev_io incoming;
	ev_io readable;
	ev_timer timer;
	ev_timer sweep;
	ev_timer resume; /* accepting */
	struct sleeper *sleepers;
	bool stopping;
};

/* A connection whose answer comes later. It is given back to libmicrohttpd before that is stopped. */
struct sleeper {
	struct listener *listener;
	struct MHD_Connection *connection;
	struct sleeper *next;
};

struct server {
	struct control *control;
	struct listener admin;
	struct listener metrics;
};

/* --- the loop --- */

static void drive(struct listener *l)
{
	struct ev_loop *loop = l->server->control->loop;
	MHD_UNSIGNED_LONG_LONG ms;

	MHD_run(l->daemon);
	ev_timer_stop(loop, &l->timer);
	if (MHD_get_timeout(l->daemon, &ms) != MHD_YES)
		return;
	ev_timer_set(&l->timer, (double)ms / 1000, 0.);
	ev_timer_start(loop, &l->timer);
}

static void on_readable(struct ev_loop *loop, ev_io *w, int events)
{
	(void)loop;
	(void)events;
	drive(w->data);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	drive(w->data);
}

/* --- accepting --- */

static void complain(struct listener *l, const char *why)
{
	l->server->control->connections_closed++;
	if (!quiet_may_speak(&l->quiet, clock_monotonic_ms()))
		return;
	log_event(LOG_LEVEL_WARNING, "connection closed", LOG_STR("listener", l->name),
		LOG_STR("reason", why), LOG_INT("suppressed", l->quiet.suppressed));
	l->quiet.suppressed = 0;
}

static bool make_room(struct listener *l, const struct origin *origin)
{
	enum server_room room = server_connections_make_room(&l->connections, origin);

	if (room == SERVER_ROOM_FREE)
		return true;
	complain(l, "too many connections");
	if (room == SERVER_ROOM_NONE)
		return false;
	MHD_run(l->daemon);
	return server_connections_make_room(&l->connections, origin) == SERVER_ROOM_FREE;
}

static void take_connection(struct listener *l, int fd)
{
	const struct origin origin = origin_of(fd);
	const struct sockaddr_un nobody = {.sun_family = AF_UNIX};

	if (!make_room(l, &origin) ||
		!server_connections_add(&l->connections, fd, &origin, clock_monotonic_ms())) {
		close(fd);
		return;
	}
	if (MHD_add_connection(l->daemon, fd, (const struct sockaddr *)&nobody, sizeof(nobody)) ==
		MHD_YES)
		return;
	/* libmicrohttpd has closed it, and may have said so */
	struct server_connection *c = server_connections_find(&l->connections, fd);
	if (c)
		server_connections_remove(&l->connections, c);
	complain(l, "out of memory");
}

/* The listener may stay readable. */
static void pause_accepting(struct listener *l, int error)
{
	struct ev_loop *loop = l->server->control->loop;

	complain(l, strerror(-error));
	ev_io_stop(loop, &l->incoming);
	ev_timer_again(loop, &l->resume);
}

static void on_resume(struct ev_loop *loop, ev_timer *w, int events)
{
	struct listener *l = w->data;

	(void)events;
	ev_timer_stop(loop, w);
	ev_io_start(loop, &l->incoming);
}

static void on_incoming(struct ev_loop *loop, ev_io *w, int events)
{
	struct listener *l = w->data;
	int fd = 0;

	(void)loop;
	(void)events;
	for (int i = 0; i < ACCEPTS_PER_WAKE && (fd >= 0 || fd == -EMFILE); i++) {
		fd = acceptor_accept(&l->acceptor, w->fd);
		if (fd >= 0)
			take_connection(l, fd);
		else if (fd == -EMFILE)
			complain(l, strerror(EMFILE));
		else if (fd != -EAGAIN)
			pause_accepting(l, fd);
	}
	drive(l);
}

static void on_sweep(struct ev_loop *loop, ev_timer *w, int events)
{
	struct listener *l = w->data;
	int64_t before_ms = clock_monotonic_ms() - (int64_t)SERVER_IDLE_S * 1000;

	(void)loop;
	(void)events;
	if (server_connections_end_idle(&l->connections, before_ms))
		drive(l);
}

/* The row of a connection of libmicrohttpd. */
static struct server_connection *row_of(struct listener *l, struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	return info ? server_connections_find(&l->connections, info->connect_fd) : NULL;
}

static void touch(struct listener *l, struct MHD_Connection *connection, bool waits)
{
	struct server_connection *c = row_of(l, connection);

	if (!c)
		return;
	c->since_ms = clock_monotonic_ms();
	c->waits = waits;
}

static void on_connection(void *context, struct MHD_Connection *connection, void **own,
	enum MHD_ConnectionNotificationCode code)
{
	struct listener *l = context;
	struct server_connection *c =
		code == MHD_CONNECTION_NOTIFY_CLOSED ? row_of(l, connection) : NULL;

	(void)own;
	if (c)
		server_connections_remove(&l->connections, c);
}

/* --- answers that come later --- */

static void forget(struct sleeper *s)
{
	struct sleeper **at = &s->listener->sleepers;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	free(s);
}

static void on_finished(void *context)
{
	struct sleeper *s = context;
	struct listener *l = s->listener;

	MHD_resume_connection(s->connection);
	touch(l, s->connection, false);
	forget(s);
	/* not from here: the code that finishes the answer may be in the middle of something */
	ev_timer_stop(l->server->control->loop, &l->timer);
	ev_timer_set(&l->timer, 0., 0.);
	ev_timer_start(l->server->control->loop, &l->timer);
}

static struct sleeper *put_to_sleep(struct listener *l, struct MHD_Connection *connection)
{
	struct sleeper *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	*s = (struct sleeper){l, connection, l->sleepers};
	l->sleepers = s;
	touch(l, connection, true);
	return s;
}

static enum MHD_Result sleep_until_done(
	struct listener *l, struct MHD_Connection *connection, struct exchange *x)
{
	struct sleeper *s = put_to_sleep(l, connection);

	if (!s)
		return MHD_NO;
	deferred_wait(x->deferred, on_finished, s);
	MHD_suspend_connection(connection);
	return MHD_YES;
}

/* HAProxy is asked on a thread; then libmicrohttpd calls on_request() again. */
static enum MHD_Result look_first(
	struct listener *l, struct MHD_Connection *connection, struct exchange *x)
{
	struct sleeper *s = put_to_sleep(l, connection);

	x->looked = true;
	if (!s)
		return MHD_NO;
	MHD_suspend_connection(connection);
	if (haproxy_sync_look(l->server->control->haproxy, on_finished, s))
		on_finished(s);
	return MHD_YES;
}

/* libmicrohttpd calls on_request() again after the change that is under way. */
static enum MHD_Result wait_for_turn(struct listener *l, struct MHD_Connection *connection)
{
	struct sleeper *s = put_to_sleep(l, connection);

	if (!s)
		return MHD_NO;
	MHD_suspend_connection(connection);
	if (bulk_wait(l->server->control->bulk, on_finished, s))
		on_finished(s);
	return MHD_YES;
}

/* --- exchanges --- */

/* libmicrohttpd owns the answer's bytes from now on. */
static struct MHD_Response *response_of(struct exchange_answer *a)
{
	size_t n = a->body.len;
	struct MHD_Response *response;

	if (a->stream)
		response = MHD_create_response_from_callback(
			MHD_SIZE_UNKNOWN, STREAM_BLOCK, stream_read, a->stream, stream_free);
	else
		response = MHD_create_response_from_buffer(n, n ? a->body.data : NULL,
			n ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
	if (!response && a->stream)
		stream_free(a->stream);
	if (!response)
		buffer_fini(&a->body);
	return response;
}

static enum MHD_Result respond(struct MHD_Connection *connection, struct exchange_answer *a)
{
	struct MHD_Response *response = response_of(a);

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, "Content-Type", a->type);
	MHD_add_response_header(response, "Cache-Control", "no-store");
	if (a->allow.len)
		MHD_add_response_header(response, "Allow", buffer_str(&a->allow));
	buffer_fini(&a->allow);
	enum MHD_Result result = MHD_queue_response(connection, a->status, response);
	MHD_destroy_response(response);
	return result;
}

/* Called for the head, then for each piece of the body, then once more at the end. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
	const char *path, const char *method, const char *version, const char *data, size_t *size,
	void **ret_exchange)
{
	struct listener *l = context;
	struct exchange *x = *ret_exchange;
	struct exchange_answer a;

	(void)version;
	if (l->stopping)
		return MHD_NO;
	if (!x) {
		touch(l, connection, false);
		*ret_exchange = exchange_new();
		return *ret_exchange ? MHD_YES : MHD_NO;
	}
	if (*size) {
		exchange_take(x, data, *size);
		*size = 0;
		return MHD_YES;
	}
	if (l == &l->server->metrics)
		exchange_run_metrics(l->server->control, method, path, &a);
	else if (exchange_wants_look(x, method, path))
		return look_first(l, connection, x);
	else if (!x->deferred && exchange_has_to_wait(l->server->control, method, path))
		return wait_for_turn(l, connection);
	else if (!x->deferred)
		exchange_run_api(x, l->server->control, connection, method, path, &a);
	if (x->deferred && !deferred_is_done(x->deferred))
		return sleep_until_done(l, connection, x);
	if (x->deferred)
		exchange_run_deferred(x, &a);
	if (a.stream) /* it may take long; libmicrohttpd closes it if its reader stops */
		touch(l, connection, true);
	return respond(connection, &a);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **exchange,
	enum MHD_RequestTerminationCode code)
{
	(void)code;
	touch(context, connection, false);
	exchange_free(*exchange);
	*exchange = NULL;
}

/* --- start, stop --- */

static void start_watchers(struct listener *l, int epoll_fd)
{
	struct ev_loop *loop = l->server->control->loop;

	ev_io_init(&l->incoming, on_incoming, l->fd, EV_READ);
	ev_io_init(&l->readable, on_readable, epoll_fd, EV_READ);
	ev_timer_init(&l->timer, on_timer, 0., 0.);
	ev_timer_init(&l->sweep, on_sweep, SWEEP_S, SWEEP_S);
	ev_timer_init(&l->resume, on_resume, 0., ACCEPT_PAUSE_S);
	l->incoming.data = l->readable.data = l->timer.data = l->sweep.data = l->resume.data = l;
	ev_io_start(loop, &l->incoming);
	ev_io_start(loop, &l->readable);
	ev_timer_start(loop, &l->sweep);
}

static int start_listener(struct listener *l, const char *name, int fd, struct errtext *e)
{
	server_connections_init(&l->connections);
	acceptor_init(&l->acceptor, fd);
	l->name = name;
	l->fd = fd;
	l->daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
		on_request, l, MHD_OPTION_NOTIFY_COMPLETED, on_completed, l,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, l, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)SERVER_CONNECTIONS_MAX + 1, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)SERVER_IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, HEAD_MAX,
		MHD_OPTION_END);
	if (!l->daemon)
		return errtext_set(e, -EIO, "the admin server cannot be started");
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info || info->epoll_fd < 0)
		return errtext_set(e, -EIO, "the admin server has no epoll descriptor");
	start_watchers(l, info->epoll_fd);
	drive(l);
	return 0;
}

static void stop_accepting(struct listener *l)
{
	struct ev_loop *loop = l->server->control->loop;

	if (!l->daemon)
		return;
	ev_io_stop(loop, &l->incoming);
	ev_timer_stop(loop, &l->resume);
}

static void stop_listener(struct listener *l)
{
	struct ev_loop *loop = l->server->control->loop;
	struct sleeper *asleep;

	if (!l->daemon)
		return;
	stop_accepting(l);
	ev_timer_stop(loop, &l->sweep);
	ev_io_stop(loop, &l->readable);
	/* sends the answers that were finished just now: one run takes them, one writes what is left */
	MHD_run(l->daemon);
	MHD_run(l->daemon);
	l->stopping = true;
	while ((asleep = l->sleepers)) {
		l->sleepers = asleep->next;
		MHD_resume_connection(asleep->connection);
		free(asleep);
	}
	MHD_run(l->daemon);
	ev_timer_stop(loop, &l->timer);
	MHD_stop_daemon(l->daemon);
	l->daemon = NULL;
	acceptor_fini(&l->acceptor);
	close(l->fd);
}

int server_start(
	struct control *c, int admin_fd, int metrics_fd, struct server **ret, struct errtext *e)
{
	struct server *s = calloc(1, sizeof(*s));
	int error = 0;

	if (!s)
		return errtext_set(e, -ENOMEM, "out of memory");
	s->control = c;
	s->admin.server = s;
	s->metrics.server = s;
	if (admin_fd >= 0)
		error = start_listener(&s->admin, "admin", admin_fd, e);
	if (!error && metrics_fd >= 0)
		error = start_listener(&s->metrics, "metrics", metrics_fd, e);
	if (error) {
		server_stop(s);
		return error;
	}
	*ret = s;
	return 0;
}

size_t server_drain(struct server *s)
{
	if (!s)
		return 0;
	stop_accepting(&s->admin);
	stop_accepting(&s->metrics);
	return s->admin.connections.count;
}

void server_stop(struct server *s)
{
	if (!s)
		return;
	stop_listener(&s->admin);
	stop_listener(&s->metrics);
	free(s);
}
