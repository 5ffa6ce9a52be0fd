/* Users, directories, files and sockets of the relay. */
#include "admin/cli/doctor.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define DISK_SHORT ((uint64_t)100 << 20)
#define DISK_LOW ((uint64_t)1 << 30)
#define GROUPS_MAX 256

/* The program of the keeper is started by whom the keeper runs as. */
static bool keeper_is_root(const struct doctor *d)
{
	json_object *processes = json_object_object_get(d->status, "processes");
	json_object *keeper = json_object_object_get(processes, "keeper");
	char path[64];
	struct stat st;

	if (!keeper)
		return true;
	snprintf(path, sizeof(path), "/proc/%d",
		json_object_get_int(json_object_object_get(keeper, "pid")));
	return stat(path, &st) != 0 || st.st_uid == 0;
}

struct doctor_users doctor_users(const struct doctor *d)
{
	struct doctor_users users = {.changes = keeper_is_root(d)};
	const struct passwd *user = getpwnam(d->config.user.s);
	const struct group *group = getgrnam(d->config.group.s);

	if (!users.changes || !user || !group)
		return users;
	users.exist = true;
	users.control = user->pw_uid;
	users.control_group = user->pw_gid;
	users.admin_group = group->gr_gid;
	return users;
}

static void check_user(struct doctor *d, const char *option, const char *name)
{
	struct buffer remedy = {0};
	const struct passwd *user = getpwnam(name);

	if (!user)
		doctor_say(d, DOCTOR_PROBLEM, "users",
			doctor_command(&remedy, "useradd --system {}", name),
			"user %s ([relay] %s) does not exist", name, option);
	else if (user->pw_uid == 0)
		doctor_say(d, DOCTOR_PROBLEM, "users", "name another user in the configuration",
			"user %s ([relay] %s) is root", name, option);
	else
		doctor_say(
			d, DOCTOR_OK, "users", NULL, "user %s ([relay] %s) exists", name, option);
	buffer_fini(&remedy);
}

void doctor_check_users(struct doctor *d)
{
	const struct config *c = &d->config;
	struct buffer remedy = {0};

	if (!doctor_users(d).changes) {
		doctor_say(d, DOCTOR_NOTE, "users", NULL,
			"not checked: root does not start the relay, so that all of it runs as one user");
		return;
	}
	check_user(d, "user", c->user.s);
	check_user(d, "agent_user", c->agent_user.s);
	const struct passwd *user = getpwnam(c->user.s);
	uid_t control = user ? user->pw_uid : (uid_t)-1;
	const struct passwd *agent = getpwnam(c->agent_user.s);
	if (agent && agent->pw_uid == control)
		doctor_say(d, DOCTOR_PROBLEM, "users", "name two users in the configuration",
			"[relay] user and agent_user are one user");
	if (!getgrnam(c->group.s))
		doctor_say(d, DOCTOR_PROBLEM, "users",
			doctor_command(&remedy, "groupadd --system {}", c->group.s),
			"group %s ([relay] group) does not exist", c->group.s);
	buffer_fini(&remedy);
}

/* False when a finding says why not. */
static bool look(
	struct doctor *d, const char *check, const char *path, const char *remedy, struct stat *ret)
{
	if (stat(path, ret) == 0)
		return true;
	if (errno == EACCES)
		doctor_say(d, DOCTOR_NOTE, check, "run relayadm doctor as root",
			"not checked: this user cannot see %s", path);
	else
		doctor_say(d, DOCTOR_PROBLEM, check, remedy, "%s: %s", path, strerror(errno));
	return false;
}

void doctor_check_state(struct doctor *d)
{
	const char *path = d->config.state_dir.s;
	struct doctor_users users = doctor_users(d);
	struct buffer buffer = {0};
	struct stat st;

	if (!look(d, "state_dir", path, "mount it, or start the relay, which makes it", &st))
		return;
	const char *remedy = doctor_command(
		&buffer, "chown {} {} && chmod 700 {}", d->config.user.s, path, path);
	if (!S_ISDIR(st.st_mode))
		doctor_say(d, DOCTOR_PROBLEM, "state_dir", "correct [relay] state_dir",
			"%s is not a directory", path);
	else if (users.exist && st.st_uid != users.control)
		doctor_say(d, DOCTOR_PROBLEM, "state_dir", remedy,
			"%s does not belong to user %s, who keeps the store in it", path,
			d->config.user.s);
	else if (st.st_mode & 022)
		doctor_say(d, DOCTOR_PROBLEM, "state_dir", remedy,
			"other users may write to %s (mode %03o)", path, st.st_mode & 07777U);
	else
		doctor_say(d, DOCTOR_OK, "state_dir", NULL, "%s, mode %03o", path,
			st.st_mode & 07777U);
	buffer_fini(&buffer);
}

void doctor_check_disk(struct doctor *d)
{
	const char *path = d->config.state_dir.s;
	struct statvfs fs;

	if (statvfs(path, &fs) != 0)
		return; /* doctor_check_state() says so */
	uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	enum doctor_level level = free_bytes < DISK_SHORT ? DOCTOR_PROBLEM
		: free_bytes < DISK_LOW			  ? DOCTOR_NOTE
							  : DOCTOR_OK;
	doctor_say(d, level, "disk",
		level == DOCTOR_OK ? NULL : "free some space: see docs/SIZING.md",
		"%s has %" PRIu64 " MB free", path, free_bytes >> 20);
}

