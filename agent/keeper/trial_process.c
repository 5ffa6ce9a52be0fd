#include "agent/keeper/trial_process.h"

#include "agent/keeper/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_NO_PROGRAM 127

void trial_process_init(struct trial_process *t)
{
	t->pid = 0;
	t->fd = -1;
	t->killed = NULL;
	t->len = 0;
}

/* What the trial prints for people is not for the log: the keeper logs the end of it if the program is refused. */
static _Noreturn void run_trial(struct handover *h, const sigset_t *mask, int output)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigprocmask(SIG_SETMASK, mask, NULL);
	dup2(null, STDIN_FILENO);
	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	int error = handover_exec(h, "--check-config");
	dprintf(STDERR_FILENO, "cannot start %s: %s\n", h->program, strerror(-error));
	_exit(EXIT_NO_PROGRAM);
}

static void close_output(struct trial_process *t)
{
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
}

void trial_process_forget(struct trial_process *t)
{
	trial_process_kill(t, NULL);
	close_output(t);
	trial_process_init(t);
}

/* A file that is missing is as one without content. */
static void look_at(const char *path, struct stat *ret)
{
	if (stat(path, ret) < 0)
		memset(ret, 0, sizeof(*ret));
}

int trial_process_start(struct trial_process *t, struct handover *h, const sigset_t *mask)
{
	int fds[2];

	trial_process_forget(t);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	look_at(h->program, &t->program);
	look_at(h->config_path, &t->config);
	pid_t pid = fork();
	if (pid == 0)
		run_trial(h, mask, fds[1]);
	int error = pid < 0 ? -errno : 0;
	close(fds[1]);
	t->fd = fds[0];
	if (error) {
		close_output(t);
		return error;
	}
	fcntl(t->fd, F_SETFL, O_NONBLOCK);
	setpgid(pid, pid); /* whoever of both is first */
	t->pid = pid;
	return 0;
}

void trial_process_read(struct trial_process *t)
{
	while (t->fd >= 0) {
		ssize_t n = read(t->fd, t->output + t->len, sizeof(t->output) - t->len);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0)
			close_output(t);
		else
			t->len += (size_t)n;
		if (t->len == sizeof(t->output)) {
			trial_process_kill(t, "it printed more than 16 KB");
			close_output(t);
		}
	}
}

void trial_process_kill(struct trial_process *t, const char *why)
{
	if (!t->pid)
		return;
	if (!t->killed)
		t->killed = why;
	kill(-t->pid, SIGKILL);
}

/* Every version of the relay prints this if all is well, and no other program does. */
static bool has_checked(const struct trial_process *t, const char *config_path)
{
	char line[PATH_MAX + 8];
	int n = snprintf(line, sizeof(line), "%s: OK\n", config_path);

	return memmem(t->output, t->len, line, (size_t)n) != NULL;
}

static int refuse(
	const struct trial_process *t, int status, const char *config_path, struct errtext *e)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	bool is_good = code == 0 || code == TRIAL_TAKES_ALL;

	if (t->killed)
		return errtext_set(
			e, -ENOEXEC, "the check of the program on disk was ended: %s", t->killed);
	if (WIFSIGNALED(status))
		return errtext_set(e, -ENOEXEC, "the program on disk cannot take over (signal %d)",
			WTERMSIG(status));
	if (!is_good)
		return errtext_set(
			e, -ENOEXEC, "the program on disk cannot take over (exit code %d)", code);
	if (!has_checked(t, config_path))
		return errtext_set(e, -ENOEXEC,
			"the program on disk is not spoa-relay: it ended with exit code %d and did "
			"not check the configuration",
			code);
	return 0;
}

int trial_process_judge(struct trial_process *t, int status, const char *config_path,
	bool *ret_takes_all, struct errtext *e)
{
	trial_process_read(t);
	int error = refuse(t, status, config_path, e);
	/* what it has left behind has our sockets */
	trial_process_kill(t, NULL);
	close_output(t);
	t->pid = 0;
	if (!error)
		*ret_takes_all = WEXITSTATUS(status) == TRIAL_TAKES_ALL;
	return error;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
		a->st_mode == b->st_mode && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
		a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

bool trial_process_has_tried(const struct trial_process *t, const struct handover *h)
{
	struct stat program;
	struct stat config;

	look_at(h->program, &program);
	look_at(h->config_path, &config);
	return is_same(&program, &t->program) && is_same(&config, &t->config);
}

void trial_process_words(const struct trial_process *t, char ret[TRIAL_WORDS_MAX])
{
	const char *from = t->output;
	size_t n = t->len;

	while (n > 0 && (from[n - 1] == '\n' || from[n - 1] == ' '))
		n--;
	if (n >= TRIAL_WORDS_MAX) {
		from += n - (TRIAL_WORDS_MAX - 1);
		n = TRIAL_WORDS_MAX - 1;
		const char *line = memchr(from, '\n', n);
		if (line) {
			n -= (size_t)(line + 1 - from);
			from = line + 1;
		}
	}
	for (size_t i = 0; i < n; i++) {
		bool is_plain = from[i] == '\n' || (from[i] >= ' ' && from[i] < 0x7f);
		ret[i] = is_plain ? from[i] : '?';
	}
	ret[n] = '\0';
}
