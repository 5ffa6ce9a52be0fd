#include "agent/keeper/listeners.h"

#include "common/callers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECTORY_MODE 0755
#define OTHERS_WRITE 0022

/* --- the directories --- */

static int not_ours(const char *path, const struct stat *st, struct errtext *e)
{
	if (st->st_mode & OTHERS_WRITE)
		return errtext_set(e, -EPERM,
			"%s: other users may write to this directory and could take the names of "
			"its sockets; choose another one, or run chmod go-w on it",
			path);
	return errtext_set(e, -EPERM,
		"%s: this directory belongs to another user (uid %u), who could take the names of "
		"its sockets; choose another one",
		path, (unsigned)st->st_uid);
}

/*
 * `is_new`: we have made it, and the mode is not left to the umask. Older versions gave the directory to
 * control's user; root takes it back by descriptor.
 */
static int check_directory(
	int fd, const char *path, bool is_new, const struct identities *ids, struct errtext *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return errtext_set(e, -errno, "%s: %s", path, strerror(errno));
	bool is_older = ids->drop && st.st_uid == ids->control.uid;
	if (is_older && fchown(fd, 0, 0) == 0)
		st.st_uid = 0;
	if ((is_new || is_older) && fchmod(fd, DIRECTORY_MODE) == 0)
		st.st_mode = DIRECTORY_MODE;
	bool is_ours = st.st_uid == 0 || st.st_uid == geteuid();
	return is_ours && !(st.st_mode & OTHERS_WRITE) ? 0 : not_ours(path, &st, e);
}

static int make_directory(const char *path, const struct identities *ids, struct errtext *e)
{
	const struct identity self = {.uid = geteuid(), .gid = getegid()};
	struct stat st;
	bool is_new = lstat(path, &st) < 0;
	int error = identity_make_directory(path, DIRECTORY_MODE, &self, e);

	if (error)
		return error;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errtext_set(e, -errno, "%s: %s", path, strerror(errno));
	error = check_directory(fd, path, is_new, ids, e);
	close(fd);
	return error;
}

int listeners_make_directories(
	const struct config *c, const struct identities *ids, struct errtext *e)
{
	int error = make_directory(c->run_dir.s, ids, e);

	return error ? error : make_directory(c->haproxy_socket_dir.s, ids, e);
}

/* --- one listener --- */

/* Owner and mode of a socket: the users that can connect. */
struct access {
	unsigned mode;
	uid_t uid;
	gid_t gid;
};

/*
 * HAProxy alone. If several users may connect, or one to whom we cannot give a file, everybody may, and
 * the agent looks at the peer's uid.
 */
static struct access for_haproxy(const struct config *c, const struct identities *ids)
{
	struct callers callers;

	callers_find(c, ids->drop, &callers);
	if (callers.count == CALLERS_NONE)
		return (struct access){0600, geteuid(), getegid()};
	if (callers.count == CALLERS_ONE && ids->drop)
		return (struct access){0600, callers.uid, callers.gid};
	return (struct access){0666, geteuid(), getegid()};
}

static struct access for_group(const struct identities *ids)
{
	if (ids->drop)
		return (struct access){0660, ids->control.uid, ids->admin_group};
	return (struct access){0660, geteuid(), getegid()};
}

/* What is being opened, and what is open already. */
struct opening {
	struct listeners *l;
	struct inherited *inherited;
	struct errtext *e;
};

static int listen_at(const struct opening *o, const struct address *a, const struct access *access)
{
	bool has_path = a->kind == ADDRESS_UNIX || a->kind == ADDRESS_UNIX_DGRAM;
	int fd = address_listen(a, access->mode, o->e);

	if (fd < 0 || !has_path || (access->uid == geteuid() && access->gid == getegid()))
		return fd;
	int error = address_give(a, access->uid, access->gid, o->e);
	if (!error)
		return fd;
	unlink(a->u.un.sun_path);
	close(fd);
	return error;
}

static int add(const struct opening *o, enum child_socket what, const struct address *a,
	const struct access *access)
{
	struct listeners *l = o->l;

	if (l->count == CHILD_LISTENERS_MAX)
		return errtext_set(o->e, -E2BIG, "more than %d listeners", CHILD_LISTENERS_MAX);
	bool ours = false;
	int fd = inherited_take(o->inherited, a, &ours);
	enum listener_origin origin = ours ? LISTENER_TAKEN : LISTENER_SYSTEMD;
	if (fd < 0) {
		fd = listen_at(o, a, access);
		origin = LISTENER_OPENED;
	}
	if (fd < 0)
		return fd;
	l->origins[l->count] = origin;
	l->rows[l->count++] = (struct child_listener){what, *a, fd};
	return 0;
}

