#include "agent/keeper/identity.h"

#include <errno.h>
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
			"[relay] %s: user '%s' does not exist; create it with: useradd --system %s",
			option, name, name);
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

int identity_make_directory(
	const char *path, unsigned mode, const struct identity *owner, struct errtext *e)
{
	char copy[PATH_MAX];
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return 0;
	if ((size_t)snprintf(copy, sizeof(copy), "%s", path) >= sizeof(copy))
		return errtext_set(e, -ENAMETOOLONG, "%.100s...: the path is too long", path);
	int error = make_parents(copy);
	if (!error && mkdir(path, mode) < 0)
		error = -errno;
	if (!error && geteuid() == 0 && lchown(path, owner->uid, owner->gid) < 0)
		error = -errno;
	if (error)
		return errtext_set(
			e, error, "%s: cannot create the directory: %s", path, strerror(-error));
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
