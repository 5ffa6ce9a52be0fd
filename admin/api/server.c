#include "admin/api/server.h"

#include "admin/api/deferred.h"
#include "admin/api/server_exchange.h"

#include <errno.h>
#include <ev.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <unistd.h>

#define HEAD_MAX ((size_t)32 << 10) /* libmicrohttpd's own memory of one connection */

/*
 * One daemon of libmicrohttpd on control's loop, which watches its epoll descriptor and its timer.
 */
struct listener {
	struct server *server;
	struct MHD_Daemon *daemon; /* NULL = not served */
	ev_io readable;
	ev_timer timer;
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
	forget(s);
	/* not from here: the code that finishes the answer may be in the middle of something */
	ev_timer_stop(l->server->control->loop, &l->timer);
	ev_timer_set(&l->timer, 0., 0.);
	ev_timer_start(l->server->control->loop, &l->timer);
}

static enum MHD_Result sleep_until_done(
	struct listener *l, struct MHD_Connection *connection, struct exchange *x)
{
	struct sleeper *s = calloc(1, sizeof(*s));

	if (!s)
		return MHD_NO;
	*s = (struct sleeper){l, connection, l->sleepers};
	l->sleepers = s;
	deferred_wait(x->deferred, on_finished, s);
	MHD_suspend_connection(connection);
	return MHD_YES;
}

/* --- exchanges --- */

/* libmicrohttpd owns the answer's bytes from now on. */
static enum MHD_Result respond(struct MHD_Connection *connection, struct exchange_answer *a)
{
	size_t n = a->body.len;
	struct MHD_Response *response = MHD_create_response_from_buffer(
		n, n ? a->body.data : NULL, n ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);

	if (!response) {
		buffer_fini(&a->body);
		return MHD_NO;
	}
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
	else if (!x->deferred)
		exchange_run_api(x, l->server->control, connection, method, path, &a);
	if (x->deferred && !deferred_is_done(x->deferred))
		return sleep_until_done(l, connection, x);
	if (x->deferred)
		exchange_run_deferred(x, &a);
	return respond(connection, &a);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **exchange,
	enum MHD_RequestTerminationCode code)
{
	(void)context;
	(void)connection;
	(void)code;
	exchange_free(*exchange);
	*exchange = NULL;
}

/* --- start, stop --- */

static int start_listener(struct listener *l, int fd, struct errtext *e)
{
	l->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
		on_request, l, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED,
		on_completed, l, MHD_OPTION_CONNECTION_LIMIT, (unsigned)SERVER_CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SERVER_IDLE_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, HEAD_MAX, MHD_OPTION_END);
	if (!l->daemon)
		return errtext_set(e, -EIO, "the admin server cannot be started");
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info || info->epoll_fd < 0)
		return errtext_set(e, -EIO, "the admin server has no epoll descriptor");
	ev_io_init(&l->readable, on_readable, info->epoll_fd, EV_READ);
	ev_timer_init(&l->timer, on_timer, 0., 0.);
	l->readable.data = l;
	l->timer.data = l;
	ev_io_start(l->server->control->loop, &l->readable);
	drive(l);
	return 0;
}

static void stop_listener(struct listener *l)
{
	struct sleeper *asleep;

	if (!l->daemon)
		return;
	ev_io_stop(l->server->control->loop, &l->readable);
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
	ev_timer_stop(l->server->control->loop, &l->timer);
	MHD_stop_daemon(l->daemon);
	l->daemon = NULL;
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
		error = start_listener(&s->admin, admin_fd, e);
	if (!error && metrics_fd >= 0)
		error = start_listener(&s->metrics, metrics_fd, e);
	if (error) {
		server_stop(s);
		return error;
	}
	*ret = s;
	return 0;
}

void server_stop(struct server *s)
{
	if (!s)
		return;
	stop_listener(&s->admin);
	stop_listener(&s->metrics);
	free(s);
}
