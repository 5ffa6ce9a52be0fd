/*
 * The renderer's model, filled from the store and the configuration. A model owns the texts that it
 * points to; haproxy_model_fini() frees them.
 */
#ifndef RELAY_ADMIN_PUBLISH_HAPROXY_MODEL_H
#define RELAY_ADMIN_PUBLISH_HAPROXY_MODEL_H

#include "common/errtext.h"
#include "common/record.h"
#include "haproxy/render.h"

#include <json-c/json.h>

struct control;

#define HAPROXY_MODEL_LIST_MAX 128 /* header names in one list */

struct haproxy_list {
	const char *items[HAPROXY_MODEL_LIST_MAX];
	size_t count;
};

struct haproxy_model {
	struct render_model render;
	struct address spop[ADDRESS_LIST_MAX];
	struct address check;
	char secret[RECORD_SECRET_SIZE]; /* of this generation's records */
	struct haproxy_list headers;
	struct haproxy_list request_deny, request_allow, response_deny, response_allow;
	struct buffer backends; /* struct render_backend */
	struct buffer nodes;	/* struct render_node */
	struct buffer internal; /* the same, for control's own requests */
	struct buffer texts;	/* char *, each malloc'd */
	struct buffer ca_files; /* struct haproxy_ca_file */
};

/* To be written before HAProxy reads the files; borrowed from the model. */
struct haproxy_ca_file {
	const char *path;
	const char *pem;
};

/*
 * `options` as haproxy_sync_render() takes them. The rows are those open in the store; `gen` is the
 * number they will have.
 */
int haproxy_model_init(struct haproxy_model *m, struct control *c, struct json_object *options,
	uint64_t gen, struct errtext *e);
void haproxy_model_fini(struct haproxy_model *m);
/* [haproxy] output_dir, or the `out` of the options; "" = neither. Borrowed from them. */
const char *haproxy_model_output_dir(const struct config *config, struct json_object *options);
/* HAProxy's chroot as the options have it, given or found; NULL = none. Borrowed from them. */
const char *haproxy_model_chroot(struct json_object *options);

#endif
