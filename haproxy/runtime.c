#include "haproxy/runtime.h"

#include "common/clock.h"
#include "haproxy/runtime_socket.h"
#include "haproxy/runtime_text.h"

#include <errno.h>
#include <stdio.h>

#define VARIABLE_COMMAND_SIZE 128

int runtime_command(const char *socket_path, const char *command, int timeout_ms,
	struct buffer *answer, struct errtext *e)
{
	if (strchr(command, '\n'))
		return errtext_set(e, -EINVAL, "a command for HAProxy holds a line feed");
	return runtime_exchange(
		socket_path, command, true, clock_monotonic_ms() + timeout_ms, answer, e);
}

int runtime_variable(const char *socket_path, const char *address, const char *name, int timeout_ms,
	uint64_t *ret, struct errtext *e)
{
	char command[VARIABLE_COMMAND_SIZE];
	struct buffer answer = {0};

	snprintf(command, sizeof(command), "%sget var proc.%s", address, name);
	int error = runtime_command(socket_path, command, timeout_ms, &answer, e);
	if (!error)
		error = runtime_parse_variable(buffer_slice(&answer), ret);
	if (error == -EPROTO)
		errtext_set(e, error, "%s does not answer like HAProxy", socket_path);
	buffer_fini(&answer);
	return error;
}

static bool is_given(const char *path)
{
	return path && path[0];
}

static int read_info(const char *socket_path, const char *command, int64_t deadline_ms,
	struct runtime_status *ret, struct errtext *e)
{
	struct buffer answer = {0};
	int error = runtime_exchange(socket_path, command, true, deadline_ms, &answer, e);

	if (!error && runtime_parse_info(buffer_slice(&answer), ret))
		error = errtext_set(e, -EPROTO, "%s does not answer like HAProxy", socket_path);
	buffer_fini(&answer);
	return error;
}

static int read_workers(
	const char *master_socket, int64_t deadline_ms, uint32_t *ret_workers, struct errtext *e)
{
	struct runtime_processes processes;
	struct buffer answer = {0};
	int error = runtime_exchange(master_socket, "show proc", true, deadline_ms, &answer, e);

	if (!error && runtime_parse_processes(buffer_slice(&answer), &processes))
		error = errtext_set(
			e, -EPROTO, "%s is not the socket of a HAProxy master", master_socket);
	if (!error)
		*ret_workers = processes.workers;
	buffer_fini(&answer);
	return error;
}

int runtime_status(const char *admin_socket, const char *master_socket, int timeout_ms,
	struct runtime_status *ret, struct errtext *e)
{
	int64_t deadline = clock_monotonic_ms() + timeout_ms;
	struct runtime_status status = {.workers = 1};
	int error;

	if (!is_given(admin_socket) && !is_given(master_socket))
		return errtext_set(e, -EINVAL, "no socket of HAProxy is configured");
	if (is_given(admin_socket))
		error = read_info(admin_socket, "show info", deadline, &status, e);
	else
		error = read_info(master_socket, "@1 show info", deadline, &status, e);
	if (!error && is_given(master_socket))
		error = read_workers(master_socket, deadline, &status.workers, e);
	if (!error)
		*ret = status;
	return error;
}

/* Of servers only: rows of type 4. */
int runtime_unbound(const char *admin_socket, const char *master_socket, int timeout_ms,
	runtime_unbound_fn *fn, void *context, struct errtext *e)
{
	bool by_admin = is_given(admin_socket);
	struct buffer answer = {.max = RUNTIME_ANSWER_MAX};
	int error = !by_admin && !is_given(master_socket)
		? errtext_set(e, -ENOTSUP, "no socket of HAProxy is configured")
		: runtime_command(by_admin ? admin_socket : master_socket,
			  by_admin ? "show stat -1 4 -1" : "@1 show stat -1 4 -1", timeout_ms,
			  &answer, e);

	if (!error)
		runtime_parse_unbound(buffer_slice(&answer), fn, context);
	buffer_fini(&answer);
	return error;
}
