/*
 * Callers that wait for the outcome of a refresh (`accounts refresh --wait`). Each gets one result.
 */
#ifndef RELAY_ADMIN_UPKEEP_REFRESH_WAITERS_H
#define RELAY_ADMIN_UPKEEP_REFRESH_WAITERS_H

#include <stddef.h>
#include <stdint.h>

#define REFRESH_WAITERS_MAX 64

/*
 * `error` is 0 or a negative errno code; `text` has the reason. The callback must not add waiters.
 */
typedef void refresh_told_fn(void *context, int error, const char *text);

struct refresh_waiters {
	struct {
		int64_t account;
		int64_t end_ms; /* monotonic */
		refresh_told_fn *told;
		void *context;
	} rows[REFRESH_WAITERS_MAX];
	size_t count;
};

/* 0, or -EAGAIN: too many waiters. */
int refresh_waiters_add(struct refresh_waiters *w, int64_t account, int64_t end_ms,
	refresh_told_fn *told, void *context);
void refresh_waiters_tell(struct refresh_waiters *w, int64_t account, int error, const char *text);
/* Ends the waiters whose time is over; INT64_MAX: all. */
void refresh_waiters_end(struct refresh_waiters *w, int64_t now_ms, int error, const char *text);

#endif