void doctor_check_key(struct doctor *d)
{
	char path[PATH_MAX];
	struct buffer remedy = {0};
	struct stat st;

	if (*d->config.key_file.s)
		snprintf(path, sizeof(path), "%s", d->config.key_file.s);
	else
		snprintf(path, sizeof(path), "%s/vault.key", d->config.state_dir.s);
	if (!look(d, "key file", path,
		    "put it back from a backup: without it no credential can be read; a new relay "
		    "makes it at its first start",
		    &st))
		return;
	if (st.st_mode & 077)
		doctor_say(d, DOCTOR_PROBLEM, "key file",
			doctor_command(&remedy, "chmod 400 {}", path),
			"other users may use %s (mode %03o)", path, st.st_mode & 07777U);
	else
		doctor_say(d, DOCTOR_OK, "key file", NULL, "%s is private", path);
	buffer_fini(&remedy);
}

/* By mode bits: a socket is used by whoever may write to it. */
static bool may_use(const struct doctor_users *users, const char *name, const struct stat *st)
{
	gid_t groups[GROUPS_MAX];
	int count = GROUPS_MAX;

	if ((st->st_mode & S_IWOTH) || !users->exist)
		return true;
	if (st->st_uid == users->control)
		return (st->st_mode & S_IWUSR) != 0;
	if (!(st->st_mode & S_IWGRP) ||
		getgrouplist(name, users->control_group, groups, &count) < 0)
		return false;
	for (int i = 0; i < count; i++) {
		if (groups[i] == st->st_gid)
			return true;
	}
	return false;
}

/* A socket that HAProxy opens, for control. */
static void check_haproxy_socket(struct doctor *d, const char *option, const char *path)
{
	struct doctor_users users = doctor_users(d);
	char master[2 * CONFIG_TEXT_MAX + 32];
	struct buffer remedy = {0};
	struct stat st;

	if (!*path || !look(d, "sockets", path, "start HAProxy with it as in the README", &st))
		return;
	snprintf(master, sizeof(master), "%s,mode,660,group,%s", path, d->config.group.s);
	if (!S_ISSOCK(st.st_mode))
		doctor_say(d, DOCTOR_PROBLEM, "sockets", "correct the configuration",
			"[haproxy] %s: %s is not a socket", option, path);
	else if (!may_use(&users, d->config.user.s, &st))
		doctor_say(d, DOCTOR_PROBLEM, "sockets",
			doctor_command(&remedy, "start HAProxy with: -S {}", master),
			"[haproxy] %s: user %s may not use %s", option, d->config.user.s, path);
	else
		doctor_say(d, DOCTOR_OK, "sockets", NULL, "[haproxy] %s: %s", option, path);
	buffer_fini(&remedy);
}

static void check_admin_socket(struct doctor *d)
{
	struct doctor_users users = doctor_users(d);
	char path[PATH_MAX];
	struct stat st;

	if (*d->config.admin_socket.s)
		snprintf(path, sizeof(path), "%s", d->config.admin_socket.s);
	else
		snprintf(path, sizeof(path), "%s/admin.sock", d->config.run_dir.s);
	if (!look(d, "sockets", path, "systemctl start spoa-relay", &st))
		return;
	if (!S_ISSOCK(st.st_mode))
		doctor_say(d, DOCTOR_PROBLEM, "sockets", "correct [admin] socket",
			"%s is not a socket", path);
	else if (users.exist && (st.st_gid != users.admin_group || !(st.st_mode & S_IWGRP)))
		doctor_say(d, DOCTOR_PROBLEM, "sockets", "systemctl restart spoa-relay",
			"group %s may not use %s", d->config.group.s, path);
	else
		doctor_say(d, DOCTOR_OK, "sockets", NULL, "admin socket: %s", path);
}

static void check_spop_sockets(struct doctor *d)
{
	struct address at[ADDRESS_LIST_MAX];
	int count = config_spop_listeners(&d->config, at);
	struct stat st;

	for (int i = 0; i < count; i++) {
		const char *path = at[i].u.un.sun_path;
		if (at[i].kind != ADDRESS_UNIX)
			continue;
		if (!look(d, "sockets", path,
			    "systemctl start spoa-relay.socket spoa-relay: no request is served",
			    &st))
			continue;
		doctor_say(d, S_ISSOCK(st.st_mode) ? DOCTOR_OK : DOCTOR_PROBLEM, "sockets", NULL,
			"the agent's socket: %s%s", path,
			S_ISSOCK(st.st_mode) ? "" : " is not a socket");
	}
}

void doctor_check_sockets(struct doctor *d)
{
	check_admin_socket(d);
	check_spop_sockets(d);
	if (!*d->config.haproxy_master_socket.s)
		doctor_say(d, DOCTOR_NOTE, "sockets", "set [haproxy] master_socket",
			"the relay cannot reload HAProxy: [haproxy] master_socket is empty");
	check_haproxy_socket(d, "master_socket", d->config.haproxy_master_socket.s);
	check_haproxy_socket(d, "admin_socket", d->config.haproxy_admin_socket.s);
}
