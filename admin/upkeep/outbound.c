#include "admin/upkeep/outbound.h"

#include "common/buffer.h"

#include <curl/curl.h>
#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>

#define HOST "http://relay-internal" /* curl needs a URL; the socket decides the destination */
#define HEADER_MAX 1024		     /* bytes of a header line */

struct outbound {
	struct ev_loop *loop;
	CURLM *multi;
	ev_timer timer;
	struct outbound_call *calls;
	size_t count;
};

struct outbound_call {
	struct outbound *owner;
	struct outbound_call *prev, *next;
	CURL *easy;
	struct curl_slist *headers;
	struct buffer request; /* curl points into it */
	struct buffer answer;
	bool overflowed;
	size_t answer_max;
	char code[OUTBOUND_CODE_SIZE];
	char encoding[OUTBOUND_ENCODING_SIZE];
	char failure[CURL_ERROR_SIZE];
	outbound_fn *done;
	void *context;
};

/* A socket of curl, which holds the pointer. */
struct watch {
	struct outbound *owner;
	ev_io io;
};

/* --- calls --- */

static void link_call(struct outbound *o, struct outbound_call *call)
{
	call->next = o->calls;
	if (o->calls)
		o->calls->prev = call;
	o->calls = call;
	o->count++;
}

static void unlink_call(struct outbound_call *call)
{
	struct outbound *o = call->owner;

	if (call->prev)
		call->prev->next = call->next;
	else
		o->calls = call->next;
	if (call->next)
		call->next->prev = call->prev;
	o->count--;
}

static void free_call(struct outbound_call *call)
{
	if (call->easy)
		curl_easy_cleanup(call->easy);
	curl_slist_free_all(call->headers);
	buffer_fini(&call->request);
	buffer_fini(&call->answer);
	free(call);
}

void outbound_cancel(struct outbound_call *call)
{
	curl_multi_remove_handle(call->owner->multi, call->easy);
	unlink_call(call);
	free_call(call);
}

static bool was_sent(const struct outbound_call *call)
{
	long bytes = 0;

	curl_easy_getinfo(call->easy, CURLINFO_REQUEST_SIZE, &bytes);
	return bytes > 0;
}

/* Unlinks the call first, so that the callback may send again or free everything. */
static void finish(struct outbound_call *call, CURLcode code)
{
	long status = 0;

	curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
	const struct outbound_answer a = {
		.sent = status || was_sent(call),
		.whole = code == CURLE_OK && !call->overflowed && !buffer_error(&call->answer),
		.status = (unsigned)status,
		.body = buffer_slice(&call->answer),
		.code = call->code,
		.encoding = call->encoding,
		.failure = code == CURLE_OK ? ""
			: call->failure[0]  ? call->failure
					    : curl_easy_strerror(code),
	};
	curl_multi_remove_handle(call->owner->multi, call->easy);
	unlink_call(call);
	call->done(call->context, &a);
	free_call(call);
}

/* --- curl's callbacks --- */

static size_t on_body(char *p, size_t size, size_t n, void *context)
{
	struct outbound_call *call = context;
	size_t room = call->answer_max - call->answer.len;

	(void)size; /* is 1 */
	if (n > room)
		call->overflowed = true;
	buffer_append(&call->answer, p, n < room ? n : room);
	return n;
}

/* Of several headers with the name, the last one counts. */
static void take_header(struct slice line, struct slice name, char *out, size_t size)
{
	if (!slice_eq_nocase(slice_cut(line, name.n), name))
		return;
	line = slice_cut(slice_trim(slice_skip(line, name.n)), size - 1);
	snprintf(out, size, "%.*s", (int)line.n, line.p);
}

static size_t on_header(const char *p, size_t size, size_t n, void *context)
{
	struct outbound_call *call = context;
	struct slice line = {p, n};

	(void)size;
	if (slice_has_prefix(line, SLICE_LITERAL("HTTP/")))
		call->code[0] = call->encoding[0] = '\0';
	take_header(line, SLICE_LITERAL("X-Relay-Error:"), call->code, sizeof(call->code));
	take_header(
		line, SLICE_LITERAL("Content-Encoding:"), call->encoding, sizeof(call->encoding));
	return n;
}

static void collect(struct outbound *o)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(o->multi, &left))) {
		struct outbound_call *call;
		CURLcode code = m->data.result;
		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&call);
		finish(call, code);
	}
}

static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
	struct watch *w = io->data;
	struct outbound *o = w->owner;
	int what = (events & EV_READ ? CURL_CSELECT_IN : 0) |
		(events & EV_WRITE ? CURL_CSELECT_OUT : 0);
	int running;

	(void)loop;
	curl_multi_socket_action(o->multi, io->fd, what, &running);
	collect(o);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct outbound *o = timer->data;
	int running;

	(void)loop;
	(void)events;
	curl_multi_socket_action(o->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect(o);
}