static int add_text(const struct opening *o, enum child_socket what, const char *text,
	const struct access *access)
{
	struct address a;
	int error = address_parse(slice_from_str(text), &a, o->e);

	if (!error && what == CHILD_SOCKET_EVENTS && a.kind == ADDRESS_UNIX)
		a.kind = ADDRESS_UNIX_DGRAM;
	return error ? error : add(o, what, &a, access);
}

/* --- all --- */

static int open_haproxys(
	const struct opening *o, const struct config *c, const struct identities *ids)
{
	const struct access access = for_haproxy(c, ids);
	struct address addresses[ADDRESS_LIST_MAX];
	int n = config_spop_listeners(c, addresses);
	int error = n < 0 ? n : 0;

	for (int i = 0; !error && i < n; i++)
		error = add(o, CHILD_SOCKET_SPOP, &addresses[i], &access);
	if (!error)
		error = add_text(o, CHILD_SOCKET_EVENTS, c->events_listen.s, &access);
	if (!error && c->check_listen.s[0])
		error = add_text(o, CHILD_SOCKET_CHECK, c->check_listen.s, &access);
	return error;
}

static int open_operators(
	const struct opening *o, const struct config *c, const struct identities *ids)
{
	const struct access access = for_group(ids);
	char text[CONFIG_TEXT_MAX + 8];

	snprintf(text, sizeof(text), "unix:%s", c->admin_socket.s);
	int error = add_text(o, CHILD_SOCKET_ADMIN, text, &access);
	if (!error && c->admin_metrics.s[0])
		error = add_text(o, CHILD_SOCKET_METRICS, c->admin_metrics.s, &access);
	return error;
}

int listeners_open(const struct config *c, const struct identities *ids,
	struct inherited *inherited, struct listeners *ret, struct errtext *e)
{
	struct listeners l = {.count = 0};
	const struct opening o = {&l, inherited, e};
	int error = open_haproxys(&o, c, ids);

	if (!error)
		error = open_operators(&o, c, ids);
	if (error) {
		listeners_give_back(&l);
		return error;
	}
	*ret = l;
	return 0;
}

static void close_all(struct listeners *l, bool with_taken)
{
	for (uint32_t i = 0; i < l->count; i++) {
		const struct address *a = &l->rows[i].address;
		bool has_path = a->kind == ADDRESS_UNIX || a->kind == ADDRESS_UNIX_DGRAM;
		bool is_ours = l->origins[i] == LISTENER_OPENED ||
			(with_taken && l->origins[i] == LISTENER_TAKEN);
		if (has_path && is_ours)
			unlink(a->u.un.sun_path);
		close(l->rows[i].fd);
	}
	l->count = 0;
}

int listeners_admin(const struct listeners *l)
{
	for (uint32_t i = 0; i < l->count; i++) {
		if (l->rows[i].what == CHILD_SOCKET_ADMIN)
			return l->rows[i].fd;
	}
	return -1;
}

void listeners_close(struct listeners *l)
{
	close_all(l, true);
}

void listeners_give_back(struct listeners *l)
{
	close_all(l, false);
}

void listeners_hand_over(struct listeners *l, struct handover *h)
{
	for (uint32_t i = 0; i < l->count; i++)
		handover_add(h, &l->rows[i].fd,
			l->origins[i] == LISTENER_SYSTEMD ? "systemd" : INHERITED_LISTENER);
}

static enum child_role served_by(enum child_socket what)
{
	switch (what) {
	case CHILD_SOCKET_SPOP:
	case CHILD_SOCKET_EVENTS:
	case CHILD_SOCKET_CHECK:
		return CHILD_AGENT;
	case CHILD_SOCKET_ADMIN:
	case CHILD_SOCKET_METRICS:
		return CHILD_CONTROL;
	}
	return CHILD_KEEPER;
}

void listeners_for(const struct listeners *l, enum child_role role, struct child_start *start)
{
	start->listener_count = 0;
	for (uint32_t i = 0; i < l->count; i++) {
		if (served_by(l->rows[i].what) == role)
			start->listeners[start->listener_count++] = l->rows[i];
	}
}
