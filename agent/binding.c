#include "agent/binding.h"

#include "common/staterow.h"
#include "common/step.h"

#include <stddef.h>

#define TENANT_FACTOR 2654435761u /* spreads the ids of tenants */

void bindings_init(struct bindings *b, struct statefile_binding *rows, uint32_t count)
{
	*b = (struct bindings){rows, count / STATEFILE_BINDING_WAYS};
}

/* --- one row --- */

static uint32_t load(const struct statefile_binding *row)
{
	return atomic_load_explicit(&row->state, memory_order_relaxed);
}

static enum binding_state state_of(const struct statefile_binding *row)
{
	return (enum binding_state)(load(row) & BINDING_STATE_MASK);
}

static void set_state(struct statefile_binding *row, enum binding_state state, uint32_t before)
{
	atomic_store_explicit(
		&row->state, state | before << BINDING_BEFORE_SHIFT, memory_order_release);
	/* the compiler must not move later stores before this one */
	atomic_signal_fence(memory_order_seq_cst);
}

static bool is_answered(const struct statefile_binding *row)
{
	return !(row->used & BINDING_UNANSWERED);
}

static uint64_t tenant_of(const struct statefile_binding *row)
{
	return row->used >> BINDING_TENANT_SHIFT;
}

static uint64_t tenant_hash(uint32_t tenant)
{
	return tenant * TENANT_FACTOR >> (32 - BINDING_TENANT_BITS);
}

/* Never 0 in its time. */
static uint64_t used_now(const struct binding_key *key, bool answered)
{
	uint64_t time = key->now_ms > 0 ? (uint64_t)key->now_ms & BINDING_TIME_MASK : 0;

	return (time ? time : 1) | (answered ? 0 : BINDING_UNANSWERED) |
		tenant_hash(key->tenant) << BINDING_TENANT_SHIFT;
}

static bool is_held(const struct statefile_binding *row, const struct binding_key *key)
{
	int64_t used_ms = (int64_t)(row->used & BINDING_TIME_MASK);
	bool expired = key->now_ms > used_ms && (uint64_t)(key->now_ms - used_ms) >= key->ttl_ms;

	return state_of(row) != BINDING_FREE && !expired;
}

/* --- the bucket --- */

static struct statefile_binding *bucket_of(const struct bindings *b, const struct binding_key *key)
{
	return b->rows + (key->conversation % b->buckets) * STATEFILE_BINDING_WAYS;
}

static struct statefile_binding *find(const struct bindings *b, const struct binding_key *key)
{
	struct statefile_binding *bucket = bucket_of(b, key);

	for (uint32_t i = 0; i < STATEFILE_BINDING_WAYS; i++) {
		if (is_held(&bucket[i], key) && bucket[i].conversation == key->conversation)
			return &bucket[i];
	}
	return NULL;
}

/* Rows of the tenant in the bucket; a new row is counted with those of its tenant. */
static uint32_t rows_of(
	const struct statefile_binding *bucket, uint64_t tenant, const struct binding_key *key)
{
	uint32_t count = tenant == tenant_hash(key->tenant);

	for (uint32_t i = 0; i < STATEFILE_BINDING_WAYS; i++)
		count += tenant_of(&bucket[i]) == tenant;
	return count;
}

static struct statefile_binding *place_for(const struct bindings *b, const struct binding_key *key)
{
	struct statefile_binding *bucket = bucket_of(b, key);
	struct statefile_binding *place = NULL;
	uint32_t most = 0;

	for (uint32_t i = 0; i < STATEFILE_BINDING_WAYS; i++) {
		/* an expired row of the conversation would be a second one if the time to live rose */
		if (state_of(&bucket[i]) != BINDING_FREE &&
			bucket[i].conversation == key->conversation)
			return &bucket[i];
	}
	for (uint32_t i = 0; i < STATEFILE_BINDING_WAYS; i++) {
		if (!is_held(&bucket[i], key))
			return &bucket[i];
	}
	for (uint32_t i = 0; i < STATEFILE_BINDING_WAYS; i++) {
		struct statefile_binding *row = &bucket[i];
		uint32_t count = rows_of(bucket, tenant_of(row), key);
		bool older = place &&
			(row->used & BINDING_TIME_MASK) < (place->used & BINDING_TIME_MASK);
		if (count < most || (count == most && !older))
			continue;
		place = row;
		most = count;
	}
	return place;
}

