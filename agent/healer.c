#include "agent/healer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint32_t buckets_for(uint32_t n)
{
	uint32_t buckets = 8;

	while (buckets < n * 2)
		buckets *= 2;
	return buckets;
}

int healer_init(struct healer *h, uint32_t leases, struct statefile_workers *workers)
{
	uint32_t buckets = buckets_for(leases);

	*h = (struct healer){.workers = workers, .found = calloc(leases, sizeof(*h->found))};
	h->now.triples = calloc(buckets, sizeof(*h->now.triples));
	h->before.triples = calloc(buckets, sizeof(*h->before.triples));
	if (!h->found || !h->now.triples || !h->before.triples) {
		healer_fini(h);
		return -ENOMEM;
	}
	return 0;
}

void healer_fini(struct healer *h)
{
	free(h->found);
	free(h->now.triples);
	free(h->before.triples);
	*h = (struct healer){0};
}

static enum lease_state state_of(const struct statefile_lease *lease)
{
	return (enum lease_state)atomic_load_explicit(&lease->state, memory_order_relaxed);
}

/* The triple, or the empty row for it. */
static struct healer_triple *find(
	const struct healer_table *t, uint32_t tenant, uint32_t key, uint32_t account)
{
	uint64_t hash = ((uint64_t)key << 32 | account) * 0x9e3779b97f4a7c15u;

	for (uint32_t at = (uint32_t)(hash >> 32) ^ tenant;; at++) {
		struct healer_triple *x = &t->triples[at & t->mask];
		if (x->held == 0 || (x->key == key && x->account == account && x->tenant == tenant))
			return x;
	}
}

static struct healer_triple *triple_of(
	const struct healer_table *t, const struct statefile_lease *lease)
{
	return find(t, lease->tenant, lease->key, lease->account);
}

static bool is_among(uint32_t worker, const uint32_t *workers, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (workers[i] == worker)
			return true;
	}
	return false;
}

/* A process that is no longer named has ended, if all are named that run. */
static void remember_workers(struct statefile_workers *w, const struct healer_reading *r)
{
	if (!r->head->is_whole)
		return;
	/* the processes of the HAProxy that control read before may still run */
	if (w->source != r->head->source)
		*w = (struct statefile_workers){.source = r->head->source};
	for (uint32_t i = 0; i < r->head->workers; i++) {
		if (is_among(r->workers[i], w->ids, STATEFILE_WORKERS))
			continue;
		w->ids[w->next % STATEFILE_WORKERS] = r->workers[i];
		w->next = (w->next + 1) % STATEFILE_WORKERS;
	}
}

bool healer_meet(struct healer *h, uint32_t worker)
{
	if (worker == h->asking || worker == 0)
		return false;
	h->asking = worker;
	if (is_among(worker, h->workers->ids, STATEFILE_WORKERS) ||
		is_among(worker, h->met, HEALER_MET))
		return false;
	h->met[h->met_next] = worker;
	h->met_next = (h->met_next + 1) % HEALER_MET;
	return true;
}

/*
 * Whether the lease belongs to the HAProxy of the reading: to one of its processes, or to one that has
 * ended. A lease that a reading has confirmed does, and so does one from before processes had ids.
 */
static bool is_of_reading(const struct healer *h, const struct healer_reading *r,
	const struct statefile_lease *lease, enum lease_state state)
{
	uint32_t worker = lease_worker(lease);

	if (is_among(worker, r->workers, r->head->workers))
		return true;
	return r->head->is_whole &&
		(worker == 0 || state == LEASE_CONFIRMED ||
			is_among(worker, h->workers->ids, STATEFILE_WORKERS));
}

/*
 * Whether HAProxy's gauge must show the request if it is still in progress. A further attempt
 * appears under its new account, from the beginning of that attempt.
 */
static bool is_told(
	const struct healer *h, const struct healer_reading *r, const struct statefile_lease *lease)
{
	int64_t begun = lease->again_ms ? lease->again_ms : lease->decided_ms;
	enum lease_state state = state_of(lease);

	return state != LEASE_FREE && begun <= r->head->begun_ms - HEALER_GRACE_MS &&
		is_of_reading(h, r, lease, state);
}

