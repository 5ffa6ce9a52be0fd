/* `relayadm backup`: makes a consistent copy beside the store, sends it, and deletes it. */
#include "admin/api/deferred.h"
#include "admin/api/handlers.h"
#include "admin/publish/offload.h"
#include "admin/store/store.h"
#include "common/errtext.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BACKUP_MAX ((size_t)1 << 30)
#define PATH_SIZE 4096

/* A large store takes seconds: on the thread, through a connection of the thread's. */
struct backup {
	struct offload_job job;
	struct control *control;
	struct deferred *deferred;
	char url[CONFIG_TEXT_MAX];
	char path[PATH_SIZE];
	bool is_alone; /* the file may be gone or another one: only the store's own connection has it */
	int error;
	struct errtext why;
	struct buffer bytes;
};

static void read_copy(struct backup *b)
{
	if (!b->error) {
		buffer_init(&b->bytes, BACKUP_MAX);
		b->error = buffer_read_file(&b->bytes, b->path, BACKUP_MAX);
		if (b->error)
			errtext_set(&b->why, b->error, "the copy cannot be read: %s",
				strerror(-b->error));
	}
	unlink(b->path);
}

static void work(struct offload_job *job)
{
	struct backup *b = (struct backup *)job;

	unlink(b->path); /* a copy that a killed process left */
	b->error = b->is_alone ? -EAGAIN : store_backup_of(b->url, b->path, &b->why);
	if (b->error != -EAGAIN)
		read_copy(b);
}

static void done(struct offload_job *job, bool ran)
{
	struct backup *b = (struct backup *)job;

	if (!ran)
		b->error = errtext_set(&b->why, -EPIPE, "the relay stops");
	if (b->error == -EAGAIN) {
		b->error = store_backup(b->control->store, b->path, &b->why);
		read_copy(b);
	}
	if (!b->error)
		deferred_put_bytes(b->deferred, &b->bytes);
	deferred_finish(b->deferred, b->error, b->why.text);
	buffer_fini(&b->bytes);
	free(b);
}

static int start(struct request *r, struct backup *b)
{
	const struct config *c = &r->control->config;

	if (config_state_path(c, "backup.tmp", b->path, sizeof(b->path)))
		return errtext_set(&r->error, -ENAMETOOLONG, "the path of the copy is too long");
	b->deferred = deferred_new(r);
	if (!b->deferred)
		return errtext_set(&r->error, -ENOMEM, "out of memory");
	snprintf(b->url, sizeof(b->url), "%s", c->store_url.s);
	b->is_alone = !store_is_up(r->control->store);
	offload_run(r->control->copier, &b->job);
	return 0;
}

int backup_make(struct request *r)
{
	struct backup *b = calloc(1, sizeof(*b));

	if (!b)
		return errtext_set(&r->error, -ENOMEM, "out of memory");
	b->job = (struct offload_job){.work = work, .done = done};
	b->control = r->control;
	int error = start(r, b);
	if (error)
		free(b);
	return error;
}
