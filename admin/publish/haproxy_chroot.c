#include "admin/publish/haproxy_chroot.h"

#include "common/buffer.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#define FILE_MAX ((size_t)4 << 20)

static const char blanks[] = " \t\r";

/* The next word of a line; quotes around it are removed. False at the end and at a comment. */
static bool next_word(struct slice *line, struct slice *ret)
{
	while (line->n && strchr(blanks, line->p[0]))
		*line = slice_skip(*line, 1);
	size_t n = 0;
	while (n < line->n && !strchr(blanks, line->p[n]))
		n++;
	*ret = slice_cut(*line, n);
	*line = slice_skip(*line, n);
	if (n == 0 || ret->p[0] == '#')
		return false;
	bool quoted =
		n >= 2 && (ret->p[0] == '"' || ret->p[0] == '\'') && ret->p[n - 1] == ret->p[0];
	if (quoted)
		*ret = (struct slice){ret->p + 1, n - 2};
	return true;
}

static bool begins_section(struct slice word)
{
	static const char *const sections[] = {"global", "defaults", "frontend", "backend",
		"listen", "resolvers", "userlist", "peers", "mailers", "program", "cache", "ring",
		"http-errors", "log-forward", "fcgi-app", "crt-store", "traces", "acme",
		"log-profile", "crt-list"};

	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		if (slice_eq_str(word, sections[i]))
			return true;
	}
	return false;
}

static void keep_chroot(struct slice path, char out[HAPROXY_CHROOT_SIZE])
{
	while (path.n && path.p[path.n - 1] == '/')
		path = slice_cut(path, path.n - 1);
	if (path.n < HAPROXY_CHROOT_SIZE)
		snprintf(out, HAPROXY_CHROOT_SIZE, "%.*s", (int)path.n, path.n ? path.p : "");
}

void haproxy_chroot_find(struct slice text, char out[HAPROXY_CHROOT_SIZE])
{
	bool in_global = false;
	struct slice line;
	struct slice word;

	out[0] = '\0';
	while (slice_next(&text, '\n', &line)) {
		if (!next_word(&line, &word))
			continue;
		if (begins_section(word))
			in_global = slice_eq_str(word, "global");
		else if (in_global && slice_eq_str(word, "chroot") && next_word(&line, &word))
			keep_chroot(word, out);
	}
}

static bool is_inside(const char *path, const char *chroot)
{
	size_t n = strlen(chroot);

	return strncmp(path, chroot, n) == 0 && path[n] == '/';
}

void haproxy_chroot_add(const struct config *c, struct json_object *options, struct errtext *note)
{
	const char *path = c->haproxy_config.s;
	char chroot[HAPROXY_CHROOT_SIZE];
	struct buffer text = {0};

	note->text[0] = '\0';
	json_object_object_add(options, HAPROXY_CHROOT_FOUND, json_object_new_string(""));
	if (!path[0])
		return;
	int error = buffer_read_file(&text, path, FILE_MAX);
	haproxy_chroot_find(buffer_slice(&text), chroot);
	buffer_fini(&text);
	if (error && error != -ENOENT)
		errtext_set(note, error,
			"%s cannot be read (%s): if HAProxy has a chroot, give --chroot DIR", path,
			strerror(-error));
	else if (chroot[0] && is_inside(c->haproxy_socket_dir.s, chroot))
		json_object_object_add(
			options, HAPROXY_CHROOT_FOUND, json_object_new_string(chroot));
	else if (chroot[0])
		errtext_set(note, 0,
			"%s has chroot %s, but the sockets in %s are outside of it: HAProxy cannot "
			"reach them. Set [haproxy] socket_dir to a directory inside the chroot",
			path, chroot, c->haproxy_socket_dir.s);
}
