#include "agent/keeper/firstrun.h"

#include "agent/keeper/identity.h"
#include "common/child.h"
#include "common/clock.h"
#include "common/slice.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNK 65536
#define HEAD 4096 /* of a state file; what follows is zero until the first count */

/* NULL: not a file, or of no known form, which control reports. */
static const char *store_path(const struct config *c)
{
	static const char scheme[] = "sqlite:";
	const char *url = c->store_url.s;

	return strncmp(url, scheme, sizeof(scheme) - 1) == 0 ? url + sizeof(scheme) - 1 : NULL;
}

static bool has_content(const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0)
		return st.st_size > 0;
	return errno != ENOENT && errno != ENOTDIR;
}

static bool is_zero(const char *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

/* A start that failed before there was a store leaves a state file without a count. */
static bool has_counts(const char *path)
{
	char chunk[CHUNK];
	off_t at = HEAD;
	ssize_t n;
	bool found = false;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return false;
	while (!found && (n = pread(fd, chunk, sizeof(chunk), at)) > 0) {
		found = !is_zero(chunk, (size_t)n);
		at += n;
	}
	close(fd);
	return found;
}

int firstrun_check(const struct config *c, bool *ret_first, struct errtext *e)
{
	char state[PATH_MAX];
	const char *store = store_path(c);
	const char *beside = NULL;

	*ret_first = false;
	if (!store || config_state_path(c, "state", state, sizeof(state)))
		return 0;
	if (has_content(c->key_file.s))
		beside = c->key_file.s;
	else if (has_counts(state))
		beside = state;
	*ret_first = !beside;
	if (!beside || has_content(store))
		return 0;
	return errtext_set(e, -ENOENT,
		"store %s: is missing or empty, although there is %s: correct [store] url, restore a "
		"backup, or make a new, empty store with spoa-relay --init",
		store, beside);
}

/* --- init --- */

/* The descriptor holds the lock; -1 = there is no state file. */
static int lock_state(const char *path, int *ret_fd, struct errtext *e)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	*ret_fd = -1;
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return errtext_set(e, -errno, "%s: %s", path, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		close(fd);
		return errtext_set(
			e, -EADDRINUSE, "%s: another spoa-relay runs with this state_dir", path);
	}
	*ret_fd = fd;
	return 0;
}

static int set_aside(const char *path, struct errtext *e)
{
	char old[PATH_MAX];

	if ((size_t)snprintf(old, sizeof(old), "%s.old-%lld", path, (long long)clock_wall_ms()) >=
		sizeof(old))
		return errtext_set(e, -ENAMETOOLONG, "%s: the name is too long", path);
	if (rename(path, old) < 0)
		return errtext_set(e, -errno, "%s: %s", path, strerror(errno));
	return 0;
}

/* The files belong to control's user. */
static int make_as_control(const struct config *c, const struct identities *ids, struct errtext *e)
{
	int status = 0;
	pid_t pid = fork();

	if (pid < 0)
		return errtext_set(e, -errno, "cannot start a process: %s", strerror(errno));
	if (pid == 0) {
		int error = identity_become(&ids->control, ids->drop, true);
		if (error)
			errtext_set(e, error, "cannot become user %s: %s", ids->control.name,
				strerror(-error));
		else
			error = control_init(c, e);
		if (error)
			fprintf(stderr, "spoa-relay: %s\n", e->text);
		_exit(error ? 1 : 0);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0
		? 0
		: errtext_set(e, -EIO, "nothing was made");
}

static int init_locked(const struct config *c, const char *state, bool has_state, struct errtext *e)
{
	struct identities ids;
	int error = identities_find(c, &ids, e);

	if (!error)
		error = identity_make_directory(c->state_dir.s, 0700, &ids.control, e);
	if (!error)
		error = make_as_control(c, &ids, e);
	if (!error && has_state)
		error = set_aside(state, e);
	return error;
}

int firstrun_init(const struct config *c, struct errtext *e)
{
	char state[PATH_MAX];
	const char *store = store_path(c);
	int fd;

	if (!store)
		return errtext_set(e, -EINVAL, "[store] url must be sqlite:PATH");
	int error = config_state_path(c, "state", state, sizeof(state));
	if (error)
		return errtext_set(e, error, "[relay] state_dir is too long");
	if (has_content(store))
		return errtext_set(
			e, -EEXIST, "store %s: exists already; nothing was changed", store);
	error = lock_state(state, &fd, e);
	if (error)
		return error;
	error = init_locked(c, state, fd >= 0, e);
	if (fd >= 0)
		close(fd);
	return error;
}
