/* The accounts that control may probe, kept between two scans of the store. */
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
	const struct provider *provider;
	char target[PROBE_TARGET_SIZE];
	uint64_t credential;	 /* generation of the access token */
	struct errtext obstacle; /* why no probe is possible, not even by command; empty = none */
	struct outbound_call *call;
	/* of the last answer */
	unsigned status; /* 0 = there was none */
	int64_t took_ms;
	struct errtext reason; /* empty, if there was one */
	/* for a waiting caller */
	probe_told_fn *told; /* NULL = no caller waits */
	void *context;
	uint64_t results; /* of all classes, at the start of the probe */
	uint64_t by_class[RESULT_CLASS_COUNT];
	/* of the current probe */
	uint64_t sent_credential;
	int64_t sent_window_ms; /* end of the window that the account was in; 0 = none */
	int64_t page_read_ms; /* the last answer that was a usage page; 0 = none since the start */
	int64_t judged_by_ms; /* deadline for the agent's result after the response; 0 = no response yet */
};

struct probe_list {
	struct probe_account **accounts; /* the first members of items, by rising id */
	size_t count;
};

static inline struct probe_item *probe_item_of(struct probe_account *a)
{
	return (struct probe_item *)(void *)a;
}

/* Called before an item whose account was deleted is freed. */
typedef void probe_gone_fn(struct probe_item *item);

/* Scans the store. 0 or negative; on error, the list is unchanged. */
int probe_list_scan(struct probe_list *l, struct probe *owner, struct store *s, probe_gone_fn *gone,
	struct errtext *e);
struct probe_item *probe_list_find(const struct probe_list *l, int64_t account);
void probe_list_fini(struct probe_list *l, probe_gone_fn *gone);

#endif
