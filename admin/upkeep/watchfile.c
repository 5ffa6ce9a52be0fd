#include "admin/upkeep/watchfile.h"

#include "admin/control.h"
#include "admin/publish/change.h"
#include "admin/store/names.h"
#include "admin/store/notices.h"
#include "admin/store/sql.h"
#include "admin/store/store.h"
#include "admin/upkeep/account_credential.h"
#include "common/clock.h"
#include "common/errtext.h"
#include "common/log.h"
#include "common/provider.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define POLL_S 2.0
#define FAILURES_TOLD 2 /* in a row, before a notice: one look may see a partial write */

/* Attributes of a file at its last read. */
struct look {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec changed;
};

struct watched {
	int64_t account;
	char name[NAMES_SIZE];
	char *path;
	const struct provider *provider; /* NULL = unknown */
	struct look look;		 /* zeroed = never read */
	uint32_t failures;
};

struct watchfile {
	struct control *control;
	ev_timer timer;
	struct watched *rows; /* sorted by account */
	size_t count;
};

/* --- rows --- */

static void free_rows(struct watched *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(rows[i].path);
	free(rows);
}

static struct watched *find(struct watchfile *w, int64_t account)
{
	for (size_t i = 0; i < w->count; i++)
		if (w->rows[i].account == account)
			return &w->rows[i];
	return NULL;
}

struct filling {
	struct watchfile *watchfile;
	struct watched *rows;
	size_t count, max;
};

static int fill(struct row *row, void *context)
{
	struct filling *f = context;
	struct slice path = row_text(row, "watch_path");
	const struct watched *known = find(f->watchfile, row_number(row, "id"));

	if (f->count == f->max)
		return 0;
	struct watched *one = &f->rows[f->count++];
	*one = (struct watched){.account = row_number(row, "id")};
	one->provider = provider_find(row_text(row, "provider"));
	row_copy(row, "name", one->name, sizeof(one->name));
	one->path = strndup(path.p, path.n);
	if (!one->path)
		return -ENOMEM;
	if (known && strcmp(known->path, one->path) == 0) {
		one->look = known->look;
		one->failures = known->failures;
	}
	return 0;
}

static int read_rows(struct filling *f, struct store *s, struct errtext *e)
{
	return sql_each(s, e, fill, f,
		"SELECT a.id, a.name, a.watch_path, u.provider FROM accounts a"
		" JOIN upstreams u ON u.id = a.upstream_id WHERE a.source = 'watch' ORDER BY a.id",
		"");
}

static int load_rows(struct watchfile *w, struct errtext *e)
{
	struct store *s = w->control->store;
	int64_t count = 0;
	int error = sql_number(
		s, e, &count, "SELECT count(*) FROM accounts WHERE source = 'watch'", "");
	struct filling f = {.watchfile = w, .max = (size_t)count};

	f.rows = error ? NULL : calloc(f.max + 1, sizeof(*f.rows));
	if (!f.rows)
		return error ? error : -ENOMEM;
	error = read_rows(&f, s, e);
	if (error) {
		free_rows(f.rows, f.count);
		return error;
	}
	free_rows(w->rows, w->count);
	w->rows = f.rows;
	w->count = f.count;
	return 0;
}

/* --- tokens --- */

bool watchfile_is_newer(const struct credential_file *file, const struct credential *stored)
{
	if (slice_eq(file->access_token, buffer_slice(&stored->value)))
		return false;
	if (file->last_refresh_ms > stored->updated_ms)
		return true;
	/* Token times are whole seconds: two of the same second count as equal. */
	if (file->expires_ms && stored->expires_ms)
		return file->expires_ms >= stored->expires_ms;
	return !file->expires_ms && !file->last_refresh_ms;
}

static int put_tokens(struct control *c, const struct watched *row, const struct credential_file *a,
	struct errtext *e)
{
	int error = store_begin(c->store, e);

	if (error)
		return error;
	error = account_credential_take(c->store, c->vault, row->account, a, e);
	if (!error)
		error = store_bump_version(c->store, e);
	if (error) {
		store_rollback(c->store);
		return error;
	}
	return store_commit(c->store, e);
}

