/*
 * Notices: facts that an operator has to know and may have to act on. An open notice is unique by
 * kind and subject, so a cause that goes on is one notice with a count. A notice ends when an
 * operator acknowledges it or when its cause is gone. Kinds come from this program alone, because
 * they label a metric. The subject names the thing: `account/NAME`, `egress/NAME`,
 * `address/NETWORK`, `state`.
 */
#ifndef RELAY_ADMIN_STORE_NOTICES_H
#define RELAY_ADMIN_STORE_NOTICES_H

#include "admin/store/store.h"
#include "common/errtext.h"

#include <stdbool.h>
#include <stdint.h>

#define NOTICES_KEPT 1000 /* acknowledged ones; beyond it the oldest are forgotten */
#define NOTICES_SUBJECT_SIZE 96
#define NOTICES_MESSAGE_MAX 512 /* bytes; longer ones are cut */

/* The kinds; relay_notices_total shows them from the start. */
#define NOTICE_ACCOUNT_SUSPENDED "account_suspended"
#define NOTICE_ACCOUNT_INVALID "account_invalid"
#define NOTICE_NEEDS_LOGIN "needs_login"
#define NOTICE_REFRESH_FAILING "refresh_failing"
#define NOTICE_WATCH_FAILED "watch_failed"
#define NOTICE_EGRESS_MISMATCH "egress_mismatch"
#define NOTICE_BAN_SPARED "ban_spared"
#define NOTICE_SNAPSHOT_GIVEN_UP "snapshot_given_up"
#define NOTICE_NOT_REPLACED "program_not_replaced"
#define NOTICE_STORE_DOWN "store_down"
#define NOTICE_TOKEN_UNSAVED "token_unsaved" /* a refreshed token exists only in memory */
#define NOTICE_STATE_DAMAGED "state_damaged"
#define NOTICE_STATE_LOST "state_lost"	     /* at the start */
#define NOTICE_STATE_REMOVED "state_removed" /* while the relay runs */
#define NOTICE_CLOCK_STEP "clock_step"

/*
 * Opens a notice and logs it, or raises the count of the open one. Inside or outside of a
 * transaction; the log line remains when the transaction is rolled back. 0 or negative: then it is kept in
 * memory (notices_kept.h) until the store takes it.
 */
int notices_raise(struct store *s, const char *kind, const char *subject, const char *message,
	struct errtext *e);
/* The same without the log and without keeping it: for one that was logged before. */
int notices_store(struct store *s, const char *kind, const char *subject, const char *message,
	bool *ret_is_new, struct errtext *e);
/* Acknowledges the open notice, because its cause is gone; `kind` NULL: all of that subject. */
int notices_resolve(struct store *s, const char *kind, const char *subject, struct errtext *e);

/* "account/NAME" into `out` of NOTICES_SUBJECT_SIZE; returns `out`. */
const char *notices_subject(const char *what, const char *name, char *out);

/* Whether one of the kind is open; false also without an answer of the store. */
bool notices_is_open(struct store *s, const char *kind);
int notices_count_open(struct store *s, int64_t *ret, struct errtext *e);

/* Called for each kind, in order of kinds, with the number of notices ever opened. */
typedef void notices_total_fn(void *context, const char *kind, int64_t opened);
int notices_each_total(struct store *s, notices_total_fn *fn, void *context, struct errtext *e);

#endif
