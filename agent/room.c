#include "agent/room.h"

#include "common/step.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Never 0, which marks a free row. */
static uint64_t key_of(const uint8_t id[16])
{
	uint64_t key;

	memcpy(&key, id + 8, sizeof(key)); /* all ids of a moment begin alike */
	return key | 1;
}

int room_init(struct room *r)
{
	*r = (struct room){.waiters = calloc(ROOM_WAITERS_MAX, sizeof(*r->waiters)),
		.keys = calloc(ROOM_WAITERS_MAX, sizeof(*r->keys)),
		.queues = calloc(ROOM_WAITERS_MAX, sizeof(*r->queues))};
	if (!r->waiters || !r->keys || !r->queues) {
		room_fini(r);
		return -ENOMEM;
	}
	for (uint32_t i = ROOM_WAITERS_MAX; i-- > 0;) {
		r->waiters[i].next = r->free_waiters;
		r->free_waiters = &r->waiters[i];
		r->queues[i].next = r->free_queues;
		r->free_queues = &r->queues[i];
	}
	return 0;
}

void room_fini(struct room *r)
{
	free(r->waiters);
	free(r->keys);
	free(r->queues);
	*r = (struct room){0};
}

/* --- queues --- */

static struct room_queue *queue_find(const struct room *r, uint32_t tenant)
{
	for (struct room_queue *q = r->first; q; q = q->next) {
		if (q->tenant == tenant)
			return q;
	}
	return NULL;
}

static void queue_append(struct room *r, struct room_queue *q)
{
	q->next = NULL;
	q->previous = r->last;
	if (r->last)
		r->last->next = q;
	else
		r->first = q;
	r->last = q;
}

static void queue_unlink(struct room *r, struct room_queue *q)
{
	if (q->previous)
		q->previous->next = q->next;
	else
		r->first = q->next;
	if (q->next)
		q->next->previous = q->previous;
	else
		r->last = q->previous;
}

/*
 * There are as many queues as waiters, so a free waiter implies a free queue. Handles NULL all the
 * same.
 */
static struct room_queue *queue_of(struct room *r, uint32_t tenant)
{
	struct room_queue *q = queue_find(r, tenant);

	if (q || !r->free_queues)
		return q;
	q = r->free_queues;
	r->free_queues = q->next;
	*q = (struct room_queue){.tenant = tenant};
	queue_append(r, q);
	r->tenants++;
	return q;
}

static void queue_insert(struct room_queue *q, struct waiter *w)
{
	struct waiter *after = q->last;

	while (after && after->request.since_ms > w->request.since_ms)
		after = after->previous;
	w->previous = after;
	w->next = after ? after->next : q->first;
	if (w->next)
		w->next->previous = w;
	else
		q->last = w;
	if (after)
		after->next = w;
	else
		q->first = w;
	w->queue = q;
	q->count++;
}

static void queue_remove(struct room *r, struct waiter *w)
{
	struct room_queue *q = w->queue;

	if (w->previous)
		w->previous->next = w->next;
	else
		q->first = w->next;
	if (w->next)
		w->next->previous = w->previous;
	else
		q->last = w->previous;
	if (--q->count)
		return;
	queue_unlink(r, q);
	r->tenants--;
	q->next = r->free_queues;
	r->free_queues = q;
}

void room_pass_turn(struct room *r)
{
	struct room_queue *q = r->first;

	if (!q || !q->next)
		return;
	queue_unlink(r, q);
	queue_append(r, q);
}

/* --- waiters --- */

bool room_has_place(const struct room *r, uint32_t tenant)
{
	const struct room_queue *q = queue_find(r, tenant);

	return r->free_waiters && r->free_queues && (!q || q->count < ROOM_TENANT_WAITERS_MAX);
}

bool room_has_waiters(const struct room *r, enum room_reason reason, uint32_t what)
{
	return r->waiting_for[reason][what & (ROOM_COUNTS - 1)] != 0;
}

static bool keep(struct waiter *w, size_t *at, struct slice *text)
{
	if (text->n > sizeof(w->text) - *at)
		return false;
	if (text->n)
		memcpy(w->text + *at, text->p, text->n);
	text->p = w->text + *at;
	*at += text->n;
	return true;
}

static bool keep_texts(struct waiter *w)
{
	struct decide_request *q = &w->request;
	size_t at = 0;

	return keep(w, &at, &q->key) && keep(w, &at, &q->sticky) && keep(w, &at, &q->method) &&
		keep(w, &at, &q->path) && keep(w, &at, &q->label);
}

static void count(struct room *r, const struct waiter *w, int by)
{
	uint16_t *n = &r->waiting_for[w->reason][w->what & (ROOM_COUNTS - 1)];

	*n = (uint16_t)(*n + by);
}

struct waiter *room_add(struct room *r, const struct decide_request *request, uint32_t tenant,
	const struct room_seat *seat)
{
	struct waiter *w = r->free_waiters;

	if (!room_has_place(r, tenant))
		return NULL;
	struct waiter *next = w->next;
	w->request = *request;
	struct room_queue *q = keep_texts(w) ? queue_of(r, tenant) : NULL;
	if (!q)
		return NULL;
	r->free_waiters = next;
	w->seat = *seat;
	w->tenant = tenant;
	w->reason = ROOM_FOR_TENANT_SLOT;
	w->what = tenant;
	w->wake_ms = w->answer_ms = 0;
	r->keys[w - r->waiters] = key_of(request->id);
	queue_insert(q, w);
	count(r, w, 1);
	r->count++;
	return w;
}

void room_set_reason(struct room *r, struct waiter *w, enum room_reason reason, uint32_t what)
{
	count(r, w, -1);
	w->reason = reason;
	w->what = what;
	count(r, w, 1);
}

void room_remove(struct room *r, struct waiter *w)
{
	count(r, w, -1);
	queue_remove(r, w);
	r->keys[w - r->waiters] = 0;
	w->next = r->free_waiters;
	r->free_waiters = w;
	r->count--;
}

struct waiter *room_find(const struct room *r, const uint8_t id[16])
{
	uint64_t key = key_of(id);

	for (uint32_t i = 0; r->count && i < ROOM_WAITERS_MAX; i++) {
		struct waiter *w = &r->waiters[i];
		if (r->keys[i] == key && memcmp(w->request.id, id, sizeof(w->request.id)) == 0)
			return w;
	}
	return NULL;
}

static struct waiter *first_of_owner(const struct room *r, const void *owner)
{
	for (struct room_queue *q = r->first; q; q = q->next) {
		for (struct waiter *w = q->first; w; w = w->next) {
			if (w->seat.owner == owner)
				return w;
		}
	}
	return NULL;
}

bool room_has_owner(const struct room *r, const void *owner)
{
	return r->count && first_of_owner(r, owner);
}

void room_remove_owner(struct room *r, const void *owner)
{
	struct waiter *w;

	while (r->count && (w = first_of_owner(r, owner)))
		room_remove(r, w);
}

void room_shift(struct room *r, int64_t step_ms, int64_t now_ms)
{
	for (struct room_queue *q = r->first; q; q = q->next) {
		for (struct waiter *w = q->first; w; w = w->next) {
			w->request.since_ms = step_move(w->request.since_ms, step_ms, now_ms);
			w->wake_ms = step_move(w->wake_ms, step_ms, INT64_MAX);
			w->answer_ms = step_move(w->answer_ms, step_ms, INT64_MAX);
		}
	}
}
