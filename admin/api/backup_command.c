/* `relayadm backup`: makes a consistent copy beside the store, sends it, and deletes it. */
#include "admin/api/handlers.h"
#include "admin/store/store.h"
#include "common/errtext.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define BACKUP_MAX ((size_t)1 << 30)

int backup_make(struct request *r)
{
	char name[64];
	char path[4096];

	snprintf(name, sizeof(name), "backup-%d.tmp", (int)getpid());
	if (config_state_path(&r->control->config, name, path, sizeof(path)))
		return errtext_set(&r->error, -ENAMETOOLONG, "the path of the copy is too long");
	unlink(path); /* a copy that a killed process left */
	int error = store_backup(r->control->store, path, &r->error);
	if (error)
		return error;
	buffer_init(&r->bytes, BACKUP_MAX);
	error = buffer_read_file(&r->bytes, path, BACKUP_MAX);
	unlink(path);
	return error
		? errtext_set(&r->error, error, "the copy cannot be read: %s", strerror(-error))
		: 0;
}
