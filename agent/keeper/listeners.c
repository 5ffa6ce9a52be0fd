#include "agent/keeper/listeners.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The peer's uid decides who may connect to a SPOP or records socket, not the path's mode. */
#define MODE_ANYBODY 0666
#define MODE_GROUP 0660

static int add(struct listeners *l, enum child_socket what, const struct address *a, unsigned mode,
	struct errtext *e)
{
	if (l->count == CHILD_LISTENERS_MAX)
		return errtext_set(e, -E2BIG, "more than %d listeners", CHILD_LISTENERS_MAX);
	int fd = address_listen(a, mode, e);
	if (fd < 0)
		return fd;
	l->rows[l->count++] = (struct child_listener){what, *a, fd};
	return 0;
}

static int add_text(struct listeners *l, enum child_socket what, const char *text, unsigned mode,
	struct errtext *e)
{
	struct address a;
	int error = address_parse(slice_from_str(text), &a, e);

	if (!error && what == CHILD_SOCKET_EVENTS && a.kind == ADDRESS_UNIX)
		a.kind = ADDRESS_UNIX_DGRAM;
	return error ? error : add(l, what, &a, mode, e);
}

static int open_spop(const struct config *c, struct listeners *l, struct errtext *e)
{
	struct address addresses[ADDRESS_LIST_MAX];
	int n = config_spop_listeners(c, addresses);
	int error = n < 0 ? n : 0;

	for (int i = 0; !error && i < n; i++)
		error = add(l, CHILD_SOCKET_SPOP, &addresses[i], MODE_ANYBODY, e);
	return error;
}

/* The path belongs to control's user; its group may use it too. */
static int give_to_group(
	const struct child_listener *l, const struct identities *ids, struct errtext *e)
{
	if (!ids->drop || chown(l->address.u.un.sun_path, ids->control.uid, ids->admin_group) == 0)
		return 0;
	return errtext_set(e, -errno, "%s: %s", l->address.text, strerror(errno));
}

static int open_admin(const struct config *c, const struct identities *ids, struct listeners *l,
	struct errtext *e)
{
	char text[CONFIG_TEXT_MAX + 8];

	snprintf(text, sizeof(text), "unix:%s", c->admin_socket.s);
	int error = add_text(l, CHILD_SOCKET_ADMIN, text, MODE_GROUP, e);
	return error ? error : give_to_group(&l->rows[l->count - 1], ids, e);
}

int listeners_open(const struct config *c, const struct identities *ids, struct listeners *ret,
	struct errtext *e)
{
	struct listeners l = {.count = 0};
	int error = open_spop(c, &l, e);

	if (!error)
		error = add_text(&l, CHILD_SOCKET_EVENTS, c->events_listen.s, MODE_ANYBODY, e);
	if (!error && c->check_listen.s[0])
		error = add_text(&l, CHILD_SOCKET_CHECK, c->check_listen.s, 0, e);
	if (!error)
		error = open_admin(c, ids, &l, e);
	if (!error && c->admin_metrics.s[0])
		error = add_text(&l, CHILD_SOCKET_METRICS, c->admin_metrics.s, 0, e);
	if (error) {
		listeners_close(&l);
		return error;
	}
	*ret = l;
	return 0;
}

void listeners_close(struct listeners *l)
{
	for (uint32_t i = 0; i < l->count; i++) {
		const struct address *a = &l->rows[i].address;
		if (a->kind == ADDRESS_UNIX || a->kind == ADDRESS_UNIX_DGRAM)
			unlink(a->u.un.sun_path);
		close(l->rows[i].fd);
	}
	l->count = 0;
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