static void count_held(struct healer *h, const struct leases *l, const struct healer_reading *r)
{
	for (uint32_t i = 0; i < l->count; i++) {
		const struct statefile_lease *lease = &l->rows[i];
		if (!is_told(h, r, lease))
			continue;
		struct healer_triple *x = triple_of(&h->now, lease);
		x->tenant = lease->tenant;
		x->key = lease->key;
		x->account = lease->account;
		x->held++;
	}
}

static void count_gauge(struct healer *h, const struct healer_reading *r)
{
	for (uint32_t i = 0; i < r->head->rows; i++) {
		const struct gauge_row *row = &r->rows[i];
		struct healer_triple *x = find(&h->now, row->tenant, row->key, row->account);
		if (x->held)
			x->gauge += row->count;
	}
}

static uint32_t excess(const struct healer_triple *x)
{
	return x->held > x->gauge ? x->held - x->gauge : 0;
}

/* The excess that both this reading and the one before found. */
static uint32_t to_release(const struct healer *h, const struct healer_triple *x)
{
	uint32_t now = excess(x);
	const struct healer_triple *was =
		h->before.mask ? find(&h->before, x->tenant, x->key, x->account) : NULL;
	uint32_t before = was && was->held ? excess(was) : 0;

	return now < before ? now : before;
}

/* Newest first. */
static int by_age(const void *a, const void *b)
{
	const struct statefile_lease *left = ((const struct healer_found *)a)->lease;
	const struct statefile_lease *right = ((const struct healer_found *)b)->lease;

	if (left->decided_ms != right->decided_ms)
		return left->decided_ms > right->decided_ms ? -1 : 1;
	return left < right ? -1 : left > right;
}

/* Confirms leases that the gauge shows, and collects those that may be released. */
static void sort_out(struct healer *h, struct leases *l, const struct healer_reading *r)
{
	h->found_count = 0;
	for (uint32_t i = 0; i < l->count; i++) {
		struct statefile_lease *lease = &l->rows[i];
		if (!is_told(h, r, lease))
			continue;
		const struct healer_triple *x = triple_of(&h->now, lease);
		if (x->release)
			h->found[h->found_count++].lease = lease;
		else if (excess(x) == 0 && state_of(lease) == LEASE_DECIDED)
			lease_confirm(lease);
	}
	qsort(h->found, h->found_count, sizeof(*h->found), by_age);
}

static uint32_t release_found(struct healer *h, healer_release_fn *release, void *context)
{
	uint32_t released = 0;

	for (uint32_t i = 0; i < h->found_count; i++) {
		struct healer_triple *x = triple_of(&h->now, h->found[i].lease);
		if (x->release == 0)
			continue;
		bool is_gone = x->gauge == 0;
		x->release--;
		/* the next reading must not count it again; 0 would end a probe sequence early */
		if (x->held > 1)
			x->held--;
		else
			x->gauge = x->held;
		release(context, h->found[i].lease, is_gone);
		released++;
	}
	return released;
}

uint32_t healer_compare(struct healer *h, struct leases *l, const struct healer_reading *reading,
	healer_release_fn *release, void *context)
{
	struct healer_table free_table = h->before;

	h->before = h->now;
	h->now = free_table;
	h->now.mask = buckets_for(l->used) - 1;
	memset(h->now.triples, 0, ((size_t)h->now.mask + 1) * sizeof(*h->now.triples));
	remember_workers(h->workers, reading);
	count_held(h, l, reading);
	count_gauge(h, reading);
	for (uint32_t i = 0; i <= h->now.mask; i++) {
		if (h->now.triples[i].held)
			h->now.triples[i].release = to_release(h, &h->now.triples[i]);
	}
	sort_out(h, l, reading);
	return release_found(h, release, context);
}

uint32_t healer_expire(struct leases *l, int64_t now_ms, healer_release_fn *release, void *context)
{
	uint32_t released = 0;

	for (uint32_t i = 0; i < l->count; i++) {
		struct statefile_lease *lease = &l->rows[i];
		if (state_of(lease) != LEASE_DECIDED || now_ms - lease->decided_ms < HEALER_AGE_MS)
			continue;
		release(context, lease, false);
		released++;
	}
	return released;
}
