#include "agent/keeper/outdir.h"

#include "agent/keeper/rendered.h"

#include "common/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(struct errtext *e, int error, const char *path)
{
	return errtext_set(e, error, "%s: %s", path, strerror(-error));
}

static int open_directory(const char *path, struct errtext *e)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? fail(e, -errno, path) : fd;
}

/* Whoever can write to the directory can give HAProxy another file. */
static int check_owner(int fd, const char *path, const struct identities *ids, struct errtext *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return fail(e, -errno, path);
	if (!ids->drop)
		return 0;
	bool by_group = (st.st_mode & S_IWGRP) &&
		(st.st_gid == ids->control.gid || st.st_gid == ids->agent.gid ||
			st.st_gid == ids->admin_group);
	if (st.st_uid == ids->control.uid || st.st_uid == ids->agent.uid || by_group ||
		(st.st_mode & S_IWOTH))
		return errtext_set(e, -EPERM,
			"%s: the relay's own users can write to it, and HAProxy may read it as root: "
			"run chown root, chmod go-w on it",
			path);
	bool is_readable =
		(st.st_mode & S_IXOTH) || (st.st_gid == ids->control.gid && (st.st_mode & S_IXGRP));
	if (!is_readable)
		return errtext_set(e, -EPERM,
			"%s: control cannot read the files in it: run chmod 0755 on it", path);
	return 0;
}

/* What control wrote before may still be open for writing somewhere. */
static int take_over(int fd, const char *path, const struct identities *ids, struct errtext *e)
{
	static const char *const names[] = {"relay.cfg", "relay-spoe.conf"};
	struct stat st;

	if (fstat(fd, &st) < 0)
		return fail(e, -errno, path);
	if (!ids->drop || st.st_uid != ids->control.uid)
		return 0;
	if (fchown(fd, 0, (gid_t)-1) < 0 || fchmod(fd, 0755) < 0)
		return fail(e, -errno, path);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (unlinkat(fd, names[i], 0) < 0 && errno != ENOENT)
			return fail(e, -errno, path);
	}
	return 0;
}

int outdir_prepare(const char *path, const struct identities *ids, struct errtext *e)
{
	const struct identity keeper = {.uid = geteuid(), .gid = getegid()};
	int error = identity_make_directory(path, 0755, &keeper, e);

	if (error)
		return error;
	int fd = open_directory(path, e);
	if (fd < 0)
		return fd;
	error = take_over(fd, path, ids, e);
	if (!error)
		error = check_owner(fd, path, ids, e);
	close(fd);
	return error;
}

/* --- writing --- */

static int fill(int fd, const char *name, struct slice text, const struct identities *ids)
{
	/* the record secret is in the files */
	mode_t mode = strncmp(name, "ca-", 3) == 0 ? 0644 : 0640;

	if (ids->drop && fchown(fd, (uid_t)-1, ids->control.gid) < 0)
		return -errno;
	return fchmod(fd, mode) < 0 ? -errno : durable_write(fd, text);
}

static int replace(int dir, const char *name, struct slice text, const struct identities *ids)
{
	char temporary[RENDERED_NAME_MAX + 8];

	snprintf(temporary, sizeof(temporary), "%.*s.new", RENDERED_NAME_MAX, name);
	if (unlinkat(dir, temporary, 0) < 0 && errno != ENOENT)
		return -errno;
	int fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int error = fill(fd, name, text, ids);
	close(fd);
	if (!error && renameat(dir, temporary, dir, name) < 0)
		error = -errno;
	if (error)
		unlinkat(dir, temporary, 0);
	return error ? error : (fsync(dir) < 0 ? -errno : 0);
}

int outdir_put(const char *path, const char *name, struct slice text, const struct config *c,
	const struct identities *ids, struct errtext *e)
{
	const struct rendered_places places = {.output_dir = path,
		.sockets = {c->haproxy_admin_socket.s, c->haproxy_internal_socket.s}};
	int error = rendered_check(name, text, &places, e);

	if (error)
		return error;
	int dir = open_directory(path, e);
	if (dir < 0)
		return dir;
	error = check_owner(dir, path, ids, e);
	if (!error) {
		error = replace(dir, name, text, ids);
		if (error)
			errtext_set(e, error, "%s/%s: cannot be written: %s", path, name,
				strerror(-error));
	}
	close(dir);
	return error;
}
