/* The accounts that may be probed, as control remembers them between two looks at the store. */
#ifndef RELAY_ADMIN_UPKEEP_PROBE_LIST_H
#define RELAY_ADMIN_UPKEEP_PROBE_LIST_H

#include "admin/store/store.h"
#include "admin/upkeep/probe.h"
#include "admin/upkeep/probe_request.h"

#include <stdint.h>

#define PROBE_NAME_SIZE 64

struct outbound_call;

struct probe_item {
	struct probe_account account; /* the first member: see probe_item_of() */
	struct probe *owner;
	char name[PROBE_NAME_SIZE];
	enum provider provider;
	char target[PROBE_TARGET_SIZE];
	struct errtext obstacle; /* why not even a person may have it probed; empty = nothing */
	struct outbound_call *call;
	/* for a caller that waits */
	probe_told_fn *told; /* NULL = nobody waits */
	void *context;
	unsigned status;
	int64_t took_ms;
	struct errtext reason;
	uint64_t results; /* of all classes, before */
	uint64_t by_class[RESULT_CLASS_COUNT];
	int64_t judged_by_ms; /* the answer is there, the agent's word is waited for; 0 = not yet */
};

struct probe_list {
	struct probe_account **accounts; /* the first members of items, by rising id */
	size_t count;
};

static inline struct probe_item *probe_item_of(struct probe_account *a)
{
	return (struct probe_item *)(void *)a;
}

/* Called for an item that is gone from the store, before it is freed. */
typedef void probe_gone_fn(struct probe_item *item);

/* Looks at the store anew. 0 or negative; then all is as before. */
int probe_list_scan(struct probe_list *l, struct probe *owner, struct store *s, probe_gone_fn *gone,
	struct errtext *e);
struct probe_item *probe_list_find(const struct probe_list *l, int64_t account);
void probe_list_fini(struct probe_list *l, probe_gone_fn *gone);

#endif
