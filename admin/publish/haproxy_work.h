/*
 * The parts of a change that may block, as jobs for a thread (offload.h): HAProxy's check of a configuration,
 * the writing of its files, its sockets. A job has copies of all it reads.
 */
#ifndef RELAY_ADMIN_PUBLISH_HAPROXY_WORK_H
#define RELAY_ADMIN_PUBLISH_HAPROXY_WORK_H

#include "admin/publish/haproxy_files.h"
#include "admin/publish/offload.h"
#include "common/config.h"
#include "common/errtext.h"
#include "haproxy/runtime.h"

#include <stdbool.h>
#include <stdint.h>

struct haproxy_sync;

/* What HAProxy said last. */
struct haproxy_look {
	uint64_t gen; /* that it has loaded; 0 = not known */
	bool answers; /* `status` is valid */
	struct runtime_status status;
};
struct haproxy_look haproxy_look_now(const struct config *c);

/* Where the files are, in copies. */
struct haproxy_where {
	char dir[HAPROXY_FILES_PATH_MAX];
	char scratch[HAPROXY_FILES_PATH_MAX];
	int keeper;
};
void haproxy_where_set(struct haproxy_where *w, const struct haproxy_place *p);

/* Checks a new configuration, or with `path` the files there. */
struct haproxy_checking {
	struct offload_job job;
	struct config config;
	struct haproxy_where where;
	struct haproxy_ca_copies ca;
	char dir[HAPROXY_FILES_PATH_MAX]; /* for the check; removed */
	struct haproxy_texts texts;	  /* rendered for `dir` */
	char path[HAPROXY_FILES_PATH_MAX];
	int error;
	struct errtext why;
	/* the caller's */
	struct haproxy_sync *owner;
	void (*told)(void *context, int error, const struct errtext *why);
	void *context;
};
void haproxy_checking_work(struct offload_job *job);
void haproxy_checking_free(struct haproxy_checking *c);

/* Brings the files and HAProxy up to date, in this order: ask, write, reload. */
struct haproxy_forcing {
	struct offload_job job;
	struct config config;
	struct haproxy_where where;
	uint64_t gen;	/* the newest */
	bool connected; /* an HAProxy is connected to the agent */
	bool asks; /* whether HAProxy has the newest generation already: then it is not reloaded */
	bool needs_answer; /* without one, nothing more is done */
	bool writes;
	bool reloads;
	struct haproxy_texts texts;
	/* results */
	int loaded; /* 1: it has the newest generation; 0: an older one, or it was not asked; or negative */
	struct errtext loaded_why;
	int write_error;
	int reload_error;
	struct errtext why; /* of either */
	bool runs;	    /* after a failed reload: some HAProxy works with earlier files */
	struct haproxy_look look;
};
void haproxy_forcing_work(struct offload_job *job);

#endif
