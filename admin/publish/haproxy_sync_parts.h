/* What the files of haproxy_sync.h share: haproxy_sync.c renders, haproxy_force.c brings into force. */
#ifndef RELAY_ADMIN_PUBLISH_HAPROXY_SYNC_PARTS_H
#define RELAY_ADMIN_PUBLISH_HAPROXY_SYNC_PARTS_H

#include "admin/publish/haproxy_sync.h"
#include "admin/publish/haproxy_work.h"

#include <openssl/sha.h>

#define HAPROXY_SYNC_LOADED                                                                        \
	"haproxy.loaded" /* setting: the generation that HAProxy was seen to have */
#define HASH_SIZE (2 * SHA256_DIGEST_LENGTH + 1)

/* The first half of a change. */
struct preparing {
	struct json_object *options; /* those of before, or of `haproxy render` */
	haproxy_prepared_fn *done;
	void *context;
	int tries;
	char checked[HASH_SIZE]; /* hash of the texts that HAProxy checks; "" = none */
	char accepted[HASH_SIZE];
};

struct haproxy_sync {
	struct control *control;
	struct json_object *options; /* NULL = never rendered */
	struct haproxy_texts texts;  /* of the newest generation, when `unwritten` */
	bool unwritten;
	bool failed;   /* the last rendering failed: the files lack changes of the store */
	bool pending;  /* HAProxy has not loaded the newest generation yet */
	bool deferred; /* by --no-reload: the timer does not reload */
	bool promised; /* changes wait for the shared reload; --no-reload does not put it off */
	int64_t reloaded_ms; /* when a change reloaded HAProxy, monotonic; 0 = never */
	struct errtext error;
	struct preparing preparing;
	struct haproxy_look look;
	bool forcing; /* a job writes or reloads: what HAProxy says meanwhile is not the end of it */
};

/* Directory of the files; "" = never rendered. */
const char *haproxy_sync_output_dir(const struct haproxy_sync *h);
struct haproxy_place haproxy_sync_place(const struct haproxy_sync *h, struct json_object *options);
/* Logs it, unless it is the last one again. */
void haproxy_sync_note(struct haproxy_sync *h, const struct errtext *e);
/* The setting; 0 = none. */
uint64_t haproxy_sync_loaded(struct store *s);
/* HAProxy has the newest generation. */
void haproxy_sync_mark_loaded(struct haproxy_sync *h);

#endif
