/* HAProxy's files on disk: checked in a separate directory first, then put in place atomically. */
#ifndef RELAY_ADMIN_PUBLISH_HAPROXY_FILES_H
#define RELAY_ADMIN_PUBLISH_HAPROXY_FILES_H

#include "admin/publish/haproxy_model.h"
#include "common/buffer.h"
#include "common/errtext.h"

#include <stdbool.h>

#define HAPROXY_FILES_PATH_MAX 1200
#define HAPROXY_FILES_CHECK_MS 10000

/* The texts of the two files. */
struct haproxy_texts {
	struct buffer cfg;
	struct buffer spoe;
};

void haproxy_texts_fini(struct haproxy_texts *t);
int haproxy_texts_render(struct haproxy_texts *t, const struct render_model *m, struct errtext *e);

/*
 * The keeper writes to a configured directory, after a separate check: HAProxy's master, which may be root,
 * reads what is there. Without one, control writes with its own rights.
 */
struct haproxy_place {
	const char *dir;
	int keeper;	     /* channel to the keeper's writer; -1 = control writes */
	const char *scratch; /* existing directory of control's, for checks */
};

/* Writes the CA files that the model names; existing files stay unchanged. */
int haproxy_files_write_ca(
	const struct haproxy_place *p, const struct haproxy_model *m, struct errtext *e);
/*
 * Lets HAProxy check the configuration in a temporary directory below `scratch`, which is removed again. 0, or
 * -EINVAL with HAProxy's message.
 */
int haproxy_files_check(const struct haproxy_place *p, const struct haproxy_model *m,
	const char *binary, struct errtext *e);
/* Puts both files in place, durably. */
int haproxy_files_write(
	const struct haproxy_place *p, const struct haproxy_texts *t, struct errtext *e);
/* Whether the files in `dir` are these, byte for byte. */
bool haproxy_files_are(const char *dir, const struct haproxy_texts *t);

#endif
