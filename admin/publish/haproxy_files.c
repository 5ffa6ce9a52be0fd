#include "admin/publish/haproxy_files.h"

#include "common/channel.h"
#include "common/clock.h"
#include "common/durable.h"
#include "common/snapshot.h"
#include "haproxy/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX ((size_t)64 << 20)
#define KEEPER_MS 25000 /* longer than the keeper's writer may take */

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
	error = fchmod(fd, mode) < 0 ? -errno : durable_write(fd, text);
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

/* --- through the keeper --- */

/* Answers of questions that were given up come first. */
static int receive_answer(int keeper, uint64_t number, const char *name, struct errtext *e)
{
	struct pollfd ready = {.fd = keeper, .events = POLLIN};
	struct channel_message m = {0};
	int fds[CHANNEL_FDS_MAX];
	int64_t deadline = clock_monotonic_ms() + KEEPER_MS;

	do {
		int64_t left = deadline - clock_monotonic_ms();
		if (left <= 0 || poll(&ready, 1, (int)left) == 0)
			return errtext_set(
				e, -ETIMEDOUT, "%s: the keeper has not written it", name);
		int error = channel_receive(keeper, &m, fds);
		if (error && error != -EAGAIN)
			return errtext_set(e, error, "%s: the keeper does not answer", name);
	} while (m.type != CHANNEL_FILE || (m.version != number && m.version != 0));
	return m.error ? errtext_set(e, m.error, "%s", m.text) : 0;
}

static int ask_keeper(int keeper, const char *name, struct slice text, struct errtext *e)
{
	struct channel_message m = {
		.type = CHANNEL_FILE, .version = (uint64_t)clock_monotonic_ns()};
	int fd = snapshot_seal(name, text);

	if (fd < 0)
		return errtext_set(e, fd, "%s: %s", name, strerror(-fd));
	snprintf(m.text, sizeof(m.text), "%s", name);
	int error = channel_send(keeper, &m, &fd, 1);
	close(fd);
	if (error)
		return errtext_set(
			e, error, "%s: the keeper cannot be asked: %s", name, strerror(-error));
	return receive_answer(keeper, m.version, name, e);
}

static int put_file(const struct haproxy_place *p, const char *name, struct slice text, mode_t mode,
	struct errtext *e)
{
	return p->keeper >= 0 ? ask_keeper(p->keeper, name, text, e)
			      : write_file(p->dir, name, text, mode, e);
}

/* The SPOE file first: a new relay.cfg never refers to an old one for longer than a rename. */
int haproxy_files_write(
	const struct haproxy_place *p, const struct haproxy_texts *t, struct errtext *e)
{
	int error = put_file(p, RENDER_SPOE_NAME, buffer_slice(&t->spoe), 0640, e);

	if (!error)
		error = put_file(p, RENDER_CFG_NAME, buffer_slice(&t->cfg), 0640, e);
	return error || p->keeper >= 0 ? error : sync_directory(p->dir, e);
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

int haproxy_ca_copies_init(struct haproxy_ca_copies *c, const struct haproxy_model *m)
{
	const struct haproxy_ca_file *files =
		(const struct haproxy_ca_file *)(const void *)m->ca_files.data;
	size_t count = m->ca_files.len / sizeof(*files);

	*c = (struct haproxy_ca_copies){.rows = calloc(count + 1, sizeof(*c->rows))};
	for (size_t i = 0; c->rows && i < count; i++) {
		struct haproxy_ca_copy *row = &c->rows[c->count++];
		row->name = strdup(files[i].path + strlen(m->render.output_dir) + 1);
		row->pem = strdup(files[i].pem);
		if (!row->name || !row->pem)
			break;
	}
	if (c->rows && (c->count == 0 || c->rows[c->count - 1].pem))
		return 0;
	haproxy_ca_copies_fini(c);
	return -ENOMEM;
}

void haproxy_ca_copies_fini(struct haproxy_ca_copies *c)
{
	for (size_t i = 0; i < c->count; i++) {
		free(c->rows[i].name);
		free(c->rows[i].pem);
	}
	free(c->rows);
	*c = (struct haproxy_ca_copies){NULL, 0};
}

int haproxy_files_write_ca(
	const struct haproxy_place *p, const struct haproxy_ca_copies *ca, struct errtext *e)
{
	for (size_t i = 0; i < ca->count; i++) {
		struct slice pem = slice_from_str(ca->rows[i].pem);
		if (file_is(p->dir, ca->rows[i].name, pem))
			continue;
		int error = put_file(p, ca->rows[i].name, pem, 0644, e);
		if (error)
			return error;
	}
	return 0;
}

/* --- checking --- */

void haproxy_files_drop_scratch(const char *dir)
{
	static const char *const names[] = {RENDER_CFG_NAME, RENDER_SPOE_NAME};
	char path[HAPROXY_FILES_PATH_MAX];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (path_of(dir, names[i], path, NULL) == 0)
			unlink(path);
	rmdir(dir);
}

int haproxy_files_make_scratch(const struct haproxy_place *p, char *out, struct errtext *e)
{
	int error = path_of(p->scratch, ".check-XXXXXX", out, e);

	if (error || mkdtemp(out))
		return error;
	return errtext_set(e, -errno, "%s: cannot be written to: %s", p->scratch, strerror(errno));
}

int haproxy_files_check(
	const char *dir, const struct haproxy_texts *t, const char *binary, struct errtext *e)
{
	const struct haproxy_place here = {.dir = dir, .keeper = -1};
	char path[HAPROXY_FILES_PATH_MAX];
	int error = haproxy_files_write(&here, t, e);

	if (!error)
		error = path_of(dir, RENDER_CFG_NAME, path, e);
	if (!error)
		error = runtime_check(binary, path, HAPROXY_FILES_CHECK_MS, e);
	haproxy_files_drop_scratch(dir);
	return error;
}
