#include "agent/keeper/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

static int find_user(const char *option, const char *name, struct identity *ret, struct errtext *e)
{
	const struct passwd *user = getpwnam(name);

	if (!user)
		return errtext_set(e, -EINVAL,
			"[relay] %s: user '%s' does not exist; create it with useradd --system",
			option, name);
	if (user->pw_uid == 0)
		return errtext_set(e, -EINVAL, "[relay] %s: the user must not be root", option);
	*ret = (struct identity){.uid = user->pw_uid, .gid = user->pw_gid};
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	return 0;
}

static struct identity ourselves(void)
{
	const struct passwd *user = getpwuid(geteuid());
	struct identity self = {.uid = geteuid(), .gid = getegid()};

	snprintf(self.name, sizeof(self.name), "%s", user ? user->pw_name : "");
	return self;
}

int identities_find(const struct config *c, struct identities *ret, struct errtext *e)
{
	struct identities ids = {.drop = geteuid() == 0};

	if (!ids.drop) {
		ids.control = ids.agent = ourselves();
		ids.admin_group = getegid();
		*ret = ids;
		return 0;
	}
	int error = find_user("user", c->user.s, &ids.control, e);
	if (!error)
		error = find_user("agent_user", c->agent_user.s, &ids.agent, e);
	if (error)
		return error;
	if (ids.control.uid == ids.agent.uid)
		return errtext_set(
			e, -EINVAL, "[relay] user and agent_user must be different users");
	const struct group *group = getgrnam(c->group.s);
	if (!group)
		return errtext_set(
			e, -EINVAL, "[relay] group: group '%s' does not exist", c->group.s);
	ids.admin_group = group->gr_gid;
	*ret = ids;
	return 0;
}

static int make_parents(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		int result = mkdir(path, 0755);
		int error = errno;
		*slash = '/';
		if (result < 0 && error != EEXIST)
			return -error;
	}
	return 0;
}

/* What was made just now: another one in its place, or a link, is not given away. */
static int give(int parent, const char *name, unsigned mode, const struct identity *owner)
{
	struct stat st;
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	int error = fstat(fd, &st) < 0 ? -errno : 0;
	if (!error && st.st_uid != geteuid())
		error = -EPERM;
	/* mkdir() left out the bits of the umask */
	if (!error && fchmod(fd, mode) < 0)
		error = -errno;
	if (!error && geteuid() == 0 && fchown(fd, owner->uid, owner->gid) < 0)
		error = -errno;
	close(fd);
	return error;
}

static int make_in(
	const char *directory, const char *name, unsigned mode, const struct identity *owner)
{
	int parent = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (parent < 0)
		return -errno;
	int error = mkdirat(parent, name, mode) < 0 ? -errno : 0;
	if (!error)
		error = give(parent, name, mode, owner);
	close(parent);
	return error;
}

static int make(const char *path, unsigned mode, const struct identity *owner)
{
	char copy[PATH_MAX];

	if ((size_t)snprintf(copy, sizeof(copy), "%s", path) >= sizeof(copy))
		return -ENAMETOOLONG;
	/* a slash at the end names the same directory */
	for (size_t n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--)
		copy[n - 1] = '\0';
	int error = make_parents(copy);
	char *slash = strrchr(copy, '/');
	if (error || !slash || !slash[1])
		return error ? error : -EINVAL;
	*slash = '\0';
	return make_in(*copy ? copy : "/", slash + 1, mode, owner);
}

int identity_make_directory(
	const char *path, unsigned mode, const struct identity *owner, struct errtext *e)
{
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return 0;
	int error = make(path, mode, owner);
	if (error)
		return errtext_set(
			e, error, "%s: cannot create the directory: %s", path, strerror(-error));
	return 0;
}

int identity_check_private(const char *path, const struct identity *owner, struct errtext *e)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return errtext_set(e, -errno, "%s: %s", path, strerror(errno));
	if (st.st_uid != owner->uid && st.st_uid != 0)
		return errtext_set(e, -EPERM,
			"%s: the directory belongs to another user, who could replace the store: "
			"run chown %s on it",
			path, owner->name);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return errtext_set(e, -EPERM,
			"%s: other users can write to the directory and replace the store: "
			"run chmod 0700 on it",
			path);
	return 0;
}

static int drop_to(const struct identity *who, bool with_groups)
{
	int result = with_groups ? initgroups(who->name, who->gid) : setgroups(0, NULL);

	if (result < 0 || setresgid(who->gid, who->gid, who->gid) < 0 ||
		setresuid(who->uid, who->uid, who->uid) < 0)
		return -errno;
	/* a drop that can be undone is not one */
	return setuid(0) == 0 ? -EPERM : 0;
}

int identity_become(const struct identity *who, bool drop, bool with_groups)
{
	pid_t keeper = getppid();
	int error = drop ? drop_to(who, with_groups) : 0;

	if (error)
		return error;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	/* the keeper may have died before prctl() */
	return getppid() == keeper ? 0 : -ESRCH;
}
