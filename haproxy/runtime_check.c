/* HAProxy's program: `BINARY -c -f CFG` checks a configuration, `BINARY -v` says its version. */
#include "haproxy/runtime.h"

#include "common/clock.h"
#include "haproxy/runtime_socket.h"
#include "haproxy/runtime_text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX ((size_t)256 << 10)
#define WAIT_INTERVAL_MS 5

static int spawn(char *const *args, int output, pid_t *ret_pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none;

	sigemptyset(&none);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&files, output, STDERR_FILENO);
	int error = posix_spawnp(ret_pid, args[0], &files, &attributes, args, environ);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attributes);
	return -error;
}

/* Reads until the child closes its end; drops everything beyond the maximum. */
static int read_output(int fd, int64_t deadline_ms, struct buffer *out)
{
	char chunk[4096];

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int64_t left = deadline_ms - clock_monotonic_ms();
		if (left <= 0)
			return -ETIMEDOUT;
		if (poll(&p, 1, (int)left) <= 0)
			continue;
		ssize_t n = read(fd, chunk, sizeof(chunk));
		if (n == 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0 && out->len + (size_t)n <= OUTPUT_MAX)
			buffer_append(out, chunk, (size_t)n);
	}
}

/* The child's exit status, or -ETIMEDOUT after killing it. */
static int reap(pid_t pid, int64_t deadline_ms)
{
	int status;
	bool killed = false;

	for (;;) {
		pid_t done = waitpid(pid, &status, killed ? 0 : WNOHANG);
		if (done == pid)
			break;
		if (done < 0 && errno != EINTR)
			return -errno;
		if (clock_monotonic_ms() < deadline_ms) {
			poll(NULL, 0, WAIT_INTERVAL_MS);
		} else if (!killed) {
			kill(pid, SIGKILL);
			killed = true;
		}
	}
	if (killed)
		return -ETIMEDOUT;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static int verdict(const char *binary, int status, struct slice output, struct errtext *e)
{
	char alert[ERRTEXT_SIZE];

	if (status == -ETIMEDOUT)
		return errtext_set(e, status, "%s did not finish its check in time", binary);
	if (status < 0)
		return errtext_set(e, status, "%s: %s", binary, strerror(-status));
	if (status == 0)
		return 0;
	if (runtime_first_alert(output, alert, sizeof(alert)))
		return errtext_set(e, -EINVAL, "HAProxy refuses the configuration: %s", alert);
	return errtext_set(e, -EINVAL, "HAProxy refuses the configuration (exit %d)", status);
}

static int run_into(char *const args[], int64_t deadline_ms, const int *pipe_ends,
	struct buffer *output, int *ret_status, struct errtext *e)
{
	pid_t pid;
	int error = spawn(args, pipe_ends[1], &pid);

	close(pipe_ends[1]);
	if (error)
		return errtext_set(e, error, "cannot run %s: %s", args[0], strerror(-error));
	read_output(pipe_ends[0], deadline_ms, output);
	*ret_status = reap(pid, deadline_ms);
	return 0;
}

/* `ret_status` is that of reap(). An error if it could not be started. */
static int run(char *const args[], int timeout_ms, struct buffer *output, int *ret_status,
	struct errtext *e)
{
	int pipe_ends[2];

	if (pipe2(pipe_ends, O_CLOEXEC) < 0)
		return errtext_set(e, -errno, "cannot make a pipe: %s", strerror(errno));
	int error =
		run_into(args, clock_monotonic_ms() + timeout_ms, pipe_ends, output, ret_status, e);
	close(pipe_ends[0]);
	return error;
}

int runtime_check(const char *binary, const char *cfg_path, int timeout_ms, struct errtext *e)
{
	char *const args[] = {(char *)(uintptr_t)binary, (char *)(uintptr_t) "-c",
		(char *)(uintptr_t) "-f", (char *)(uintptr_t)cfg_path, NULL};
	struct buffer output = {0};
	int status = -EIO;
	int error = run(args, timeout_ms, &output, &status, e);

	if (!error)
		error = verdict(binary, status, buffer_slice(&output), e);
	buffer_fini(&output);
	return error;
}

/* "HAProxy version 3.2.26-1 2026/05/05 - https://haproxy.org/"; before 2.4 "HA-Proxy version ..." */
static int parse_version(struct slice output, char *out, size_t size)
{
	struct slice word;

	for (int i = 0; i < 3; i++) {
		if (!slice_next(&output, ' ', &word))
			return -EPROTO;
		if (i == 1 && !slice_eq_str(word, "version"))
			return -EPROTO;
	}
	word = slice_trim(word);
	if (word.n == 0 || word.n >= size)
		return -EPROTO;
	snprintf(out, size, "%.*s", (int)word.n, word.p);
	return 0;
}

int runtime_version(const char *binary, int timeout_ms, char *out, size_t size, struct errtext *e)
{
	char *const args[] = {(char *)(uintptr_t)binary, (char *)(uintptr_t) "-v", NULL};
	struct buffer output = {0};
	int status = -EIO;
	int error = run(args, timeout_ms, &output, &status, e);

	if (!error && parse_version(buffer_slice(&output), out, size))
		error = errtext_set(e, -EPROTO, "%s -v does not say a version of HAProxy", binary);
	buffer_fini(&output);
	return error;
}
