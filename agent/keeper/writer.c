#include "agent/keeper/writer.h"

#include "agent/keeper/outdir.h"
#include "agent/keeper/rendered.h"
#include "common/buffer.h"
#include "common/channel.h"
#include "common/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORK_S 20 /* a descriptor that never ends, a disk that hangs */

void writer_use(struct writer *w, int fd)
{
	if (w->fd >= 0)
		close(w->fd);
	w->fd = fd;
}

int writer_fd(const struct writer *w)
{
	return w->pid ? -1 : w->fd;
}

static void answer(const struct writer *w, uint64_t number, int error, const char *text)
{
	struct channel_message m = {.type = CHANNEL_FILE, .version = number, .error = error};

	snprintf(m.text, sizeof(m.text), "%s", error ? text : "");
	channel_send(w->fd, &m, NULL, 0);
}

static int put(const struct channel_message *m, int content, const struct config *c,
	const struct identities *ids, struct errtext *e)
{
	struct buffer text = {0};
	int error = buffer_read_start(&text, content, RENDERED_MAX);

	if (error)
		errtext_set(e, error, "%.60s: %s", m->text, strerror(-error));
	else
		error = outdir_put(
			c->haproxy_output_dir.s, m->text, buffer_slice(&text), c, ids, e);
	buffer_fini(&text);
	return error;
}

static _Noreturn void work(const struct writer *w, const struct channel_message *m, int content,
	const struct config *c, const struct identities *ids)
{
	struct errtext e = {""};

	prctl(PR_SET_NAME, "relay-writer");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	alarm(WORK_S);
	int error = c->haproxy_output_dir.s[0]
		? put(m, content, c, ids, &e)
		: errtext_set(&e, -EINVAL, "[haproxy] output_dir is not set");
	if (error == -EPERM)
		log_event(LOG_LEVEL_ERROR, "file for HAProxy refused", LOG_STR("reason", e.text));
	answer(w, m->version, error, e.text);
	_exit(0);
}

static void take(struct writer *w, const struct channel_message *m, int content,
	const struct config *c, const struct identities *ids)
{
	pid_t pid = fork();

	if (pid == 0)
		work(w, m, content, c, ids);
	if (pid < 0)
		answer(w, m->version, -errno, strerror(errno));
	else
		w->pid = pid;
}

void writer_receive(struct writer *w, const struct config *c, const struct identities *ids)
{
	struct channel_message m;
	int fds[CHANNEL_FDS_MAX];

	if (writer_fd(w) < 0)
		return;
	int error = channel_receive(w->fd, &m, fds);
	if (error == -EPIPE) {
		writer_use(w, -1);
		return;
	}
	if (!error && m.type == CHANNEL_FILE && fds[0] >= 0)
		take(w, &m, fds[0], c, ids);
	for (size_t i = 0; !error && i < CHANNEL_FDS_MAX; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
}

bool writer_ended(struct writer *w, pid_t pid, int status)
{
	if (!w->pid || pid != w->pid)
		return false;
	w->pid = 0;
	if (status != 0) {
		log_event(LOG_LEVEL_ERROR, "a file for HAProxy was not written",
			LOG_INT("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0));
		/* 0 is the number of no question: control takes it for the one that it waits for */
		answer(w, 0, -EIO, "the process that checks and writes HAProxy's files has failed");
	}
	return true;
}
