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

/* A copy of the CA files of a model. */
struct haproxy_ca_copies {
	struct haproxy_ca_copy {
		char *name, *pem;
	} * rows;
	size_t count;
};
int haproxy_ca_copies_init(struct haproxy_ca_copies *c, const struct haproxy_model *m);
void haproxy_ca_copies_fini(struct haproxy_ca_copies *c);

/* Writes the CA files; existing files stay unchanged. */
int haproxy_files_write_ca(
	const struct haproxy_place *p, const struct haproxy_ca_copies *ca, struct errtext *e);
/* Makes a temporary directory for a check, in `out` of HAPROXY_FILES_PATH_MAX. */
int haproxy_files_make_scratch(const struct haproxy_place *p, char *out, struct errtext *e);
/*
 * Lets HAProxy check texts that were rendered for this directory, which is removed. 0, or -EINVAL with
 * HAProxy's message.
 */
int haproxy_files_check(
	const char *dir, const struct haproxy_texts *t, const char *binary, struct errtext *e);
/* Removes the directory. */
void haproxy_files_drop_scratch(const char *dir);
/* Puts both files in place, durably. */
int haproxy_files_write(
	const struct haproxy_place *p, const struct haproxy_texts *t, struct errtext *e);
/* Whether the files in `dir` are these, byte for byte. */
bool haproxy_files_are(const char *dir, const struct haproxy_texts *t);

#endif
