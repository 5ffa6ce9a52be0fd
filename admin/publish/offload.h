/*
 * A thread for work that may block: HAProxy's sockets and its check of a configuration, files on a slow
 * disk. Jobs run one after the other, in the order they came. A job has its own copy of all it reads, and
 * touches neither the store nor anything of the loop.
 */
#ifndef RELAY_ADMIN_PUBLISH_OFFLOAD_H
#define RELAY_ADMIN_PUBLISH_OFFLOAD_H

#include <stdbool.h>

struct ev_loop;
struct offload;

/* Part of the caller's own struct, which lives until `done`. */
struct offload_job {
	/* On the thread. */
	void (*work)(struct offload_job *job);
	/* On the loop. `ran` is false if the offload ended before. May free the job. */
	void (*done)(struct offload_job *job, bool ran);
	struct offload_job *next; /* the offload's */
};

/* NULL: no memory or no thread. */
struct offload *offload_new(struct ev_loop *loop);
/* Waits for the job in progress; ends the others. NULL is fine. */
void offload_free(struct offload *o);
/* Without an offload (NULL, tests), all is done at once. */
void offload_run(struct offload *o, struct offload_job *job);

#endif