/* curl also calls this inside outbound_send(): even a timeout of 0 waits for the loop. */
static int set_timer(CURLM *multi, long ms, void *context)
{
	struct outbound *o = context;

	(void)multi;
	ev_timer_stop(o->loop, &o->timer);
	if (ms >= 0) {
		ev_timer_set(&o->timer, (double)ms / 1000, 0);
		ev_timer_start(o->loop, &o->timer);
	}
	return 0;
}

static void forget_socket(struct outbound *o, curl_socket_t fd, struct watch *w)
{
	if (!w)
		return;
	ev_io_stop(o->loop, &w->io);
	curl_multi_assign(o->multi, fd, NULL);
	free(w);
}

static int set_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *known)
{
	struct outbound *o = context;
	struct watch *w = known;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		forget_socket(o, fd, w);
		return 0;
	}
	if (!w) {
		w = calloc(1, sizeof(*w));
		if (!w)
			return -1;
		w->owner = o;
		w->io.data = w;
		ev_init(&w->io, on_io);
		curl_multi_assign(o->multi, fd, w);
	}
	ev_io_stop(o->loop, &w->io);
	ev_io_set(&w->io, fd,
		(what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0));
	ev_io_start(o->loop, &w->io);
	return 0;
}

/* --- sending --- */

static bool add_header(struct outbound_call *call, struct slice line)
{
	char text[HEADER_MAX];

	if (line.n >= sizeof(text))
		return false;
	snprintf(text, sizeof(text), "%.*s", (int)line.n, line.p);
	struct curl_slist *longer = curl_slist_append(call->headers, text);
	explicit_bzero(text, sizeof(text));
	if (longer)
		call->headers = longer;
	return longer != NULL;
}

/* The empty "Expect:" keeps curl from waiting for 100 Continue. */
static bool add_headers(struct outbound_call *call, const struct outbound_request *r)
{
	bool ok = add_header(call, SLICE_LITERAL("Expect:")) &&
		add_header(call, SLICE_LITERAL("User-Agent:"));

	for (size_t i = 0; i < OUTBOUND_HEADERS_MAX && r->headers[i].n; i++)
		ok = ok && add_header(call, r->headers[i]);
	return ok;
}

static bool set_route(CURL *easy, const struct outbound_request *r)
{
	char url[2048];
	int n = snprintf(url, sizeof(url), HOST "%s", r->target);

	return n > 0 && (size_t)n < sizeof(url) &&
		curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, r->socket) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, r->method) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http") == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK;
}

/* A refresh token may be sent only once. Connection reuse would make curl retry, so it is off. */
static void set_manner(struct outbound_call *call, const struct outbound_request *r)
{
	CURL *easy = call->easy;

	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, r->timeout_ms);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->failure);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
}

static void set_body(struct outbound_call *call)
{
	if (!call->request.len)
		return;
	curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS, call->request.data);
	curl_easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->request.len);
}

static int prepare(struct outbound_call *call, const struct outbound_request *r)
{
	call->done = r->done;
	call->context = r->context;
	call->answer_max = r->answer_max ? r->answer_max : OUTBOUND_BODY_MAX;
	buffer_append_slice(&call->request, r->body);
	call->easy = curl_easy_init();
	if (!call->easy || buffer_error(&call->request))
		return -ENOMEM;
	if (!add_headers(call, r) || !set_route(call->easy, r))
		return -EINVAL;
	set_manner(call, r);
	set_body(call);
	return 0;
}

int outbound_send(struct outbound *o, const struct outbound_request *r, struct outbound_call **ret,
	struct errtext *e)
{
	if (o->count >= OUTBOUND_CALLS_MAX)
		return errtext_set(
			e, -EAGAIN, "%d requests are in progress already", OUTBOUND_CALLS_MAX);
	struct outbound_call *call = calloc(1, sizeof(*call));
	if (!call)
		return errtext_set(e, -ENOMEM, "out of memory");
	call->owner = o;
	int error = prepare(call, r);
	if (!error && curl_multi_add_handle(o->multi, call->easy) != CURLM_OK)
		error = -ENOMEM;
	if (error) {
		free_call(call);
		return errtext_set(e, error, "the request cannot be made: %s", strerror(-error));
	}
	link_call(o, call);
	*ret = call;
	return 0;
}

/* --- start and end --- */

struct outbound *outbound_new(struct ev_loop *loop)
{
	struct outbound *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->loop = loop;
	ev_init(&o->timer, on_timer);
	o->timer.data = o;
	o->multi = curl_multi_init();
	if (!o->multi) {
		free(o);
		return NULL;
	}
	curl_multi_setopt(o->multi, CURLMOPT_SOCKETFUNCTION, set_socket);
	curl_multi_setopt(o->multi, CURLMOPT_SOCKETDATA, o);
	curl_multi_setopt(o->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(o->multi, CURLMOPT_TIMERDATA, o);
	return o;
}

void outbound_free(struct outbound *o)
{
	if (!o)
		return;
	for (struct outbound_call *next; o->calls; o->calls = next) {
		next = o->calls->next;
		curl_multi_remove_handle(o->multi, o->calls->easy);
		free_call(o->calls);
	}
	curl_multi_cleanup(o->multi);
	ev_timer_stop(o->loop, &o->timer);
	free(o);
}
