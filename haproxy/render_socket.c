/*
 * Unix sockets. The directory is root's and each socket has a mode and an owner, because HAProxy cannot
 * look at the uid of a peer. HAProxy binds before it enters its chroot and connects after that: a path has
 * two forms.
 */
#include "haproxy/render_parts.h"
#include "haproxy/render_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* HAProxy binds to PATH.PID.tmp and renames that; both must fit in sun_path. */
#define PATH_MAX_BYTES 95

const char *render_inside(const struct render_model *m, const char *path)
{
	const char *chroot = m->options.chroot;
	size_t n = chroot ? strlen(chroot) : 0;

	if (strncmp(path, chroot ? chroot : "", n) != 0 || path[n] != '/')
		return NULL;
	return path + n;
}

/* Two HAProxy processes may load files of one relay, rendered into two directories. */
static unsigned hash_of(const char *text)
{
	uint32_t hash = 2166136261u;

	for (; *text; text++)
		hash = (hash ^ (uint8_t)*text) * 16777619u;
	return (hash ^ hash >> 16) & 0xffff;
}

static void append_path(
	const struct render_model *m, const char *dir, const char *name, struct buffer *b)
{
	struct buffer path = {0};

	buffer_printf(&path, "unix@%s/%s-%04x.sock", dir, name, hash_of(m->output_dir));
	render_word(b, buffer_str(&path));
	if (buffer_error(&path))
		b->error = buffer_error(&path);
	buffer_fini(&path);
}

void render_own_bind(const struct render_model *m, const char *name, struct buffer *b)
{
	append_path(m, m->socket_dir, name, b);
	buffer_append_str(b, " mode 600");
	if (m->haproxy_uid != RENDER_UID_NONE)
		buffer_printf(b, " uid %" PRIu32, m->haproxy_uid);
}

void render_own_server(const struct render_model *m, const char *name, struct buffer *b)
{
	append_path(m, render_inside(m, m->socket_dir), name, b);
}

static bool has_path(const struct address *a)
{
	return a->kind == ADDRESS_UNIX || a->kind == ADDRESS_UNIX_DGRAM;
}

void render_target(const struct render_model *m, const struct address *a, struct buffer *b)
{
	char text[ADDRESS_HAPROXY_SIZE];

	if (has_path(a))
		snprintf(text, sizeof(text), "unix@%s", render_inside(m, a->u.un.sun_path));
	else
		address_format_haproxy(a, text);
	render_word(b, text);
}

static int check_inside(
	const struct render_model *m, const char *what, const char *path, struct errtext *e)
{
	if (render_inside(m, path))
		return 0;
	return errtext_set(e, -EINVAL,
		"%s %s is outside of HAProxy's chroot %s: set [haproxy] socket_dir to a directory "
		"inside",
		what, path, m->options.chroot);
}

static int check_length(const struct render_model *m, const char *name, struct errtext *e)
{
	size_t n = strlen(m->socket_dir) + strlen(name) + strlen("/-0000.sock");

	if (n <= PATH_MAX_BYTES)
		return 0;
	return errtext_set(e, -EINVAL,
		"socket directory %s: HAProxy's socket %s would have a path of %zu characters, at most "
		"%d are possible",
		m->socket_dir, name, n, PATH_MAX_BYTES);
}

static int check_own(const struct render_model *m, struct errtext *e)
{
	int error = render_check_path("socket directory", m->socket_dir, e);

	if (!error)
		error = check_inside(m, "socket directory", m->socket_dir, e);
	if (!error)
		error = check_length(m, SEAM_FRONTEND_AGAIN, e);
	for (size_t i = 0; !error && i < m->node_count; i++)
		error = check_length(m, m->nodes[i].name, e);
	return error;
}

int render_check_sockets(const struct render_model *m, struct errtext *e)
{
	const char *chroot = m->options.chroot;
	int error = chroot ? render_check_path("chroot", chroot, e) : 0;

	if (!error && chroot && chroot[strlen(chroot) - 1] == '/')
		error = errtext_set(e, -EINVAL, "chroot %s ends in /", chroot);
	if (!error)
		error = check_own(m, e);
	for (size_t i = 0; !error && i < m->spop_count; i++)
		if (has_path(&m->spop[i]))
			error = check_inside(m, "the agent's socket", m->spop[i].u.un.sun_path, e);
	if (!error && has_path(&m->records))
		error = check_inside(m, "the records socket", m->records.u.un.sun_path, e);
	return error;
}
