#include "admin/publish/offload.h"

#include <ev.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#define STACK_SIZE ((size_t)1 << 20)

struct queue {
	struct offload_job *first, **tail;
};

struct offload {
	struct ev_loop *loop;
	ev_async finished;
	pthread_t thread;
	/* `lock` guards what follows */
	pthread_mutex_t lock;
	pthread_cond_t wanted;
	struct queue waiting;
	struct queue over;
	bool stopping;
};

static void queue_init(struct queue *q)
{
	q->first = NULL;
	q->tail = &q->first;
}

static void queue_put(struct queue *q, struct offload_job *job)
{
	job->next = NULL;
	*q->tail = job;
	q->tail = &job->next;
}

static struct offload_job *queue_take(struct queue *q)
{
	struct offload_job *job = q->first;

	if (!job)
		return NULL;
	q->first = job->next;
	if (!q->first)
		q->tail = &q->first;
	return job;
}

/* --- the thread --- */

/* NULL: the offload ends. */
static struct offload_job *wait_for_job(struct offload *o)
{
	struct offload_job *job = NULL;

	pthread_mutex_lock(&o->lock);
	while (!o->stopping && !(job = queue_take(&o->waiting)))
		pthread_cond_wait(&o->wanted, &o->lock);
	pthread_mutex_unlock(&o->lock);
	return job;
}

static void *run(void *context)
{
	struct offload *o = context;
	struct offload_job *job;

	while ((job = wait_for_job(o))) {
		job->work(job);
		pthread_mutex_lock(&o->lock);
		queue_put(&o->over, job);
		pthread_mutex_unlock(&o->lock);
		ev_async_send(o->loop, &o->finished);
	}
	return NULL;
}

/* Signals are for the loop's thread. */
static int start_thread(struct offload *o)
{
	pthread_attr_t attributes;
	sigset_t all;
	sigset_t before;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = pthread_create(&o->thread, &attributes, run, o);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return error;
}

/* --- the loop --- */

static struct offload_job *take_over(struct offload *o)
{
	pthread_mutex_lock(&o->lock);
	struct offload_job *job = queue_take(&o->over);
	pthread_mutex_unlock(&o->lock);
	return job;
}

static void on_finished(struct ev_loop *loop, ev_async *w, int events)
{
	struct offload *o = w->data;
	struct offload_job *job;

	(void)loop;
	(void)events;
	while ((job = take_over(o)))
		job->done(job, true);
}

struct offload *offload_new(struct ev_loop *loop)
{
	struct offload *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->loop = loop;
	pthread_mutex_init(&o->lock, NULL);
	pthread_cond_init(&o->wanted, NULL);
	queue_init(&o->waiting);
	queue_init(&o->over);
	ev_async_init(&o->finished, on_finished);
	o->finished.data = o;
	if (start_thread(o)) {
		free(o);
		return NULL;
	}
	ev_async_start(loop, &o->finished);
	return o;
}

void offload_free(struct offload *o)
{
	struct offload_job *job;

	if (!o)
		return;
	pthread_mutex_lock(&o->lock);
	o->stopping = true;
	pthread_cond_signal(&o->wanted);
	pthread_mutex_unlock(&o->lock);
	pthread_join(o->thread, NULL);
	ev_async_stop(o->loop, &o->finished);
	while ((job = queue_take(&o->over)))
		job->done(job, true);
	while ((job = queue_take(&o->waiting)))
		job->done(job, false);
	pthread_cond_destroy(&o->wanted);
	pthread_mutex_destroy(&o->lock);
	free(o);
}

void offload_run(struct offload *o, struct offload_job *job)
{
	if (!o) {
		job->work(job);
		job->done(job, true);
		return;
	}
	pthread_mutex_lock(&o->lock);
	queue_put(&o->waiting, job);
	pthread_cond_signal(&o->wanted);
	pthread_mutex_unlock(&o->lock);
}
