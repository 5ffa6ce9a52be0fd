#include "admin/cli/relayadm_client.h"

#include "common/clock.h"
#include "common/procstat.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct sink {
	CURL *curl;
	struct buffer *body;
	int output_fd;
	bool failed;
};

static bool write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t done = write(fd, p, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return false;
		p += done;
		n -= (size_t)done;
	}
	return true;
}

static size_t receive(char *data, size_t size, size_t n, void *context)
{
	struct sink *sink = context;
	size_t bytes = size * n;
	long status = 0;

	curl_easy_getinfo(sink->curl, CURLINFO_RESPONSE_CODE, &status);
	if (sink->output_fd >= 0 && status == 200) {
		sink->failed = !write_all(sink->output_fd, data, bytes);
		return sink->failed ? 0 : bytes;
	}
	buffer_append(sink->body, data, bytes);
	return buffer_error(sink->body) ? 0 : bytes;
}

struct patience {
	CURL *curl;
	int64_t began_ms;
	const char *waiting;
	int fd;	       /* of the connection */
	pid_t stopped; /* the keeper, which stands still; 0 = it does not */
};

static int on_socket(void *context, curl_socket_t fd, curlsocktype purpose)
{
	struct patience *p = context;

	(void)purpose;
	p->fd = fd;
	return CURL_SOCKOPT_OK;
}

/*
 * The keeper, which opened the socket, answers if control does not. If it is stopped, nobody may ever answer, so
 * there is no point in waiting for the first byte.
 */
static pid_t stopped_keeper(const struct patience *p)
{
	curl_off_t first_byte_us = 0;
	struct procstat stat;
	struct ucred peer;
	socklen_t size = sizeof(peer);

	curl_easy_getinfo(p->curl, CURLINFO_STARTTRANSFER_TIME_T, &first_byte_us);
	if (first_byte_us || getsockopt(p->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
		return 0;
	procstat_read(peer.pid, &stat);
	return stat.state == 'T' || stat.state == 't' ? peer.pid : 0;
}

/* curl calls it at least once a second. */
static int on_progress(
	void *context, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
	struct patience *p = context;
	int64_t waited_ms = clock_monotonic_ms() - p->began_ms;

	(void)down_total;
	(void)down;
	(void)up_total;
	(void)up;
	if (p->waiting && waited_ms >= CLIENT_PATIENCE_MS) {
		fprintf(stderr, "%s\n", p->waiting);
		p->waiting = NULL;
	}
	if (waited_ms >= CLIENT_LOOK_MS)
		p->stopped = stopped_keeper(p);
	return p->stopped != 0;
}

static void set_patience(CURL *curl, struct patience *p)
{
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, p);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(curl, CURLOPT_SOCKOPTFUNCTION, on_socket);
	curl_easy_setopt(curl, CURLOPT_SOCKOPTDATA, p);
}

static int no_connection(CURL *curl, const struct client_call *call, struct errtext *e)
{
	long error = 0;

	curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &error);
	if (error == ENOENT || error == ECONNREFUSED)
		return errtext_set(e, -ECONNREFUSED,
			"the control process is not running: nothing listens at %s, is spoa-relay started?",
			call->socket);
	if (error == EACCES)
		return errtext_set(e, -ECONNREFUSED,
			"cannot reach spoa-relay: this user may not use the socket %s, its group may",
			call->socket);
	return errtext_set(e, -ECONNREFUSED, "cannot reach spoa-relay at %s: %s", call->socket,
		error ? strerror((int)error) : "no connection");
}

static bool is_lost(CURLcode code)
{
	return code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR ||
		code == CURLE_PARTIAL_FILE;
}

static int reason(const struct client_call *call, const struct sink *sink, const struct patience *p,
	CURLcode code, struct errtext *e)
{
	if (p->stopped)
		return errtext_set(e, -ETIMEDOUT,
			"the control process is not running: its parent, process %d, is stopped and cannot "
			"restart it; to continue it: kill -CONT %d",
			(int)p->stopped, (int)p->stopped);
	if (sink->failed)
		return errtext_set(e, -EIO, "cannot write the answer: %s", strerror(errno));
	if (code == CURLE_COULDNT_CONNECT)
		return no_connection(p->curl, call, e);
	if (code == CURLE_OPERATION_TIMEDOUT)
		return errtext_set(e, -ETIMEDOUT, "spoa-relay at %s does not answer", call->socket);
	if (is_lost(code))
		return errtext_set(e, -EPIPE,
			"the control process ended before it answered (%s): %s",
			curl_easy_strerror(code),
			strcmp(call->method, "GET") == 0 ? "nothing was changed, ask again"
							 : "look whether the change is in force");
	return errtext_set(e, -ECONNREFUSED, "no answer from spoa-relay at %s: %s", call->socket,
		curl_easy_strerror(code));
}

static void set_up(CURL *curl, const struct client_call *call, struct sink *sink, const char *url,
	struct curl_slist *headers)
{
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, call->socket);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CLIENT_CONNECT_MS);
	curl_easy_setopt(
		curl, CURLOPT_TIMEOUT_MS, call->timeout_ms ? call->timeout_ms : CLIENT_TIMEOUT_MS);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, sink);
	if (!call->body.p)
		return;
	curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.n);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call->body.p);
}

static int perform(
	CURL *curl, const struct client_call *call, struct client_answer *ret, struct errtext *e)
{
	struct sink sink = {.curl = curl, .body = &ret->body, .output_fd = call->output_fd};
	/* no round trip for Expect: 100-continue */
	struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
	struct patience patience = {
		.curl = curl, .began_ms = clock_monotonic_ms(), .waiting = call->waiting, .fd = -1};
	struct buffer url = {0};
	const char *type = NULL;

	headers = curl_slist_append(headers, "Content-Type: application/json");
	buffer_printf(&url, "http://localhost%s", call->target);
	set_up(curl, call, &sink, buffer_str(&url), headers);
	set_patience(curl, &patience);
	CURLcode code = curl_easy_perform(curl);
	curl_slist_free_all(headers);
	buffer_fini(&url);
	if (code != CURLE_OK)
		return reason(call, &sink, &patience, code, e);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &ret->status);
	curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
	ret->is_json = type && strncmp(type, "application/json", 16) == 0;
	return 0;
}

bool client_is_unreachable(int error)
{
	return error == -ECONNREFUSED || error == -ETIMEDOUT;
}

int client_run(const struct client_call *call, struct client_answer *ret, struct errtext *e)
{
	*ret = (struct client_answer){0};
	buffer_init(&ret->body, CLIENT_ANSWER_MAX);
	/* TLS is not used; its initialisation would cost more than the request */
	curl_global_init(CURL_GLOBAL_NOTHING);
	CURL *curl = curl_easy_init();
	if (!curl)
		return errtext_set(e, -EIO, "out of memory");
	int error = perform(curl, call, ret, e);
	curl_easy_cleanup(curl);
	curl_global_cleanup();
	return error;
}
