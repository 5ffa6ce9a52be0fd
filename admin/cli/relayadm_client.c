#include "admin/cli/relayadm_client.h"

#include "common/clock.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
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
	const char *waiting;
	int64_t until_ms;
};

/* curl calls it at least once a second. */
static int on_progress(
	void *context, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
	struct patience *p = context;

	(void)down_total;
	(void)down;
	(void)up_total;
	(void)up;
	if (p->waiting && clock_monotonic_ms() >= p->until_ms) {
		fprintf(stderr, "%s\n", p->waiting);
		p->waiting = NULL;
	}
	return 0;
}

static void set_patience(CURL *curl, struct patience *p)
{
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, p);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, p->waiting ? 0L : 1L);
}

static int reason(
	const struct client_call *call, const struct sink *sink, CURLcode code, struct errtext *e)
{
	if (sink->failed)
		return errtext_set(e, -EIO, "cannot write the answer: %s", strerror(errno));
	if (code == CURLE_COULDNT_CONNECT)
		return errtext_set(e, -ECONNREFUSED,
			"cannot reach spoa-relay at %s: is it running, and may you use its socket?",
			call->socket);
	if (code == CURLE_OPERATION_TIMEDOUT)
		return errtext_set(
			e, -ECONNREFUSED, "spoa-relay at %s does not answer", call->socket);
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
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, CLIENT_TIMEOUT_MS);
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
	struct patience patience = {call->waiting, clock_monotonic_ms() + CLIENT_PATIENCE_MS};
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
		return reason(call, &sink, code, e);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &ret->status);
	curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
	ret->is_json = type && strncmp(type, "application/json", 16) == 0;
	return 0;
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

static bool is_unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		(c && strchr("-._~", c));
}

void client_encode(struct slice text, struct buffer *out)
{
	for (size_t i = 0; i < text.n; i++) {
		if (is_unreserved(text.p[i]))
			buffer_append(out, text.p + i, 1);
		else
			buffer_printf(out, "%%%02X", (unsigned char)text.p[i]);
	}
}