/* --- changes: a kill leaves each row whole or free --- */

static void put(struct bindings *b, const struct binding_key *key, uint32_t account, bool answered,
	enum binding_state state)
{
	struct statefile_binding *row = place_for(b, key);

	staterow_open(STATEROW(row));
	set_state(row, BINDING_FREE, 0);
	row->conversation = key->conversation;
	row->account = account;
	row->used = used_now(key, answered);
	set_state(row, state, 0);
	staterow_seal(STATEROW(row));
}

static void rebind(struct statefile_binding *row, uint32_t account, uint64_t used,
	enum binding_state state, uint32_t before)
{
	staterow_open(STATEROW(row));
	set_state(row, BINDING_FREE, 0);
	row->account = account;
	row->used = used;
	set_state(row, state, before & BINDING_STATE_MASK);
	staterow_seal(STATEROW(row));
}

static void use(struct statefile_binding *row, uint64_t used)
{
	staterow_open(STATEROW(row));
	row->used = used;
	staterow_seal(STATEROW(row));
}

static void pin(struct statefile_binding *row)
{
	staterow_open(STATEROW(row));
	set_state(row, BINDING_PINNED, 0);
	staterow_seal(STATEROW(row));
}

/* --- interface --- */

void bindings_shift(struct bindings *b, int64_t step_ms, int64_t now_ms)
{
	for (uint32_t i = 0; i < b->buckets * STATEFILE_BINDING_WAYS; i++) {
		struct statefile_binding *row = &b->rows[i];
		uint64_t rest = row->used & ~BINDING_TIME_MASK;
		int64_t used_ms = (int64_t)(row->used & BINDING_TIME_MASK);
		if (state_of(row) != BINDING_FREE)
			use(row, (uint64_t)step_move(used_ms, step_ms, now_ms) | rest);
	}
}

struct binding binding_find(const struct bindings *b, const struct binding_key *key)
{
	const struct statefile_binding *row = find(b, key);

	if (!row)
		return (struct binding){.account = 0};
	return (struct binding){
		.account = row->account,
		.answered = is_answered(row),
		.pinned = state_of(row) == BINDING_PINNED,
		.before = (uint16_t)(load(row) >> BINDING_BEFORE_SHIFT),
	};
}

void binding_use(struct bindings *b, const struct binding_key *key, uint32_t account)
{
	struct statefile_binding *row = find(b, key);

	if (row)
		use(row, used_now(key, is_answered(row)));
	else
		put(b, key, account, false, BINDING_HELD);
}

void binding_follow(struct bindings *b, const struct binding_key *key, uint32_t account)
{
	struct statefile_binding *row = find(b, key);

	if (!row)
		put(b, key, account, false, BINDING_HELD);
	else if (row->account == account || is_answered(row) || state_of(row) == BINDING_PINNED)
		use(row, used_now(key, is_answered(row)));
	else
		rebind(row, account, used_now(key, false), BINDING_HELD, 0);
}

bool binding_answered(
	struct bindings *b, const struct binding_key *key, uint32_t from, uint32_t account)
{
	struct statefile_binding *row = find(b, key);

	if (!row) {
		put(b, key, account, true, BINDING_HELD);
		return false;
	}
	if (row->account == account) {
		use(row, used_now(key, true));
		return false;
	}
	if (!is_answered(row)) {
		rebind(row, account, used_now(key, true), BINDING_HELD, 0);
		return false;
	}
	if (row->account != from || state_of(row) == BINDING_PINNED)
		return false;
	rebind(row, account, used_now(key, true), BINDING_HELD, from);
	return true;
}

void binding_pin(struct bindings *b, const struct binding_key *key, uint32_t account)
{
	struct statefile_binding *row = find(b, key);

	if (!row)
		put(b, key, account, true, BINDING_PINNED);
	else if (row->account == account)
		pin(row);
	else
		rebind(row, account, used_now(key, true), BINDING_PINNED, 0);
}