static int take_tokens(struct control *c, const struct watched *row,
	const struct credential_file *a, struct errtext *e)
{
	struct credential stored;
	int error = credential_get(
		c->store, c->vault, row->account, CREDENTIAL_ACCESS_TOKEN, &stored, e);
	bool wanted = error == -ENOENT || (!error && watchfile_is_newer(a, &stored));

	credential_fini(&stored);
	if (!wanted)
		return error;
	error = put_tokens(c, row, a, e);
	if (error)
		return error;
	log_event(LOG_LEVEL_INFO, "newer tokens taken from a watched file",
		LOG_STR("account", row->name));
	return change_publish(c, CHANGE_AGENT, NULL, NULL);
}

/* --- files --- */

static int open_regular(const char *path, struct stat *ret, struct errtext *e)
{
	/* A FIFO must not block, and a terminal must not become the controlling one. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 || fstat(fd, ret) < 0) {
		int error = -errno;
		if (fd >= 0)
			close(fd);
		return errtext_set(e, error, "%s", strerror(-error));
	}
	if (S_ISREG(ret->st_mode))
		return fd;
	close(fd);
	return errtext_set(e, -EINVAL, "not a regular file");
}

static int read_file(struct control *c, const struct watched *row, int fd, struct errtext *e)
{
	struct buffer text = {0};
	struct credential_file a = {0};
	int error = buffer_read_fd(&text, fd, CREDENTIAL_FILE_MAX);

	if (error)
		errtext_set(e, error, "%s", error == -EFBIG ? "file too large" : strerror(-error));
	else if (!row->provider)
		error = errtext_set(e, -EINVAL, "the provider of its upstream is unknown");
	else
		error = credential_file_parse(
			row->provider, buffer_slice(&text), clock_wall_ms(), &a, e);
	buffer_fini(&text);
	if (error)
		return error;
	error = account_credential_check_watched(&a, e);
	if (!error)
		error = take_tokens(c, row, &a, e);
	credential_file_fini(&a);
	return error;
}

static struct look look_of(const struct stat *st)
{
	return (struct look){st->st_dev, st->st_ino, st->st_size, st->st_mtim};
}

static bool is_same(const struct look *a, const struct look *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
		a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

/* 1: unchanged since the last read. */
static int visit(struct control *c, struct watched *row, struct errtext *e)
{
	struct stat st;
	int fd = open_regular(row->path, &st, e);

	if (fd < 0)
		return fd;
	const struct look look = look_of(&st);
	int error = 1;
	if (row->failures || !is_same(&look, &row->look))
		error = read_file(c, row, fd, e);
	if (!error)
		row->look = look;
	close(fd);
	return error;
}

static void note_success(struct control *c, struct watched *row)
{
	char subject[NOTICES_SUBJECT_SIZE];

	if (row->failures >= FAILURES_TOLD)
		log_event(LOG_LEVEL_INFO, "watched file readable again",
			LOG_STR("account", row->name));
	row->failures = 0;
	notices_resolve(c->store, NOTICE_WATCH_FAILED,
		notices_subject("account", row->name, subject), NULL);
}

static void note_failure(struct control *c, struct watched *row, const struct errtext *why)
{
	char subject[NOTICES_SUBJECT_SIZE];
	char message[NOTICES_MESSAGE_MAX];

	if (++row->failures != FAILURES_TOLD)
		return;
	snprintf(message, sizeof(message), "the watched credential file is unusable: %.400s",
		why->text);
	notices_raise(c->store, NOTICE_WATCH_FAILED, notices_subject("account", row->name, subject),
		message, NULL);
}

void watchfile_poll(struct watchfile *w)
{
	struct errtext e = {""};

	if (load_rows(w, &e))
		return;
	for (size_t i = 0; i < w->count; i++) {
		int error = visit(w->control, &w->rows[i], &e);
		if (error < 0)
			note_failure(w->control, &w->rows[i], &e);
		else if (error == 0)
			note_success(w->control, &w->rows[i]);
	}
}

/* --- start and end --- */

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	watchfile_poll(timer->data);
}

struct watchfile *watchfile_new(struct control *c)
{
	struct watchfile *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->control = c;
	ev_timer_init(&w->timer, on_timer, 0, POLL_S);
	w->timer.data = w;
	ev_timer_start(c->loop, &w->timer);
	return w;
}

void watchfile_free(struct watchfile *w)
{
	if (!w)
		return;
	ev_timer_stop(w->control->loop, &w->timer);
	free_rows(w->rows, w->count);
	free(w);
}
