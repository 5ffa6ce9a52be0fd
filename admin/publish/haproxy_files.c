#include "admin/publish/haproxy_files.h"

#include "haproxy/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX ((size_t)64 << 20)

void haproxy_texts_fini(struct haproxy_texts *t)
{
	buffer_fini(&t->cfg);
	buffer_fini(&t->spoe);
}

int haproxy_texts_render(struct haproxy_texts *t, const struct render_model *m, struct errtext *e)
{
	buffer_clear(&t->cfg);
	buffer_clear(&t->spoe);
	int error = render_config(m, &t->cfg, e);
	if (!error)
		error = render_spoe(m, &t->spoe, e);
	if (!error && (buffer_error(&t->cfg) || buffer_error(&t->spoe)))
		error = errtext_set(e, -ENOMEM, "HAProxy's files: out of memory");
	return error;
}

static int path_of(
	const char *dir, const char *name, char out[HAPROXY_FILES_PATH_MAX], struct errtext *e)
{
	int n = snprintf(out, HAPROXY_FILES_PATH_MAX, "%s/%s", dir, name);

	if (n < 0 || n >= HAPROXY_FILES_PATH_MAX)
		return errtext_set(e, -ENAMETOOLONG, "%s: the path is too long", dir);
	return 0;
}

static int write_all(int fd, struct slice s)
{
	while (s.n) {
		ssize_t n = write(fd, s.p, s.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		s = slice_skip(s, (size_t)n);
	}
	return fsync(fd) < 0 ? -errno : 0;
}

/* Writes the whole file under another name, then renames it: HAProxy never reads half a file. */
static int write_file(
	const char *dir, const char *name, struct slice text, mode_t mode, struct errtext *e)
{
	char path[HAPROXY_FILES_PATH_MAX];
	char temporary[HAPROXY_FILES_PATH_MAX];
	int error = path_of(dir, name, path, e);

	if (error)
		return error;
	if ((size_t)snprintf(temporary, sizeof(temporary), "%s.new", path) >= sizeof(temporary))
		return errtext_set(e, -ENAMETOOLONG, "%s: the path is too long", dir);
	unlink(temporary);
	int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return errtext_set(
			e, -errno, "%s: cannot be written: %s", temporary, strerror(errno));
	error = fchmod(fd, mode) < 0 ? -errno : write_all(fd, text);
	close(fd);
	if (!error && rename(temporary, path) < 0)
		error = -errno;
	if (error) {
		unlink(temporary);
		errtext_set(e, error, "%s: cannot be written: %s", path, strerror(-error));
	}
	return error;
}

static int sync_directory(const char *dir, struct errtext *e)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return errtext_set(e, -errno, "%s: %s", dir, strerror(errno));
	int error = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return error ? errtext_set(e, error, "%s: %s", dir, strerror(-error)) : 0;
}

/* The SPOE file first: a new relay.cfg never refers to an old one for longer than a rename. */
int haproxy_files_write(const char *dir, const struct haproxy_texts *t, struct errtext *e)
{
	int error = write_file(dir, RENDER_SPOE_NAME, buffer_slice(&t->spoe), 0640, e);

	if (!error)
		error = write_file(dir, RENDER_CFG_NAME, buffer_slice(&t->cfg), 0640, e);
	return error ? error : sync_directory(dir, e);
}

static bool file_is(const char *dir, const char *name, struct slice text)
{
	char path[HAPROXY_FILES_PATH_MAX];
	struct buffer there = {.max = FILE_MAX};
	bool same = !path_of(dir, name, path, NULL) && !buffer_read_file(&there, path, FILE_MAX) &&
		slice_eq(buffer_slice(&there), text);

	buffer_fini(&there);
	return same;
}

bool haproxy_files_are(const char *dir, const struct haproxy_texts *t)
{
	return file_is(dir, RENDER_CFG_NAME, buffer_slice(&t->cfg)) &&
		file_is(dir, RENDER_SPOE_NAME, buffer_slice(&t->spoe));
}

int haproxy_files_write_ca(const struct haproxy_model *m, struct errtext *e)
{
	const struct haproxy_ca_file *files =
		(const struct haproxy_ca_file *)(const void *)m->ca_files.data;

	for (size_t i = 0; i < m->ca_files.len / sizeof(*files); i++) {
		const char *name = files[i].path + strlen(m->render.output_dir) + 1;
		struct slice pem = slice_from_str(files[i].pem);
		if (file_is(m->render.output_dir, name, pem))
			continue;
		int error = write_file(m->render.output_dir, name, pem, 0644, e);
		if (error)
			return error;
	}
	return 0;
}

/* --- checking --- */

static void remove_directory(const char *dir)
{
	static const char *const names[] = {RENDER_CFG_NAME, RENDER_SPOE_NAME};
	char path[HAPROXY_FILES_PATH_MAX];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (path_of(dir, names[i], path, NULL) == 0)
			unlink(path);
	rmdir(dir);
}

static int check_in(
	const char *dir, const struct render_model *m, const char *binary, struct errtext *e)
{
	struct haproxy_texts t = {0};
	struct render_model copy = *m;
	char path[HAPROXY_FILES_PATH_MAX];

	copy.output_dir = dir;
	int error = haproxy_texts_render(&t, &copy, e);
	if (!error)
		error = haproxy_files_write(dir, &t, e);
	if (!error)
		error = path_of(dir, RENDER_CFG_NAME, path, e);
	if (!error)
		error = runtime_check(binary, path, HAPROXY_FILES_CHECK_MS, e);
	haproxy_texts_fini(&t);
	return error;
}

int haproxy_files_check(const struct haproxy_model *m, const char *binary, struct errtext *e)
{
	char dir[HAPROXY_FILES_PATH_MAX];
	int error = path_of(m->render.output_dir, ".check-XXXXXX", dir, e);

	if (error)
		return error;
	if (!mkdtemp(dir))
		return errtext_set(e, -errno, "%s: cannot be written to: %s", m->render.output_dir,
			strerror(errno));
	error = check_in(dir, &m->render, binary, e);
	remove_directory(dir);
	return error;
}
