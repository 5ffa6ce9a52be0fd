/*
 * Notices that the store could not take, in memory, until it can. They are shown like the others; they have
 * no id yet, so they cannot be acknowledged.
 */
#ifndef RELAY_ADMIN_STORE_NOTICES_KEPT_H
#define RELAY_ADMIN_STORE_NOTICES_KEPT_H

#include "admin/store/notices.h"

#include <stddef.h>

#define NOTICES_KEPT_MAX 64 /* beyond it, only the log has them */
#define NOTICES_KIND_SIZE 64

struct kept_notice {
	char kind[NOTICES_KIND_SIZE];
	char subject[NOTICES_SUBJECT_SIZE];
	char message[NOTICES_MESSAGE_MAX + 1];
	int64_t count, created_ms, last_ms;
};

/* Opens one and logs it, or counts on. */
void notices_kept_put(struct store *s, const char *kind, const char *subject, struct slice message);
/* Its cause is gone, or the store has it. `kind` NULL: all of that subject. */
void notices_kept_drop(struct store *s, const char *kind, const char *subject);
const struct kept_notice *notices_kept_rows(const struct store *s, size_t *ret_count);
/* Moves all that it can to the store. */
void notices_kept_store(struct store *s);

#endif
