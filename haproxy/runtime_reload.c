/*
 * Reload through the master socket. From 2.7 on the master reports the outcome. 2.6 closes the
 * connection when it re-executes itself; afterwards `show proc` counts one reload more, with `failed`
 * zero if it succeeded.
 */
#include "haproxy/runtime.h"

#include "common/clock.h"
#include "haproxy/runtime_socket.h"
#include "haproxy/runtime_text.h"

#include <errno.h>
#include <poll.h>

#define POLL_INTERVAL_MS 20

static int read_processes(
	const char *socket, int64_t deadline_ms, struct runtime_processes *ret, struct errtext *e)
{
	struct buffer answer = {0};
	int error = runtime_exchange(socket, "show proc", true, deadline_ms, &answer, e);

	if (!error && runtime_parse_processes(buffer_slice(&answer), ret))
		error = errtext_set(e, -EPROTO, "%s is not the socket of a HAProxy master", socket);
	buffer_fini(&answer);
	return error;
}

static int refused(struct slice log, struct errtext *e)
{
	char alert[ERRTEXT_SIZE];

	if (runtime_first_alert(log, alert, sizeof(alert)))
		return errtext_set(e, -EPROTO, "HAProxy kept its old configuration: %s", alert);
	return errtext_set(e, -EPROTO, "HAProxy kept its old configuration; see HAProxy's log");
}

/* A 2.6 master does not listen while it loads: errors before the deadline mean "not yet". */
static int wait_for_reload(
	const char *socket, uint64_t reloads_before, int64_t deadline_ms, struct errtext *e)
{
	struct runtime_processes now;

	while (clock_monotonic_ms() < deadline_ms) {
		if (read_processes(socket, deadline_ms, &now, NULL) == 0 &&
			now.reloads != reloads_before)
			return now.failed ? refused((struct slice){NULL, 0}, e) : 0;
		poll(NULL, 0, POLL_INTERVAL_MS);
	}
	return errtext_set(
		e, -ETIMEDOUT, "HAProxy at %s has not finished its reload in time", socket);
}

int runtime_reload(const char *master_socket, int timeout_ms, struct errtext *e)
{
	int64_t deadline = clock_monotonic_ms() + timeout_ms;
	struct runtime_processes before;
	struct buffer answer = {0};
	int error = read_processes(master_socket, deadline, &before, e);

	if (error)
		return error;
	error = runtime_exchange(master_socket, "reload", false, deadline, &answer, e);
	struct slice text = buffer_slice(&answer);
	if (error == -ECONNRESET || error == -EPIPE)
		error = 0; /* the master re-executed itself before it had read our line */
	if (!error && slice_has_prefix(text, SLICE_LITERAL("Success=0")))
		error = refused(text, e);
	else if (!error && !slice_has_prefix(text, SLICE_LITERAL("Success=1")))
		error = wait_for_reload(master_socket, before.reloads, deadline, e);
	buffer_fini(&answer);
	return error;
}
