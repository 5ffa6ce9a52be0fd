#include "agent/binding.h"

#include <stdbool.h>
#include <stddef.h>

void bindings_init(struct bindings *b, struct statefile_binding *rows, uint32_t count)
{
	*b = (struct bindings){rows, count / STATEFILE_BINDING_WAYS};
}

static struct statefile_binding *bucket_of(const struct bindings *b, uint64_t conversation)
{
	return b->rows + (conversation % b->buckets) * STATEFILE_BINDING_WAYS;
}

static bool is_held(const struct statefile_binding *row)
{
	return atomic_load_explicit(&row->state, memory_order_relaxed) == BINDING_HELD;
}

static struct statefile_binding *find(const struct bindings *b, uint64_t conversation)
{
	struct statefile_binding *bucket = bucket_of(b, conversation);

	for (uint32_t i = 0; i < STATEFILE_BINDING_WAYS; i++) {
		if (is_held(&bucket[i]) && bucket[i].conversation == conversation)
			return &bucket[i];
	}
	return NULL;
}

uint32_t binding_find(
	const struct bindings *b, uint64_t conversation, int64_t now_ms, uint64_t ttl_ms)
{
	const struct statefile_binding *row = find(b, conversation);

	if (!row || (now_ms > row->used_ms && (uint64_t)(now_ms - row->used_ms) >= ttl_ms))
		return 0;
	return row->account;
}

static struct statefile_binding *place_for(const struct bindings *b, uint64_t conversation)
{
	struct statefile_binding *bucket = bucket_of(b, conversation);
	struct statefile_binding *oldest = bucket;

	for (uint32_t i = 0; i < STATEFILE_BINDING_WAYS; i++) {
		if (!is_held(&bucket[i]))
			return &bucket[i];
		if (bucket[i].used_ms < oldest->used_ms)
			oldest = &bucket[i];
	}
	return oldest;
}

void binding_set(struct bindings *b, uint64_t conversation, uint32_t account, int64_t now_ms)
{
	struct statefile_binding *row = find(b, conversation);

	if (!row) {
		row = place_for(b, conversation);
		atomic_store_explicit(&row->state, BINDING_FREE, memory_order_release);
		atomic_signal_fence(memory_order_seq_cst);
		row->conversation = conversation;
	}
	row->account = account;
	row->used_ms = now_ms;
	atomic_store_explicit(&row->state, BINDING_HELD, memory_order_release);
}
